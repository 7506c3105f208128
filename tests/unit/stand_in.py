"""This machine as a namespace shows it, in place of a host: roles run for real and harm nothing.

What is written to /etc, /usr and /var goes into memory; /boot, /sys and what /proc says of the
hardware are folders' files; programs are stand-ins.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from host_folder import HostFolder

ROOT = Path(__file__).parents[2]

KERNEL = "6.1.0-18-amd64"

NAMESPACE = """set -eu
mount --make-rprivate /
mkdir "$STATE/memory"
mount -t tmpfs none "$STATE/memory"
for folder in etc usr var; do
    mkdir "$STATE/memory/$folder" "$STATE/memory/$folder.work"
    upper=$STATE/memory/$folder
    mount -t overlay -o "lowerdir=/$folder,upperdir=$upper,workdir=$upper.work" none "/$folder"
done
mount --bind "$STATE/boot" /boot
mount --bind "$STATE/host/sys" /sys
for file in cpuinfo meminfo; do mount --bind "$STATE/host/proc/$file" "/proc/$file"; done
cd /
"""

# What lsinitramfs prints: the stand-in for an initramfs is a list of names.
LSINITRAMFS = """#!/bin/sh
cat "$1"
"""


class StandIn:
    """A host of that kind; its state lies in a folder."""

    def __init__(self, state: Path, programs: Mapping[str, str]) -> None:
        self.state = state
        self.host = HostFolder(state / "host")
        memory = (state / "host/proc/meminfo").read_text()
        self.host.write("proc/meminfo", memory + memory.replace("MemTotal", "MemAvailable"))
        for name in ("bin", "boot"):
            (state / name).mkdir(parents=True)
        for name, text in {"lsinitramfs": LSINITRAMFS, **programs}.items():
            (state / "bin" / name).write_text(text)
            (state / "bin" / name).chmod(0o755)
        (state / "boot" / f"initrd.img-{KERNEL}").write_text("bin/sh\n")
        self.environment = {
            **os.environ,
            "PATH": f"{state}/bin:{os.environ['PATH']}",
            "STATE": str(state),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        }

    def run(self, script: str, argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a shell script on the host, which is given argv as "$@"."""
        namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c", NAMESPACE + script, "sh"]
        return subprocess.run(
            [*namespace, *argv], check=False, env=self.environment, capture_output=True, text=True
        )
