"""Where a kernel comes from: source, headers and build options, SPIR-V, PTX, or nothing known.

Headers are taken while a program is built, since they may be others later.  A program that a cache
gives back as a binary is known by it: whoever keeps a binary has asked OpenCL for it before, and
then gpusplit notes where it came from.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import pyopencl as cl

from gpusplit import asking, headers, hooks
from gpusplit.judge import options as build_options
from gpusplit.judge.verdict import Answer, Header, Request

#: Programs that are remembered; a later one at the same address takes an earlier one's place.
_MOST = 512

_SOURCE, _BINARIES = cl.program_info.SOURCE, cl.program_info.BINARIES
_get_info: Any = cl._cl._Program.get_info


@dataclass(frozen=True, slots=True)
class Origin:
    """What a program was made from, as far as it is known: parts of a judge.verdict.Request."""

    source: str = ""
    spirv: bytes = b""
    options: str = ""
    headers: tuple[Header, ...] = ()
    trouble: str = ""


class Variants:
    """The built variants of one program, by the macros of their launches and the device.

    They live as long as something of the program does that Python holds: a program's object or one
    of its kernels.  A text is why one cannot be built.
    """

    def __init__(self) -> None:
        """None yet."""
        self.built: dict[tuple[str, int], Any] = {}


@dataclass(slots=True)
class Program:
    """What gpusplit knows of one OpenCL program; nothing in it keeps an OpenCL object.

    answers: the judge's, by the device's address; variants: see there.
    """

    origin: Origin
    raw_source: str
    answers: dict[int, Answer] = field(default_factory=dict)
    _variants: weakref.ref[Variants] | None = None

    def variants(self) -> Variants:
        """The program's variants; whoever asks must hold them."""
        found = self._variants() if self._variants is not None else None
        if found is None:
            found = Variants()
            self._variants = weakref.ref(found)
        return found


_known: OrderedDict[int, Program] = OrderedDict()


def of_kernel(kernel: cl.Kernel, device: cl.Device) -> Program:
    """What is known of *kernel*'s program."""
    raw: Any = kernel.get_info(cl.kernel_info.PROGRAM)._prg  # type: ignore[attr-defined]
    found = _known.get(raw.int_ptr)
    source = _text(raw)
    # Programs that pyopencl did not build may have the address of one that is gone.
    if found is None or found.raw_source != source:
        found = _remember(raw, _late_origin(raw, source, device), source)
    return found


def device_key(device: cl.Device) -> str:
    """What a device and its driver are called; another key, another compiler."""
    platform = device.platform
    return asking.device_key(
        [platform.name, platform.version, device.vendor, device.name, device.version,
         device.driver_version, device.opencl_c_version]
    )  # fmt: skip


def request(program: Program, device: cl.Device, raw: Any) -> Request:
    """What the judge is to be asked of *program* on *device*; *raw* is pyopencl's own program."""
    origin = program.origin
    return Request(
        source=origin.source,
        spirv=origin.spirv,
        ptx=_ptx(raw, device),
        headers=origin.headers,
        trouble=origin.trouble or asking.drivers_own_options(),
        options=origin.options,
        address_bits=device.address_bits,
    )


def _ptx(raw: Any, device: cl.Device) -> str:
    if "NVIDIA" not in device.vendor:
        return ""
    from gpusplit.judge.ptx import is_ptx

    devices = _info(raw, cl.program_info.DEVICES) or []
    for candidate, image in zip(devices, _info(raw, _BINARIES) or [], strict=False):
        if candidate == device and is_ptx(image):
            text: str = image.decode("utf-8", "replace")
            return text
    return ""


def _remember(raw: Any, origin: Origin, source: str) -> Program:
    found = Program(origin, source)
    _known[raw.int_ptr] = found
    _known.move_to_end(raw.int_ptr)
    while len(_known) > _MOST:
        _known.popitem(last=False)
    return found


def _late_origin(raw: Any, source: str, device: cl.Device | None = None) -> Origin:
    """The origin of a program that was built before or beneath gpusplit."""
    options = _options(raw, device) if device is not None else ""
    if source:
        trouble = "its headers were read before gpusplit could see them"
        return Origin(source, options=options, trouble=trouble if "include" in source else "")
    il = _info(raw, getattr(cl.program_info, "IL", None))
    if isinstance(il, bytes) and il:
        return Origin(spirv=il, options=options)
    return Origin(options=options)


def _text(raw: Any) -> str:
    found = _info(raw, _SOURCE)
    return found.rstrip("\0") if isinstance(found, str) and found.strip("\0 \n") else ""


def _info(raw: Any, what: Any) -> Any:
    try:
        return _get_info(raw, what) if what is not None else None
    except (cl.Error, UnicodeDecodeError):
        return None


def _options(raw: Any, device: cl.Device) -> str:
    try:
        text: str = raw.get_build_info(device, cl.program_build_info.OPTIONS)
    except cl.Error:
        return ""
    return text.rstrip("\0")


# Watching programs being built, given away and taken back.


def _watch() -> None:
    raw_build = cl._cl._Program._build
    program_build = cl.Program.build

    def _build(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = kwargs.get("options", args[0] if args else b"")
        options = given.decode("utf-8", "surrogateescape") if isinstance(given, bytes) else given
        source = _text(self)
        binaries = [] if source else _info(self, _BINARIES) or []
        folders = build_options.read(options).folders
        before = headers.take(source, folders)
        result = raw_build(self, *args, **kwargs)
        if source:
            trouble = before[1]
            if headers.take(source, folders) != before:
                trouble = "a header changed while it was built"
            origin = Origin(source, options=options, headers=before[0], trouble=trouble)
        else:
            # Not every driver tells before, and not every one tells the same after.
            origin = (
                _taken_back(binaries)
                or _taken_back(_info(self, _BINARIES) or [])
                or replace(_late_origin(self, ""), options=options)
            )
        # The variants live as long as this object, among others.
        self._gpusplit = _remember(self, origin, source).variants()
        return result

    def get_info(self: Any, what: Any) -> Any:
        found = _get_info(self, what)
        if what == _BINARIES:
            _given_away(self, found)
        return found

    def build(self: cl.Program, *args: Any, **kwargs: Any) -> cl.Program:
        result: cl.Program = program_build(self, *args, **kwargs)
        described = getattr(self, "_build_duration_info", None)
        source = getattr(self, "_source", None)
        if described is not None and described[1] and isinstance(source, str):
            # pyopencl's own cache may be older than gpusplit here, but pyopencl knows the source.
            raw: Any = self._prg
            known = _known.get(raw.int_ptr)
            if known is not None and not known.origin.source:
                folders = build_options.read(known.origin.options).folders
                found, trouble = headers.take(source, folders)
                known.origin = replace(known.origin, source=source, headers=found, trouble=trouble)
        return result

    hooks.put(cl._cl._Program, "_build", _build)
    hooks.put(cl._cl._Program, "get_info", get_info)
    hooks.put(cl.Program, "build", build)


def _given_away(raw: Any, binaries: list[bytes]) -> None:
    """Note where a program's *binaries* come from, as somebody may keep them."""
    known = _known.get(raw.int_ptr)
    if known is None or not known.origin.source:
        return
    origin = known.origin
    made = Request(
        origin.source, headers=origin.headers, trouble=origin.trouble, options=origin.options
    )
    asking.given_away(made, binaries)


def _taken_back(binaries: list[bytes]) -> Origin | None:
    """What a program made from *binaries* was made from."""
    noted = asking.taken_back(binaries)
    if noted is None:
        return None
    return Origin(noted.source, options=noted.options, headers=noted.headers, trouble=noted.trouble)


if hooks.once(cl._cl._Program, "_gpusplit_programs"):
    _watch()
