"""What the native library starts to learn a verdict: `python -I asked.py`, one question each.

The library knows what a program was made from and has the device; what is kept on disk, headers,
and the judge, are asked here, so that a verdict is found once for all processes of a user.  Both
sides write frames: a letter, the length (4 bytes, little-endian), so many bytes.

To here, what the program was made from: S source, O build options, H its headers while it was
built, as they were told by T below; or B for each of the binaries
that it was made from, or its SPIR-V.  Then one
of these:

- T with the folder where the program runs, as often as wanted: answered by H, the headers as they
  are now, a text that is the same while they are.
- G: the program gave the binaries B away, and may be made of them the next time.  No answer.
- a question: A the device's address bits, D seven times what it is called (asking.device_key), P
  its binary of the program; E, its end.

To the library: O build options, where it does not know them.  C a program to compile on the device,
answered by N, the names of its kernels, or by R, the compiler's refusal.  Then K for each kernel:
its name, why it stays whole (empty: it may be split), the functions that need a variant (separated
by commas), "1" where it sees its work-groups, and the arguments whose memory must stay as it is and
those that it may change (numbers, a bit for each), separated by null bytes; W why others stay
whole; V the variant's source; H the headers that it needs as they were, if any; and E.
F instead of these, with a reason: the judge could not be asked.

Where the environment names a file GPUSPLIT_EXPLAIN (explain.py), what was answered is added to it,
a line of JSON each, before the library is told.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

if __package__ in (None, ""):
    # Started by its path, for interpreters that do not find gpusplit when isolated.
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from gpusplit import asking, device_macros, headers, store
from gpusplit.judge import options
from gpusplit.judge.ptx import is_ptx
from gpusplit.judge.spirv import is_spirv
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


Given = dict[str, list[bytes]]


def origin(given: Given) -> Request | None:
    """What the program was made from; None where it is not known."""
    if "S" not in given:
        return asking.taken_back(given.get("B", []))
    source = _text(given, "S")
    if "H" in given:
        seen = Request.from_json(_text(given, "H"))
    elif headers.includes(source):
        seen = Request(trouble="its headers were not seen while it was built")
    else:
        seen = Request()
    return replace(seen, source=source, options=_text(given, "O"))


def headers_now(made: Request | None, folder: str) -> str:
    """The headers of a program that runs in *folder*, as a text that is the same while they are."""
    if made is None:
        return Request(trouble="its source is not known").to_json()
    try:
        os.chdir(folder)
    except OSError as error:
        return Request(trouble=f"its folder is out of reach: {error.strerror}").to_json()
    found, trouble = headers.take(made.source, options.read(made.options).places)
    return Request(headers=found, trouble=trouble).to_json()


def question(frames: Frames, given: Given, made: Request) -> asking.Question:
    """What is asked of a program that was *made* so."""
    image = given.get("P", [b""])[0]
    request = replace(
        made,
        ptx=image.decode("utf-8", "replace") if is_ptx(image) else "",
        trouble=made.trouble or asking.drivers_own_options(),
        address_bits=int(_text(given, "A")),
    )
    called = [raw.decode("utf-8", "surrogateescape") for raw in given["D"]]
    return asking.Question(request, asking.device_key(called), frames.compile)


def _text(given: Given, kind: str) -> str:
    return given[kind][0].decode("utf-8", "surrogateescape")


def tell(frames: Frames, answer: Answer, made: Request) -> None:
    """Send an answer on a program that was *made* so."""
    for name, verdict in answer.kernels.items():
        shows = "1" if verdict.shows_work_group else ""
        bits = [str(sum(1 << at for at in which)) for which in (verdict.still, verdict.changed)]
        asks = ",".join(sorted(verdict.asks))
        frames.put("K", "\0".join((name, verdict.refusal or "", asks, shows, *bits)))
    frames.put("W", answer.otherwise)
    frames.put("V", answer.variant)
    if made.headers:
        frames.put("H", Request(headers=made.headers).to_json())
    frames.put("E")


def judge(frames: Frames, given: Given) -> None:
    """Answer a question."""
    made = origin(given)
    if made is None and is_ptx(given.get("P", [b""])[0]):
        made = Request()  # what the device compiled it to can be read all the same
    image = given.get("B", [b""])[0]
    if made is None and is_spirv(image):
        made = Request(spirv=image)
    if made is None:
        unknown = Answer(otherwise="it was made from a binary whose source is not known")
        note(unknown, Request())
        tell(frames, unknown, Request())
        return
    if "S" not in given:
        frames.put("O", made.options)
    asked = question(frames, given, made)
    try:
        answer = asked.stored() or asked.find()
    except asking.Failed as error:
        note(Answer(otherwise=str(error)), made)
        frames.put("F", str(error))
    else:
        note(answer, made)
        tell(frames, answer, made)


def note(answer: Answer, made: Request) -> None:
    """Write an answer down for `gpusplit explain`, if it is what runs the program."""
    path = os.environ.get("GPUSPLIT_EXPLAIN")
    if path is None:
        return
    said = {
        "program": store.digest(made.to_json()),
        "kernels": {name: found.describe() for name, found in sorted(answer.kernels.items())},
        "otherwise": answer.otherwise,
    }
    # Who explains may be gone; the answer is for the program.
    with suppress(OSError), open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\n")


def main() -> int:
    """Answer one question, or tell of headers as often as is asked."""
    frames = Frames(sys.stdin.buffer, sys.stdout.buffer)
    given: Given = {}
    try:
        while True:
            kind, payload = frames.get()
            if kind == "T":
                folder = payload.decode("utf-8", "surrogateescape")
                frames.put("H", headers_now(origin(given), folder))
            elif kind == "G":
                if (made := origin(given)) is not None:
                    asking.given_away(made, given["B"])
                return 0
            elif kind == "E":
                judge(frames, given)
                return 0
            else:
                given.setdefault(kind, []).append(payload)
    except (EOFError, BrokenPipeError):
        return 1  # the program has ended, or knows what it wanted to


if __name__ == "__main__":
    sys.exit(main())
