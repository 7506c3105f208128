#!/usr/bin/python3
"""Ansible module: the lab's SSH keys are there, the user's and the machines'."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: lab_keys
short_description: Make the SSH keys of a lab that are missing
description:
  - One key logs in, the host that the lab makes and every guest have a host key each.
  - C(guest) and C(host) below C(keys) are laid over images as they are, so everything in them
    has the owner's and everybody's rights that it has there.
options:
  folder: {type: path, required: true, description: Folder of the lab; keys are in C(keys) in it.}
  guests: {type: list, elements: str, required: true, description: Names of the guests.}
author: gpusplit
"""

EXAMPLES = r"""
- name: Have the lab's keys
  lab_keys:
    folder: /var/lib/lab
    guests: [gpu1, cpu1]
"""

RETURN = r"""
made:
  description: Folders and files that were not there, or not so.
  returned: success
  type: list
  elements: str
"""

FOLDERS = {
    "guests": 0o700,
    # Copied into images with their modes: / and /etc are everybody's to read.
    "guest": 0o755,
    "guest/root": 0o700,
    "guest/root/.ssh": 0o700,
    "host": 0o755,
    "host/etc": 0o755,
    "host/etc/ssh": 0o755,
    "host/root": 0o700,
    "host/root/.ssh": 0o700,
}
USERS = "lab_ed25519"
HOSTS = "host/etc/ssh/ssh_host_ed25519_key"


def has_mode(path: Path, mode: int) -> bool:
    return path.exists() and path.stat().st_mode & 0o7777 == mode


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "guests": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    keys = Path(module.params["folder"]) / "keys"
    made = []

    folders = {keys: 0o700, **{keys / name: mode for name, mode in FOLDERS.items()}}
    for folder, mode in folders.items():
        if not has_mode(folder, mode):
            made.append(folder)
            if not module.check_mode:
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(mode)

    for name in (USERS, HOSTS, *(f"guests/{guest}" for guest in module.params["guests"])):
        key = keys / name
        if not key.exists():
            made.append(key)
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "gpusplit-lab"]
            if not module.check_mode:
                module.run_command([*argv, "-f", str(key)], check_rc=True)

    public = keys / f"{USERS}.pub"
    text = public.read_text() if public.exists() else None  # check mode may have made none
    for machine in ("host", "guest"):
        let_in = keys / machine / "root/.ssh/authorized_keys"
        if not has_mode(let_in, 0o600) or let_in.read_text() != text:
            made.append(let_in)
            if not module.check_mode:
                let_in.write_text(str(text))
                let_in.chmod(0o600)

    module.exit_json(changed=bool(made), made=[*map(str, made)])


if __name__ == "__main__":
    main()
