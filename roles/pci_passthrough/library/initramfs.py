#!/usr/bin/python3
"""Ansible module: the initramfs that boots next has what lies in the file system."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kernel_versions import by_version

DOCUMENTATION = r"""
module: initramfs
short_description: Build the newest kernel's initramfs again where it is not current
description:
  - It is current when it is younger than the files, and has those of them that are part of it
    (the ones in /etc) exactly when they exist. That is looked up each time, so a build that failed
    is repeated, whatever the run before has told.
options:
  files:
    type: list
    elements: path
    required: true
    description: What goes into it, or says what goes into it.
  boot:
    type: path
    default: /boot
    description: Where it lies.
author: gpusplit
"""

EXAMPLES = r"""
- name: Have the module's options in the initramfs
  initramfs:
    files: [/etc/modprobe.d/gpusplit-passthrough.conf]
"""

RETURN = r"""
why:
  description: Why it had to be built again; empty where it is current.
  returned: always
  type: str
kernel:
  description: Version of the kernel that it belongs to.
  returned: always
  type: str
"""


def newest(boot: Path) -> Path | None:
    """The initramfs of the newest kernel, which is the one that GRUB takes."""
    found = [
        path
        for path in boot.glob("initrd.img-*")
        if not re.search(r"\.(old|new|bak|dpkg)", path.name)
    ]
    return max(found, key=lambda path: by_version(path.name), default=None)


def outdated(image: Path, files: list[Path], names: set[str]) -> str:
    """Why an initramfs that has files of these names must be built again; empty for not at all."""
    for path in files:
        inside = str(path).lstrip("/") in names
        if path.exists() and path.stat().st_mtime > image.stat().st_mtime:
            return f"{path} is younger than {image}"
        if path.parts[1] == "etc" and path.exists() != inside:
            return f"{path} is not in {image}" if path.exists() else f"{path} is still in {image}"
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "path", "required": True},
            "boot": {"type": "path", "default": "/boot"},
        },
        supports_check_mode=True,
    )
    boot = Path(module.params["boot"])
    files = [Path(name) for name in module.params["files"]]
    image = newest(boot)
    if image is None:
        module.fail_json(msg=f"There is no initramfs in {boot}: install a kernel.")
    kernel = image.name.removeprefix("initrd.img-")

    def look() -> str:
        out = module.run_command(["lsinitramfs", str(image)], check_rc=True)[1]
        return outdated(image, files, set(out.split()))

    why = look()
    if why and not module.check_mode:
        code, out, err = module.run_command(["update-initramfs", "-u", "-k", kernel])
        left = look()
        if code or left:
            said = (err.strip() or out.strip()).splitlines()[-5:]
            module.fail_json(
                msg=f"The initramfs of {kernel} could not be built again: {left or why}. "
                f"update-initramfs says: {' / '.join(said) or 'nothing'}. See that /boot has room "
                "(`df /boot`; `apt-get autoremove` removes old kernels), and run this again."
            )
    module.exit_json(changed=bool(why), why=why, kernel=kernel)


if __name__ == "__main__":
    main()
