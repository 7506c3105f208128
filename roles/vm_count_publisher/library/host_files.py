#!/usr/bin/python3
"""Ansible module: files of a role's own, and the units that they make up running, in one call."""

from __future__ import annotations

import math
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_files
short_description: Keep a role's own files on a host, and its units running by them
description:
  - Writes the files that differ, and keeps units enabled and running.
  - What is to be done is told by the host, each time, so a step that failed is repeated by the
    next run. systemd reads its units anew where it says that it has to; a unit is started anew
    where a file has changed after it was started.
  - All in one call, because a module call into an emulated host costs seconds, and systemd's
    reading its units anew ten.
options:
  files:
    type: dict
    default: {}
    description:
      - Whole text by path. A text that begins with C(#!) is a program (mode 0755), any other may
        be read by everybody (0644).
  units:
    type: list
    elements: str
    default: []
    description: Units that are to be enabled and running, in the order in which they are started.
  follows:
    type: list
    elements: path
    default: []
    description: Files beside these, or folders of such, that the units run by.
author: gpusplit
"""

EXAMPLES = r"""
- name: Have the bridge, now and after every boot
  host_files:
    files:
      /etc/systemd/system/bridge.service: "{{ lookup('template', 'bridge.service.j2') }}"
    units: [bridge.service]
"""

RETURN = r"""
written:
  description: Files that differed.
  returned: success
  type: list
  elements: str
told:
  description: What systemd was told, or would be, as arguments of systemctl.
  returned: success
  type: list
  elements: str
"""

ASKED = {
    "LoadState": "",
    "ActiveState": "",
    "UnitFileState": "",
    "NeedDaemonReload": "",
    "StateChangeTimestampMonotonic": "0",
}
"""What systemd is asked of a unit, and what is taken for an answer where there is none."""


def mode_of(text: str) -> int:
    return 0o755 if text.startswith("#!") else 0o644


def as_wanted(path: Path, text: str) -> bool:
    if not path.is_file() or path.read_text() != text:
        return False
    return path.stat().st_mode & 0o7777 == mode_of(text)


def write(path: Path, text: str) -> None:
    """Put a file into its place, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.chmod(mode_of(text))
    partial.replace(path)


def newest(paths: list[Path]) -> float:
    """When one of these files, or one in these folders, was changed last; 0 for none.

    By its status, since a package keeps the time at which a file was made. What Python has
    compiled on the way is no change.
    """
    files = (each for path in paths for each in (path, *path.rglob("*")) if each.is_file())
    return max((each.stat().st_ctime for each in files if each.suffix != ".pyc"), default=0)


class Systemd:
    """What systemd says of units, and is told to do with them."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.told: list[str] = []

    def run(self, *words: str) -> tuple[int, str]:
        code, out, err = self._module.run_command(["systemctl", *words])
        return code, (out if code == 0 else err.strip() or out.strip())

    def tell(self, unit: str, *words: str) -> None:
        self.told.append(" ".join(words))
        code, said = (0, "") if self._module.check_mode else self.run(*words)
        if code:
            self._module.fail_json(
                msg=f"systemctl {self.told[-1]} failed: {said}. `systemctl status {unit}` and "
                f"`journalctl -u {unit}` on the host say more."
            )

    def keep(self, unit: str, changed: float) -> None:
        """Have a unit enabled, and running since its files were changed."""
        _, said = self.run("show", unit, f"--property={','.join(ASKED)}")
        state = {**ASKED, **dict(line.split("=", 1) for line in said.splitlines() if "=" in line)}
        if state["NeedDaemonReload"] == "yes" or state["LoadState"] == "not-found":
            self.tell(unit, "daemon-reload")
        # What `show` says may be of the time when the unit was read.
        if state["UnitFileState"] != "enabled" and self.run("is-enabled", unit)[0]:
            # Nothing that is read anew for it is of use before the next boot.
            self.tell(unit, "--no-reload", "enable", unit)
        # By the clock as it is now: at the boot it may have been another.
        since = int(state["StateChangeTimestampMonotonic"]) / 1e6 - time.monotonic() + time.time()
        if state["ActiveState"] not in {"active", "activating", "reloading"}:
            self.tell(unit, "start", unit)
        elif since < changed:
            # A mount is not taken away: it is mounted anew, with all that was written into it.
            self.tell(unit, "reload-or-restart", unit)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "default": {}},
            "units": {"type": "list", "elements": "str", "default": []},
            "follows": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    texts = {Path(name): text for name, text in module.params["files"].items()}
    other = [path for path, text in texts.items() if not as_wanted(path, text)]
    before = {path: path.read_text() if path.is_file() else "" for path in other}
    for path in () if module.check_mode else other:
        write(path, texts[path])
    changed = newest([*texts, *map(Path, module.params["follows"])])
    systemd = Systemd(module)
    for unit in module.params["units"]:
        systemd.keep(unit, math.inf if module.check_mode and other else changed)
    module.exit_json(
        changed=bool(other or systemd.told),
        written=[*map(str, other)],
        told=systemd.told,
        diff=[
            {
                "before_header": str(path),
                "after_header": str(path),
                "before": before[path],
                "after": texts[path],
            }
            for path in other
        ],
    )


if __name__ == "__main__":
    main()
