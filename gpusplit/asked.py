"""What the native library starts to learn a verdict: `python -I asked.py`, one question each.

The library knows what a program was made from and has the device; what is kept on disk, and the
judge, are asked here, so that a verdict is found once for all processes of a user.  Both sides
write frames: a letter, the length (4 bytes, little-endian), so many bytes.

To here: S source, O build options, A the device's address bits, D seven times what it is called
(asking.device_key), P its binary of the program; then E, the end of the question.
To the library: C a program to compile on the device, answered by N, the names of its kernels, or by
R, the compiler's refusal.  Then K for each kernel: its name, why it stays whole (empty: it may be
split), the functions that need a variant (separated by commas), "1" where it sees its work-groups,
and the arguments whose memory must stay as it is and those that it may change (numbers, a bit for
each), separated by null bytes; W why others stay whole; V the variant's source; and E.
F instead of these, with a reason: the judge could not be asked.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import BinaryIO

if __package__ in (None, ""):
    # Started by its path, for interpreters that do not find gpusplit when isolated.
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from gpusplit import asking, device_macros, headers
from gpusplit.judge.ptx import is_ptx
from gpusplit.judge.verdict import Answer, Request


class Frames:
    """Frames to and from the library."""

    def __init__(self, read: BinaryIO, write: BinaryIO) -> None:
        """Both ends of it."""
        self._read = read
        self._write = write

    def get(self) -> tuple[str, bytes]:
        """The next frame; EOFError where the library has gone."""
        head = self._read.read(5)
        if len(head) < 5:
            raise EOFError
        kind, size = struct.unpack("<cI", head)
        payload = self._read.read(size)
        if len(payload) < size:
            raise EOFError
        return kind.decode("latin-1"), payload

    def put(self, kind: str, payload: str | bytes = b"") -> None:
        """Send one."""
        raw = payload if isinstance(payload, bytes) else payload.encode("utf-8", "surrogateescape")
        self._write.write(struct.pack("<cI", kind.encode(), len(raw)) + raw)
        self._write.flush()

    def compile(self, text: str) -> str:
        """Have the library's device compile *text*: a device_macros.Compiler."""
        self.put("C", text)
        kind, payload = self.get()
        if kind != "N":
            raise device_macros.Refused(payload.decode("utf-8", "replace"))
        return payload.decode("ascii", "replace")


def question(frames: Frames) -> asking.Question:
    """Read what is asked."""
    given: dict[str, list[bytes]] = {}
    while (frame := frames.get())[0] != "E":
        given.setdefault(frame[0], []).append(frame[1])
    text = {kind: raw[0].decode("utf-8", "surrogateescape") for kind, raw in given.items()}
    image = given.get("P", [b""])[0]
    trouble = ""
    if headers.includes(text["S"]):
        trouble = "its headers are not seen below pyopencl"
    request = Request(
        source=text["S"],
        ptx=image.decode("utf-8", "replace") if is_ptx(image) else "",
        trouble=trouble or asking.drivers_own_options(),
        options=text["O"],
        address_bits=int(text["A"]),
    )
    called = [raw.decode("utf-8", "surrogateescape") for raw in given["D"]]
    return asking.Question(request, asking.device_key(called), frames.compile)


def tell(frames: Frames, answer: Answer) -> None:
    """Send an answer."""
    for name, verdict in answer.kernels.items():
        shows = "1" if verdict.shows_work_group else ""
        bits = [str(sum(1 << at for at in which)) for which in (verdict.still, verdict.changed)]
        asks = ",".join(sorted(verdict.asks))
        frames.put("K", "\0".join((name, verdict.refusal or "", asks, shows, *bits)))
    frames.put("W", answer.otherwise)
    frames.put("V", answer.variant)
    frames.put("E")


def main() -> int:
    """Answer one question."""
    frames = Frames(sys.stdin.buffer, sys.stdout.buffer)
    try:
        asked = question(frames)
        try:
            tell(frames, asked.stored() or asked.find())
        except asking.Failed as error:
            frames.put("F", str(error))
    except (EOFError, BrokenPipeError):
        return 1  # the program has ended
    return 0


if __name__ == "__main__":
    sys.exit(main())
