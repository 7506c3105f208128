"""Remembering a kernel's arguments, so that they can be set on a variant of the kernel too.

OpenCL does not tell what arguments a kernel has been given.  So the functions by which pyopencl
sets them are wrapped when gpusplit is imported; what they were given is kept on the Kernel object:
until the next launch for `kernel(queue, ...)`, which sets every argument each time, and until it
is replaced for `set_args` and `set_arg`, whose arguments stay set (OpenCL 1.2, section 5.7.2).
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyopencl as cl

from gpusplit import hooks

if TYPE_CHECKING:
    from gpusplit.ndrange import NDRange
    from gpusplit.plan import Plan
    from gpusplit.pocl import Use
    from gpusplit.programs import Program, Variants
    from gpusplit.queues import QueueState

_ATTRIBUTE = "_gpusplit"

#: After so many remembered calls the superseded ones are dropped.
_MOST_CALLS = 64

#: Entries per argument of the function that packs numbers: index, letter of a type, value.
_PACKED = 3


#: How many entries make one argument in the tuple that a function takes (0: it takes no tuple),
#: the function, and what it was given.
Call = tuple[int, Callable[..., None], tuple[Any, ...]]


class KernelState:
    """What gpusplit knows of one Kernel object; it lives as long as that."""

    __slots__ = (
        "calls", "held", "key", "lock", "plans", "program", "recent", "sticky", "told", "use",
        "variants",
    )  # fmt: skip

    def __init__(self) -> None:
        """Nothing known yet."""
        #: The calls that set arguments, oldest first.
        self.calls: list[Call] = []
        #: Whether they still hold after the next launch.
        self.sticky = False
        #: One launch at a time: slices share the variant's arguments.
        self.lock = threading.Lock()
        #: By what name the history knows the kernel: its program and its own name.
        self.key: tuple[int, str] | None = None
        self.program: Program | None = None
        #: What is launched in its place, by the form of a launch and the device's address.
        self.variants: dict[Hashable, cl.Kernel] = {}
        #: The program's variants, which live while somebody holds them.
        self.held: Variants | None = None
        #: How launches were cut: by launcher, NDRange and number of groups wanted.
        self.plans: dict[Hashable, tuple[NDRange, tuple[NDRange, ...], int]] = {}
        #: Plans by launcher and the sizes as the caller wrote them.
        self.recent: dict[Hashable, tuple[QueueState, int, Plan]] = {}
        #: Reasons that the log has already been given.
        self.told: set[str] = set()
        #: Who else runs the kernel, where that matters.
        self.use: Use | None = None


def state(kernel: cl.Kernel) -> KernelState:
    """The state of *kernel*, made if need be."""
    try:
        found: KernelState = kernel._gpusplit  # type: ignore[attr-defined]
    except AttributeError:
        found = KernelState()
        setattr(kernel, _ATTRIBUTE, found)
    return found


def identify(kernel: cl.Kernel, known: KernelState) -> None:
    """Find out by what name the history knows *kernel*."""
    if known.key is None:
        program: Any = kernel.get_info(cl.kernel_info.PROGRAM)
        known.key = (program.int_ptr, kernel.function_name)


def count(known: KernelState) -> int:
    """How many different arguments are remembered."""
    calls = known.calls
    if len(calls) == 1 and calls[0][0] == 2:
        # By far the most common: one call that set them all.
        return len(calls[0][2][0]) // 2
    return len({index for call in calls for index, _ in _pairs(call)})


def any_of_type(known: KernelState, kind: type) -> bool:
    """Whether a remembered argument is a *kind*, one replaced since perhaps included."""
    for call in known.calls:
        for value in _flat(call):
            if isinstance(value, kind):
                return True
    return False


def share_memory(known: KernelState, some: Iterable[int], others: Iterable[int]) -> bool:
    """Whether one of arguments *some* may be memory that is also one of *others*."""
    given = {index: value for call in known.calls for index, value in _pairs(call)}
    kept = {_memory(given[at]) for at in some}
    return any(memory in kept for memory in {_memory(given[at]) for at in others} - {None})


def _memory(value: Any) -> Hashable:
    """What tells the memory that argument *value* is from any other's; None if it is none."""
    # An image may be made of a buffer, and a buffer be a part of one.
    while value is not None:
        if value.flags & cl.mem_flags.USE_HOST_PTR:
            return "the host's"  # where objects may overlap
        part_of = value.get_info(cl.mem_info.ASSOCIATED_MEMOBJECT)
        if part_of is None:
            return int(value.int_ptr)
        value = part_of
    return None


def replay(known: KernelState, kernel: cl.Kernel) -> None:
    """Set the remembered arguments on *kernel* as they were set on the original."""
    for _, function, given in known.calls:
        function(kernel, *given)


def launched(known: KernelState) -> None:
    """Forget arguments that the next launch sets anew, so that nothing is kept alive for it."""
    if not known.sticky:
        known.calls.clear()


def _flat(call: Call) -> tuple[Any, ...]:
    width, _, given = call
    flat: tuple[Any, ...] = given[0] if width else given
    return flat


def _pairs(call: Call) -> Iterator[tuple[int, Any]]:
    """(index, value) of each argument of one remembered call."""
    flat = _flat(call)
    step = call[0] or len(flat)
    for at in range(0, len(flat), step):
        yield flat[at], (flat[at + step - 1] if step > 1 else None)


def _indices(call: Call) -> tuple[int, ...]:
    return _flat(call)[:: call[0] or 2]


#: Types whose values cannot change after OpenCL has copied them; more are found on the way.
_FIXED: set[type] = {int, float, complex, bool, str, bytes, type(None), cl.Buffer}


def _snapshot(width: int, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """*given* with copies of what its owner may change later, such as arrays of numpy."""
    flat = tuple(_fixed(value, width) for value in (given[0] if width else given))
    return (flat,) if width else flat


def _fixed(value: Any, width: int) -> Any:
    kind = type(value)
    if kind in _FIXED:
        return value
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        _FIXED.add(kind)
        return value
    if width == _PACKED:
        # To be packed as a number, which an array of no dimensions can stand for.
        return copy.copy(value)
    if isinstance(value, np.ndarray | np.void):
        # What memoryview() refuses may be given as well: a union, fields out of order, times.
        return value.tobytes("A")
    try:
        return memoryview(value).tobytes("A")
    except TypeError:
        # No memory of the host's: an image, a sampler, local memory.
        _FIXED.add(kind)
        return value


def _compact(known: KernelState) -> None:
    """Drop calls all of whose arguments were set again later."""
    seen: set[int] = set()
    kept = []
    for call in reversed(known.calls):
        indices = {index for index, _ in _pairs(call)}
        if not indices <= seen:
            kept.append(call)
        seen |= indices
    known.calls = kept[::-1]


def _wrap(name: str, width: int) -> None:
    original = getattr(cl._cl.Kernel, name)

    def setter(self: cl.Kernel, *given: Any) -> None:
        try:
            known: KernelState = self._gpusplit  # type: ignore[attr-defined]
        except AttributeError:
            known = state(self)
        calls = known.calls
        try:
            original(self, *given)
        except BaseException:
            # Some of them may be set all the same: what holds now is unknown.
            calls.clear()
            raise
        if not _FIXED.issuperset(map(type, given[0] if width else given)):
            given = _snapshot(width, given)
        call = (width, original, given)
        for at, earlier in enumerate(calls):
            if earlier[1] is original and _indices(earlier) == _indices(call):
                # Superseded; what it was given must not be kept alive.
                del calls[at]
                break
        calls.append(call)
        known.sticky = not width
        if len(calls) > _MOST_CALLS:
            _compact(known)

    hooks.put(cl._cl.Kernel, name, setter)
    # For those who measure what the wrapper costs.
    setter.gpusplit_original = original  # type: ignore[attr-defined]


def _wrap_set_args() -> None:
    # Its generated code ends in _set_arg_multi and the like, as that of a call does; but these
    # arguments stay.
    original = cl._cl.Kernel.set_args

    def set_args(self: cl.Kernel, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        state(self).sticky = True
        return result

    hooks.put(cl._cl.Kernel, "set_args", set_args)


def _watch() -> None:
    # (index, value, ...) or, packed, (index, letter of a type, value, ...)
    for name, width in (
        ("_set_arg_multi", 2),
        ("_set_arg_buf_multi", 2),
        ("_set_arg_buf_pack_multi", _PACKED),
    ):
        _wrap(name, width)
    for name in ("set_arg", "_set_arg_null", "_set_arg_buf", "_set_arg_svm"):
        if hasattr(cl._cl.Kernel, name):
            _wrap(name, 0)
    _wrap_set_args()
    _wrap_from_int_ptr()


#: Kernels that more than one Python object stands for: arguments may be set unseen.
_aliased: set[int] = set()


def aliased(kernel: cl.Kernel) -> bool:
    """Whether Kernel.from_int_ptr made another object for the same OpenCL kernel."""
    return bool(_aliased) and kernel.int_ptr in _aliased


def _wrap_from_int_ptr() -> None:
    original = cl._cl.Kernel.from_int_ptr

    def from_int_ptr(int_ptr_value: int, retain: bool = True) -> cl.Kernel:
        _aliased.add(int_ptr_value)
        return original(int_ptr_value, retain)

    hooks.put(cl._cl.Kernel, "from_int_ptr", staticmethod(from_int_ptr))


if hooks.once(cl._cl.Kernel, "_gpusplit_arguments"):
    _watch()
