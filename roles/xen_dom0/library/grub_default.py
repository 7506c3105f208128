#!/usr/bin/python3
"""Ansible module: what GRUB boots, by its environment block: always, or at the next boot only."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: grub_default
short_description: Choose between the entries with and without Xen
description:
  - Sets GRUB's saved_entry and next_entry (GRUB_DEFAULT=saved must be configured), so that
    GRUB's configuration stays as it is. What they were before is kept in a file, once.
  - With boots=trial, the next boot is into Xen and all later ones are without it. Where GRUB
    cannot write to its own disk (LVM, RAID, btrfs, ZFS), it could not forget the trial, and Xen is
    made the default at once; the result's C(trial) is false then.
options:
  boots:
    type: str
    required: true
    choices: [xen, trial, before]
    description: Xen always, Xen once, or what it was before.
  record: {type: path, required: true, description: Where to keep what it was before.}
  config: {type: path, default: /boot/grub/grub.cfg, description: GRUB's configuration.}
author: gpusplit
"""

EXAMPLES = r"""
- name: Boot into Xen at the next boot, and without it at later ones
  grub_default:
    boots: trial
    record: /var/lib/gpusplit/grub-before.json
"""

RETURN = r"""
trial:
  description: Whether the next boot alone is into Xen.
  returned: success
  type: bool
"""

# As GRUB's own 00_header has them.
UNWRITABLE_ABSTRACTIONS = {"diskfilter", "lvm", "cryptodisk"}
UNWRITABLE_FILE_SYSTEMS = {"btrfs", "cpiofs", "newc", "odc", "romfs", "squash4", "tarfs", "zfs"}


@dataclass(frozen=True)
class Entries:
    """Identifiers of GRUB's entries: the first with Xen, the first without."""

    xen: str
    linux: str


def entries(config: str) -> Entries:
    """Read the top-level entries that update-grub made (20_linux_xen, 10_linux).

    By identifier, because titles are translated. Raises LookupError where one is missing.
    """
    identifiers = re.findall(r"^menuentry .*\$menuentry_id_option '([^']+)'", config, re.MULTILINE)

    def first(prefix: str, what: str) -> str:
        for identifier in identifiers:
            if identifier.startswith(prefix):
                return str(identifier)
        raise LookupError(
            f"GRUB's configuration has no entry {what}: see what `update-grub` says, and whether "
            "the packages of Xen and of a kernel are installed."
        )

    return Entries(first("xen-gnulinux-", "with Xen"), first("gnulinux-", "without Xen"))


def can_forget(abstractions: str, file_system: str) -> bool:
    """Whether GRUB can write its environment block at boot, by what grub-probe says of the disk."""
    return (
        not UNWRITABLE_ABSTRACTIONS & set(abstractions.split())
        and file_system.strip() not in UNWRITABLE_FILE_SYSTEMS
    )


def wanted(boots: str, entry: Entries, before: dict[str, str], trial: bool) -> dict[str, str]:
    """The two variables that make GRUB boot so; an empty one is to be unset."""
    if boots == "before":
        return {"saved_entry": before.get("saved_entry", ""), "next_entry": ""}
    if boots == "trial" and trial:
        return {"saved_entry": entry.linux, "next_entry": entry.xen}
    return {"saved_entry": entry.xen, "next_entry": ""}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "boots": {"choices": ["xen", "trial", "before"], "required": True},
            "record": {"type": "path", "required": True},
            "config": {"type": "path", "default": "/boot/grub/grub.cfg"},
        },
        supports_check_mode=True,
    )
    boots, config = module.params["boots"], Path(module.params["config"])
    record = Path(module.params["record"])
    environment = str(config.with_name("grubenv"))

    def run(*argv: str) -> str:
        return str(module.run_command(list(argv), check_rc=True)[1])

    def probe(target: str) -> str:
        return run("grub-probe", f"--target={target}", str(config.parent))

    now = {}
    if Path(environment).exists():
        lines = run("grub-editenv", environment, "list").splitlines()
        now = dict(line.split("=", 1) for line in lines)
    if boots == "before" and not record.exists():
        module.exit_json(changed=False, trial=False)
    try:
        entry = Entries("", "") if boots == "before" else entries(config.read_text())
    except (LookupError, OSError) as error:
        module.fail_json(msg=str(error))
    trial = boots == "trial" and can_forget(probe("abstraction"), probe("fs"))
    before = json.loads(record.read_text()) if record.exists() else now
    values = wanted(boots, entry, before, trial)
    news = {name: value for name, value in values.items() if now.get(name, "") != value}
    changed = bool(news) or boots == "before"
    if changed and not module.check_mode:
        if boots != "before" and not record.exists():
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps({"saved_entry": now.get("saved_entry", "")}))
        if not Path(environment).exists():
            run("grub-editenv", environment, "create")
        for name, value in news.items():
            argv = ["set", f"{name}={value}"] if value else ["unset", name]
            run("grub-editenv", environment, *argv)
        if boots == "before":
            record.unlink()

    def show(variables: dict[str, str]) -> str:
        return "".join(f"{name}={variables.get(name, '')}\n" for name in sorted(values))

    diff = {"before": show(now), "after": show(values)}
    module.exit_json(changed=changed, trial=trial, diff=diff)


if __name__ == "__main__":
    main()
