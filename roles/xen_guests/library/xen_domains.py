#!/usr/bin/python3
"""Ansible module: exactly the wanted guests run on a Xen host, each as its configuration says."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: xen_domains
short_description: Keep the wanted guests running on a Xen host
description:
  - Writes one xl configuration for each guest, creates guests that do not run, resumes paused
    ones, and ends managed guests that are no longer wanted or whose configuration changed. They are
    shut down, and destroyed when they have not ended in time.
  - A guest is managed when its configuration lies in config_dir; others are never touched, and
    one that has a wanted guest's name is an error.
  - All guests in one call, because a module call into an emulated host costs seconds.
options:
  config_dir:
    type: path
    required: true
    description: Folder of the configurations; made if missing.
  guests:
    type: dict
    required: true
    description: Text of the xl configuration by guest name, in order of creation.
  plug:
    type: str
    default: ""
    description:
      - Text of the script by which guests' network cards are plugged in, if not Xen's own.
      - It is written into config_dir under the name C(plug), for C(script=) in the configurations.
  addresses:
    type: dict
    required: true
    description: IP address by guest name; each guest's SSH server is waited for.
  timeout:
    type: int
    default: 900
    description: Seconds that a guest may take to answer.
  shutdown_timeout:
    type: int
    default: 60
    description: Seconds that guests may take to shut down together; 0 destroys them at once.
author: gpusplit
"""

EXAMPLES = r"""
- name: Run exactly these guests
  xen_domains:
    config_dir: /etc/xen/gpusplit
    guests:
      cpu1: "{{ lookup('template', 'guest.cfg.j2') }}"
    addresses:
      cpu1: 10.77.0.11
"""

RETURN = r"""
created:
  description: Guests that were created.
  returned: always
  type: list
  elements: str
destroyed:
  description: Guests that were ended.
  returned: always
  type: list
  elements: str
resumed:
  description: Guests that were paused, and run again.
  returned: always
  type: list
  elements: str
"""


class Xl:
    """The xl toolstack, as far as guests come and go."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def runs(self) -> bool:
        """Whether Xen does."""
        xl = self._module.get_bin_path("xl", opt_dirs=["/usr/sbin"])
        return bool(xl) and self._module.run_command([xl, "list"])[0] == 0

    def run(self, *words: str) -> str:
        code, out, err = self._module.run_command(["xl", *words])
        if code:
            remedy = "See `xl dmesg` and /var/log/xen/ on the host."
            why = err.strip() or out.strip()
            self._module.fail_json(msg=f"xl {' '.join(words)} failed: {why}. {remedy}")
        return out

    def paused(self) -> dict[str, bool]:
        """Of every domain that exists, whether it is paused."""
        domains = {}
        for line in self.run("list").splitlines()[1:]:
            # From the right: a name may hold blanks.
            name, _domid, _memory, _vcpus, state, _seconds = line.rsplit(None, 5)
            domains[name] = "p" in state
        return domains

    def end(self, names: list[str], timeout: float) -> None:
        """Shut guests down; destroy those that are still there after so many seconds."""
        deadline = time.monotonic() + timeout
        domains = self.paused()
        left = [name for name in names if name in domains]
        for name in left if timeout else []:
            if domains[name]:
                self.run("unpause", name)
            # -F: a guest without PV drivers is sent the power button.
            self._module.run_command(["xl", "shutdown", "-F", name])
        while left and time.monotonic() < deadline:
            time.sleep(1)
            domains = self.paused()
            left = [name for name in left if name in domains]
        for name in left:
            self.run("destroy", name)


def answers(address: str) -> bool:
    """Whether an SSH server greets at the address."""
    try:
        with socket.create_connection((address, 22), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def silent(addresses: dict[str, str], timeout: float) -> list[str]:
    """Wait for every guest; return the names of those that did not answer in time."""
    deadline = time.monotonic() + timeout
    waiting = dict(addresses)
    while waiting and time.monotonic() < deadline:
        waiting = {name: address for name, address in waiting.items() if not answers(address)}
        time.sleep(1 if waiting else 0)
    return sorted(waiting)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "config_dir": {"type": "path", "required": True},
            "guests": {"type": "dict", "required": True},
            "plug": {"type": "str", "default": ""},
            "addresses": {"type": "dict", "required": True},
            "timeout": {"type": "int", "default": 900},
            "shutdown_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    folder, guests = Path(module.params["config_dir"]), module.params["guests"]
    if guests.keys() != module.params["addresses"].keys():
        module.fail_json(msg="Guests and addresses must name the same guests.")
    xl = Xl(module)
    # Check mode may come before Xen.
    existing = {} if module.check_mode and not xl.runs() else xl.paused()
    written = {path.stem: path.read_text() for path in folder.glob("*.cfg")}
    stale = [name for name, text in written.items() if guests.get(name) != text]
    destroy = [name for name in stale if name in existing]
    create = [name for name in guests if name not in existing or name in destroy]
    resume = [name for name in guests if existing.get(name) and name not in destroy]
    if foreign := sorted(guests.keys() & existing.keys() - written.keys()):
        module.fail_json(
            msg=f"{', '.join(foreign)} exist on the host but were not created from {folder}: "
            "end them with `xl destroy NAME`, or name the lab's guests otherwise."
        )
    script, plug = folder / "plug", module.params["plug"]
    other_plug = bool(plug) and (not script.exists() or script.read_text() != plug)
    changed = bool(stale or create or resume or guests.keys() - written.keys() or other_plug)

    if changed and not module.check_mode:
        folder.mkdir(parents=True, exist_ok=True)
        xl.end(destroy, module.params["shutdown_timeout"])
        for name in stale:
            (folder / f"{name}.cfg").unlink()
        for name, text in guests.items():
            (folder / f"{name}.cfg").write_text(text)
        if other_plug:
            script.write_text(plug)
            script.chmod(0o755)
        for name in create:
            xl.run("create", str(folder / f"{name}.cfg"))
        for name in resume:
            xl.run("unpause", name)
    if not module.check_mode:
        addresses, timeout = module.params["addresses"], module.params["timeout"]
        if names := silent(addresses, timeout):
            module.fail_json(
                msg=f"No SSH server answers in {', '.join(names)} after {timeout} s. "
                "Their consoles are on the host, /var/log/xen/console/guest-NAME.log."
            )
    module.exit_json(
        changed=changed,
        created=create,
        destroyed=destroy,
        resumed=resume,
        diff={
            "before": "".join(f"# {name}\n{text}" for name, text in sorted(written.items())),
            "after": "".join(f"# {name}\n{text}" for name, text in sorted(guests.items())),
        },
    )


if __name__ == "__main__":
    main()
