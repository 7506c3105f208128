#!/usr/bin/python3
"""Ansible module: every guest has a disk, and on it an SSH host key of its own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: guest_disks
short_description: Keep a disk for each guest, with an SSH host key of its own on it
description:
  - A guest's disk is a copy of the image, as a file, or a block device that holds one already.
  - The key is written into the unmounted file system before the guest first boots. What a guest
    could have written to is never read again.
  - A disk's name carries what it was made from, so that a new image or key makes a new disk beside
    the old one, which is removed with C(prune) when the guest has moved.
options:
  folder: {type: path, required: true, description: Folder of the disks.}
  image: {type: path, description: Image to copy; FILE.key beside it changes with its content.}
  size: {type: int, default: 0, description: MiB of each disk that is a file.}
  keys: {type: dict, required: true, description: "By guest, its private host key (OpenSSH)."}
  devices: {type: dict, default: {}, description: "By guest, the block device that is its disk."}
  prune: {type: bool, default: false, description: "Make none; remove files that no guest has."}
  boot_files:
    type: bool
    default: false
    description:
      - Take the kernel and the initramfs that guests boot from the first disk that is made, into
        the folder, as C(vmlinuz) and C(initrd). Once, so before any guest could write there.
author: gpusplit
"""

EXAMPLES = r"""
- name: Make the disks of the guests that have none
  guest_disks:
    folder: /var/lib/gpusplit/disks
    image: /var/lib/gpusplit/images/guest.img
    size: 8192
    keys:
      gpu1: "{{ lookup('file', 'keys/gpu1') }}"
"""

RETURN = r"""
made:
  description: Guests whose disk was made.
  returned: success, without C(prune)
  type: list
  elements: str
paths:
  description: By guest, its disk.
  returned: success, without C(prune)
  type: dict
stale:
  description: Files that no guest will have any more; C(prune) removes them.
  returned: success, without C(prune)
  type: list
  elements: str
removed:
  description: Files that no guest has any more.
  returned: success, with C(prune)
  type: list
  elements: str
"""

KEY = "/etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True)
class Disk:
    """A guest's disk as it should be."""

    name: str
    device: str
    """Block device; empty for a file."""
    key: str
    made_from: str
    """Changes with the image, the key and the size."""

    def path(self, folder: Path) -> Path:
        return Path(self.device) if self.device else folder / f"{self.name}-{self.made_from}.img"

    def mark(self, folder: Path) -> Path:
        """Exists when the disk is whole."""
        return folder / f"{self.name}-{self.made_from}.made"


def disk_of(name: str, key: str, device: str, image_key: str, size: int) -> Disk:
    """The disk of one guest; image_key is the content of FILE.key beside the image."""
    content = f"{device} {key.strip()} {'' if device else f'{image_key} {size}'}"
    return Disk(name, device, key, hashlib.sha256(content.encode()).hexdigest()[:12])


def put_key(disk: Path, key: str) -> None:
    """Write the host key into an ext4 file system that nobody has mounted.

    Raises RuntimeError with debugfs's words: it ends with status 0 whatever happens.
    """
    with tempfile.NamedTemporaryFile("w", prefix="key", suffix=".tmp") as source:  # mode 0600
        source.write(key.strip() + "\n")
        source.flush()
        commands = [
            "cd /etc/ssh",
            f"rm {KEY}",
            f"write {source.name} {Path(KEY).name}",
            *(f"set_inode_field {KEY} {field}" for field in ("mode 0100600", "uid 0", "gid 0")),
        ]
        done = subprocess.run(
            ["debugfs", "-w", "-f", "-", str(disk)],
            input="\n".join(commands) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
    there = subprocess.run(
        ["debugfs", "-R", f"cat {KEY}", str(disk)], capture_output=True, text=True, check=False
    )
    if there.stdout.strip() != key.strip():
        raise RuntimeError(f"{disk} has not taken its host key: {done.stderr.strip()[-500:]}")


def take_boot_files(disk: Path, folder: Path) -> None:
    """Copy the only kernel and initramfs of a disk that no guest has had yet.

    Raises RuntimeError where there are none, or several, or they cannot be read whole.
    """

    def debugfs(command: str) -> str:
        argv = ["debugfs", "-R", command, str(disk)]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    # /inode/mode/user/group/name/size/
    entries = [line.split("/") for line in debugfs("ls -p /boot").splitlines()]
    sizes = {entry[5]: int(entry[6]) for entry in entries if len(entry) > 6 and entry[6]}
    for prefix, name in (("vmlinuz-", "vmlinuz"), ("initrd.img-", "initrd")):
        found = [entry for entry in sizes if entry.startswith(prefix)]
        if len(found) != 1:
            raise RuntimeError(f"/boot has {found or 'nothing'} for {prefix}*")
        partial = folder / f"{name}.partial"
        debugfs(f"dump /boot/{found[0]} {partial}")
        if not partial.exists() or partial.stat().st_size != sizes[found[0]]:
            raise RuntimeError(f"/boot/{found[0]} cannot be read")
        partial.rename(folder / name)


def copy_image(module: AnsibleModule, image: Path, disk: Path, size: int) -> None:
    """Copy the image without its holes and let its file system fill the disk."""
    module.run_command(["cp", "--sparse=always", str(image), str(disk)], check_rc=True)
    disk.chmod(0o600)
    module.run_command(["truncate", f"--size=>{size}M", str(disk)], check_rc=True)
    module.run_command(["resize2fs", str(disk)], check_rc=True)


def make(module: AnsibleModule, folder: Path, disk: Disk, image: Path, size: int) -> None:
    """Make one disk whole; an interrupted run begins it anew."""
    code, _, _ = (
        module.run_command(["xl", "list", disk.name]) if shutil.which("xl") else (1, "", "")
    )
    if disk.device and code == 0:
        module.fail_json(
            msg=f"{disk.name} runs on {disk.device}, whose host key is to change: end it first "
            f"with `xl destroy {disk.name}`."
        )
    path = disk.path(folder)
    if not disk.device:
        copy_image(module, image, path, size)
    put_key(path, disk.key)
    for stale in folder.glob(f"{disk.name}-*.made") if disk.device else ():
        stale.unlink()
    disk.mark(folder).touch()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "image": {"type": "path"},
            "size": {"type": "int", "default": 0},
            "keys": {"type": "dict", "required": True, "no_log": True},
            "devices": {"type": "dict", "default": {}},
            "prune": {"type": "bool", "default": False},
            "boot_files": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    folder, image = Path(params["folder"]), Path(params["image"] or "/nonexistent")
    image_key = image.with_name(image.name + ".key")
    made_from = image_key.read_text() if image_key.exists() else ""
    keys, devices, size = params["keys"], params["devices"], params["size"]
    disks = [disk_of(name, keys[name], devices.get(name, ""), made_from, size) for name in keys]
    wanted = {disk.path(folder) for disk in disks}
    stale = sorted(path for path in folder.glob("*.img") if path not in wanted)
    if params["prune"]:
        for path in stale if not module.check_mode else ():
            path.unlink()
            path.with_suffix(".made").unlink(missing_ok=True)
        module.exit_json(changed=bool(stale), removed=[path.name for path in stale])

    missing = [disk for disk in disks if not disk.mark(folder).exists()]
    if any(not disk.device for disk in missing) and not image_key.exists():
        if not module.check_mode:
            module.fail_json(
                msg=f"No finished image is at {image}: the role debian_images makes it."
            )
    elif not module.check_mode:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for disk in missing:
            try:
                if params["boot_files"] and not any(folder.glob("*.made")):
                    take_boot_files(Path(disk.device) if disk.device else image, folder)
                make(module, folder, disk, image, size)
            except (OSError, RuntimeError) as error:
                module.fail_json(msg=f"The disk of {disk.name} cannot be made: {error}")
    module.exit_json(
        changed=bool(missing),
        made=[disk.name for disk in missing],
        stale=[path.name for path in stale],
        paths={disk.name: str(disk.path(folder)) for disk in disks},
    )


if __name__ == "__main__":
    main()
