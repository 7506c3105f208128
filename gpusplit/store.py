"""What is kept on disk between processes: verdicts, macros of devices, where binaries come from.

Only this user can write there, so a file says what this user's gpusplit once found out.  Every
file is complete or not there, and one that cannot be read is as good as none.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

#: Files of one kind; beyond that, those that were not used for longest go.
_MOST = 4096
#: Seconds between two looks at a lock.
_LOOK_EVERY = 0.05


def digest(*parts: str | bytes) -> str:
    """A name for contents; parts that are split otherwise have another."""
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        found.update(len(raw).to_bytes(8, "little"))
        found.update(raw)
    return found.hexdigest()


def load(kind: str, name: str) -> str | None:
    """The text that was saved under *kind* and *name*, or None."""
    folder = _folder(kind)
    if folder is None:
        return None
    path = folder / name
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        os.utime(path)
    except (OSError, ValueError):
        return None
    return text


def save(kind: str, name: str, text: str) -> None:
    """Keep *text*; nothing happens where that cannot be done."""
    folder = _folder(kind)
    if folder is None:
        return
    try:
        handle, temporary = tempfile.mkstemp(prefix=".", dir=folder)
    except OSError:
        return
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.replace(temporary, folder / name)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    _tidy(folder)


@contextlib.contextmanager
def alone(kind: str, name: str, patience: float) -> Iterator[None]:
    """Let one process at a time do what is inside for *kind* and *name*, as far as can be had.

    Whoever ends, however it ends, is out.  Others come in after *patience* seconds all the same, or
    where files cannot be locked.
    """
    with contextlib.ExitStack() as stack:
        folder = _folder(kind)
        path = folder / f".{name}.lock" if folder is not None else None
        if path is not None:
            with contextlib.suppress(OSError):
                file = stack.enter_context(path.open("a"))
                if _locked(file.fileno(), patience):
                    # Whoever waits for the file that is gone finds what was found, too.
                    stack.callback(path.unlink, missing_ok=True)
        yield


def _locked(file: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_EVERY)
        else:
            return True


def _folder(kind: str) -> Path | None:
    """The folder for *kind*; None if there is none that this user alone can write."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(home):
        return None
    root = Path(home) / "gpusplit"
    try:
        (root / kind).mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (root, root / kind):
            found = folder.lstat()
            if (
                not stat.S_ISDIR(found.st_mode)
                or found.st_uid != os.geteuid()
                or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            ):
                return None
    except OSError:
        return None
    return root / kind


def _tidy(folder: Path) -> None:
    with contextlib.suppress(OSError):
        entries = list(os.scandir(folder))
        if len(entries) > _MOST:
            for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime)[: _MOST // 4]:
                os.unlink(entry)
