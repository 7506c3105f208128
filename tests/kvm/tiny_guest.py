"""A guest of a few megabytes under plain QEMU: Debian's kernel, busybox, Python and gpusplit.

Its root is an initramfs made here from what this machine has; guest_init.py runs in it.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
#: Where the role `controller` unpacks Debian's kernel for the tests.
KERNEL = REPOSITORY / "build/guest-kernel"
#: What the guest loads, with what these need in turn.
MODULES = ("virtio_pci", "virtio_console")
BUSYBOX = Path("/bin/busybox")
PYTHON = Path("/usr/bin/python3")
EMULATOR = "qemu-system-x86_64"
#: What the guest imports of the library; the package itself would import pyopencl.
LIBRARY = ("config", "count", "page", "subscription", "tenancy", "virtio", "xenstore")
PORT = "org.gpusplit.count"

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in @MODULES@; do insmod /modules/$module.ko; done
# What udev does in a whole guest.
mkdir -p /dev/virtio-ports
for name in /sys/class/virtio-ports/*/name; do
    ln -s ../$(basename $(dirname $name)) /dev/virtio-ports/$(cat $name)
done
stty -echo
PYTHONPATH=/library exec @PYTHON@ -S /guest_init.py
"""


def missing() -> list[str]:
    """What this machine lacks for the guest, in words."""
    wanted = {
        "qemu-system-x86": shutil.which(EMULATOR) is not None,
        "busybox-static": BUSYBOX.exists() and "not a dynamic" in _libraries_text(BUSYBOX),
        f"{KERNEL}": (KERNEL / "vmlinuz").exists(),
        "python3 in /usr": PYTHON.exists(),
    }
    return [name for name, there in wanted.items() if not there]


def _in_order(modules: Iterable[str]) -> list[str]:
    """*modules* of the kernel and those that they need, each after what it needs.

    Which needs which differs from kernel to kernel; each module says it, as for depmod.
    """
    order: dict[str, None] = {}
    for module in modules:
        needs = re.search(rb"\0depends=([^\0]*)\0", (KERNEL / f"{module}.ko").read_bytes())
        assert needs is not None, module
        order |= dict.fromkeys(_in_order(filter(None, needs[1].decode().split(","))))
        order[module] = None
    return list(order)


def _libraries_text(program: Path) -> str:
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _libraries(program: Path) -> set[Path]:
    """The shared libraries that *program* loads, the loader included."""
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", _libraries_text(program))}


def _imported(library: Path) -> list[Path]:
    """The files that Python reads for what guest_init.py imports."""
    modules = "ctypes, json, os, signal, " + ", ".join(f"gpusplit.{name}" for name in LIBRARY)
    program = (
        f"import sys, {modules}, encodings.utf_8, encodings.ascii\n"
        "print('\\n'.join(m.__file__ for m in sys.modules.values()"
        " if getattr(m, '__file__', None)))"
    )
    environment = {"PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [PYTHON, "-S", "-c", program],
        cwd=library,  # Python looks there first
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in done.stdout.split() if not line.startswith(str(library))]


class Initramfs:
    """An archive as the kernel unpacks it: cpio in the format "newc" (initramfs' buffer-format)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._paths: set[str] = set()

    def add(self, path: str, mode: int, content: bytes = b"") -> None:
        """*path* without a leading slash; the directories above it are added first."""
        if path in self._paths:
            return
        above = os.path.dirname(path)
        if above:
            self.add(above, stat.S_IFDIR | 0o755)
        self._paths.add(path)
        self._entry(path, mode, content)

    def add_file(self, path: Path, name: str | None = None) -> None:
        """A file of this machine, with all that symbolic links on the way stand for."""
        mode = 0o755 if os.access(path, os.X_OK) else 0o644
        self.add(name or str(path).lstrip("/"), stat.S_IFREG | mode, path.read_bytes())

    def write(self, path: Path) -> None:
        self._entry("TRAILER!!!", 0)
        path.write_bytes(b"".join(self._parts))

    def _entry(self, path: str, mode: int, content: bytes = b"") -> None:
        name = path.encode() + b"\0"
        numbers = [len(self._paths), mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
        header = b"070701" + b"".join(b"%08X" % number for number in numbers)
        for part in (header + name, content):
            self._parts.append(part + b"\0" * (-len(part) % 4))


def build(folder: Path) -> Path:
    """The guest's initramfs, made in *folder*."""
    library = folder / "library"
    (library / "gpusplit").mkdir(parents=True)
    (library / "gpusplit/__init__.py").touch()
    for name in LIBRARY:
        shutil.copy(REPOSITORY / f"gpusplit/{name}.py", library / "gpusplit")

    root = Initramfs()
    modules = _in_order(MODULES)
    init = INIT.replace("@MODULES@", " ".join(modules)).replace("@PYTHON@", str(PYTHON))
    root.add("init", stat.S_IFREG | 0o755, init.encode())
    for empty in ("proc", "sys", "dev", "tmp"):
        root.add(empty, stat.S_IFDIR | 0o755)
    root.add_file(BUSYBOX, "bin/busybox")
    root.add_file(PYTHON)
    imported = _imported(library)
    binaries = [PYTHON, *(path for path in imported if path.suffix == ".so")]
    for path in {*imported, *set[Path]().union(*map(_libraries, binaries))}:
        root.add_file(path)
    for path in (library / "gpusplit").iterdir():
        root.add_file(path, f"library/gpusplit/{path.name}")
    root.add_file(Path(__file__).with_name("guest_init.py"), "guest_init.py")
    for name in modules:
        root.add_file(KERNEL / f"{name}.ko", f"modules/{name}.ko")
    image = folder / "initramfs"
    root.write(image)
    return image


class TinyGuest:
    """The guest, running; what it says comes from its serial console."""

    def __init__(self, image: Path, count_socket: Path, console: Path) -> None:
        """console: a file for all that the console says, for people."""
        self._process = subprocess.Popen(
            [
                *(EMULATOR, "-nodefaults", "-no-user-config", "-display", "none"),
                *("-machine", "pc,accel=tcg", "-cpu", "qemu64", "-m", "192"),
                *("-kernel", str(KERNEL / "vmlinuz"), "-initrd", str(image)),
                *("-append", "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off"),
                *("-serial", "stdio", "-device", "virtio-serial-pci"),
                *("-chardev", f"socket,id=count,path={count_socket},reconnect=1"),
                *("-device", f"virtserialport,chardev=count,name={PORT}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.pid = self._process.pid
        self._console = console
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def orders(self, command: str) -> None:
        """Give guest_init.py a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def says(self, seconds: float, **wanted: Any) -> dict[str, Any]:
        """The next answer that has *wanted* in it; those before are passed over."""
        until = time.monotonic() + seconds
        passed: list[dict[str, Any]] = []
        while (left := until - time.monotonic()) > 0:
            try:
                answer = self._said.get(timeout=left)
            except queue.Empty:
                break
            if wanted.items() <= answer.items():
                return answer
            passed.append(answer)
        raise AssertionError(
            f"the guest did not say {wanted} in {seconds} s, but {passed[-5:]}; "
            f"its console ends with {self._console.read_text()[-500:]!r}"
        )

    def ends(self) -> None:
        """Pull the plug."""
        if self._process.poll() is not None:
            return
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._console.open("w") as console:
            for raw in self._process.stdout:
                line = raw.decode("utf-8", "replace").strip()
                console.write(line + "\n")
                console.flush()
                if line.startswith("{"):
                    self._said.put(json.loads(line))
