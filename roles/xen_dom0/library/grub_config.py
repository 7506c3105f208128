#!/usr/bin/python3
"""Ansible module: GRUB's configuration is what its settings ask for, or it is made again."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: grub_config
short_description: Run update-grub where GRUB's configuration is not what its settings ask for
description:
  - Looks at the configuration itself, each time, so an update-grub that failed is repeated by the
    next run, whatever the run before has told.
  - It is current when it is younger than the settings, and boots Xen with the arguments that are
    wanted, by the saved entry (state C(present)), or nothing with them (state C(absent)).
options:
  state:
    type: str
    choices: [present, absent]
    default: present
    description: Whether Xen is to be booted with these arguments.
  command_line:
    type: str
    required: true
    description: Arguments of Xen.
  kernel_arguments:
    type: str
    default: ""
    description: Arguments that dom0's kernel must have.
  own:
    type: dict
    default: {}
    description: Whole text by path, of settings of one's own. It is written before anything else.
  config:
    type: path
    default: /boot/grub/grub.cfg
    description: GRUB's configuration.
  settings:
    type: list
    elements: path
    default: [/etc/default/grub, /etc/default/grub.d, /etc/grub.d]
    description: What it is made from; of folders, what is in them.
author: gpusplit
"""

EXAMPLES = r"""
- name: Have Xen's arguments in GRUB's configuration
  grub_config:
    command_line: dom0_mem=2048M,max:2048M sched=credit
    own:
      /etc/default/grub.d/50-xen.cfg: |
        GRUB_CMDLINE_XEN="dom0_mem=2048M,max:2048M sched=credit"
"""

RETURN = r"""
why:
  description: Why it had to be made again; empty where it is current.
  returned: always
  type: str
"""


SAVED = 'set default="${saved_entry}"'
"""How a configuration boots the saved entry (00_header)."""

OVERRIDES = re.compile(
    r"^\s*(export\s+)?GRUB_(DEFAULT|CMDLINE_XEN|CMDLINE_LINUX_XEN_REPLACE)=", re.M
)


def xen_entry(config: str) -> tuple[str, str]:
    """The lines of the hypervisor and of its kernel in the first entry with Xen; empty for none."""
    entry = re.search(
        r"^menuentry [^\n]*'xen-gnulinux-.*?^\}", config, flags=re.MULTILINE | re.DOTALL
    )
    lines = entry[0].splitlines() if entry else []
    xen = [line for line in lines if re.match(r"\s*multiboot2?\s", line)]
    kernel = [line for line in lines if re.match(r"\s*module2?\s.*vmlinuz", line)]
    return (xen or [""])[0], (kernel or [""])[0]


def differs(config: str, state: str, command_line: str, kernel_arguments: str) -> str:
    """How a configuration differs from what is wanted; empty for not at all."""
    xen, kernel = xen_entry(config)
    # In whole words: sched=credit is not sched=credit2.
    there = f" {' '.join(command_line.split())} " in f" {' '.join(xen.split())} "
    if state == "absent":
        return "it boots Xen with the lab's arguments still" if there else ""
    if not there:
        return "it does not boot Xen with these arguments" if xen else "it has no entry with Xen"
    if not set(kernel_arguments.split()) <= set(kernel.split()):
        return "dom0's kernel lacks arguments"
    if SAVED not in config:
        return "what it boots is not the saved entry (GRUB_DEFAULT)"
    return ""


def overriding(own: list[Path]) -> list[str]:
    """Files that GRUB reads after one's own, and that set what those set."""
    return sorted(
        str(path)
        for mine in own
        for path in mine.parent.glob("*.cfg")
        if path.name > mine.name and OVERRIDES.search(path.read_text(errors="replace"))
    )


def younger(settings: list[Path], config: Path) -> str:
    """A setting that was changed after the configuration was made; empty for none."""
    made = config.stat().st_mtime
    for setting in settings:
        for path in [setting, *(setting.iterdir() if setting.is_dir() else [])]:
            if path.exists() and path.stat().st_mtime > made:
                return str(path)
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["present", "absent"], "default": "present"},
            "command_line": {"type": "str", "required": True},
            "kernel_arguments": {"type": "str", "default": ""},
            "own": {"type": "dict", "default": {}},
            "config": {"type": "path", "default": "/boot/grub/grub.cfg"},
            "settings": {
                "type": "list",
                "elements": "path",
                "default": ["/etc/default/grub", "/etc/default/grub.d", "/etc/grub.d"],
            },
        },
        supports_check_mode=True,
    )
    config = Path(module.params["config"])
    settings = [Path(path) for path in module.params["settings"]]
    wanted = [module.params[name] for name in ("state", "command_line", "kernel_arguments")]

    own = {Path(name): text for name, text in module.params["own"].items()}
    before = {path: path.read_text() if path.exists() else "" for path in own}
    other = [path for path in own if before[path] != own[path]]
    for path in () if module.check_mode else other:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(own[path])

    def look() -> str:
        if module.check_mode and other:
            return f"{other[0]} has to change first"
        if not config.exists():
            return f"there is no {config}"
        if path := younger(settings, config):
            return f"{path} is younger"
        return differs(config.read_text(), *wanted)

    why = look()
    if why and not module.check_mode:
        code, out, err = module.run_command(["update-grub"])
        # What is younger by the clock's fault alone is not held against it.
        left = differs(config.read_text(), *wanted) if config.exists() else look()
        if code or left:
            later = overriding(list(own))
            hint = (
                f"Read later than the lab's, and may differ: {', '.join(later)}. " if later else ""
            )
            said = (err.strip() or out.strip()).splitlines()[-5:]
            module.fail_json(
                msg=f"GRUB's configuration is not what is wanted: {left or why}. update-grub says: "
                f"{' / '.join(said) or 'nothing'}. {hint}See that /boot has room (`df /boot`) and "
                "that the packages of Xen and of a kernel are installed, and run this again."
            )
    diff = [
        {"before_header": str(path), "before": before[path], "after": own[path]} for path in other
    ]
    module.exit_json(changed=bool(why or other), why=why, diff=diff)


if __name__ == "__main__":
    main()
