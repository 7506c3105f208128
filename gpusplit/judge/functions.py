"""What is known of a program: its functions, each by itself, and what all of them share."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpusplit.judge import stillness
from gpusplit.judge.frontend import Cursor


@dataclass(slots=True)
class Function:
    """One function with a body.

    Attributes
    ----------
    name: as in the source; is_kernel: whether it looks like a kernel.
    calls: identities of the program's functions that it mentions.
    builtins: names of the language's functions that it mentions.
    asks: which of the renamed functions it asks.
    atomics: names of atomic functions that it uses on memory other work-groups can see.
    waits: whether it has a jump, or a loop whose end may hang on memory in a way not followed.
    communicates: whether it orders or shares memory with other work-groups otherwise.
    left_early: what is called in its counted loops that are left early; None without such a loop.
    orders: whether it has a barrier that orders global memory, but in no loop that waits.
    uses_local: whether it has or takes local memory, or is told how work-items are grouped.
    variables: names of the program's own variables that it mentions and a variant has twice.
    lends: what it calls with a pointer to a variable by which a loop of its ends.
    keeps: whether it can keep a pointer that it is given, as a number or in memory.
    fences: whether it orders global memory in any way.
    leans: pointers behind whose memory loops of its find where they end.
    doubtful: loops that may wait if they see what other work-groups do.
    cursor: its definition.
    problem: why nothing that reaches it may be split; empty if there is no such thing.
    """

    name: str
    is_kernel: bool = False
    calls: set[int] = field(default_factory=set)
    builtins: set[str] = field(default_factory=set)
    asks: set[str] = field(default_factory=set)
    atomics: set[str] = field(default_factory=set)
    waits: bool = False
    communicates: bool = False
    left_early: set[int] | None = None
    orders: bool = False
    uses_local: bool = False
    variables: set[str] = field(default_factory=set)
    lends: set[int] = field(default_factory=set)
    keeps: bool = False
    fences: bool = False
    leans: set[int] = field(default_factory=set)
    doubtful: list[Cursor] = field(default_factory=list)
    cursor: Cursor = None
    problem: str = ""

    def add(self, part: Function) -> None:
        """What a *part* of the function does, it does."""
        self.calls |= part.calls
        self.builtins |= part.builtins
        self.asks |= part.asks
        self.atomics |= part.atomics
        self.variables |= part.variables
        self.waits |= part.waits
        self.communicates |= part.communicates
        self.orders |= part.orders
        self.uses_local |= part.uses_local
        self.keeps |= part.keeps
        self.fences |= part.fences
        self.leans |= part.leans
        self.doubtful += part.doubtful
        self.problem = self.problem or part.problem
        if part.left_early is not None:
            self.left_early = (self.left_early or set()) | part.left_early


@dataclass(slots=True)
class Program:
    """All functions by identity, and whether more than they show may be volatile or shared.

    shares: a type or variable outside them is volatile, or one of them makes a pointer to local or
        private memory of something else.
    """

    functions: dict[int, Function] = field(default_factory=dict)
    shares: bool = False
    #: Whether macros paste names together.
    pastes: bool = True
    #: Why nothing of it may be split; empty if there is no such thing.
    problem: str = ""
    #: Names of functions that are declared, and of those that have a body.
    declared: set[str] = field(default_factory=set)
    #: Those that answer in place of the language's, which come first: their identities by name.
    ours: dict[str, int] = field(default_factory=dict)
    #: Names of functions by identity: those that a variant names otherwise are long to read.
    names: dict[int, str] = field(default_factory=dict)
    #: What their types are, which are few.
    types: dict[int, tuple[bool, bool, bool]] = field(default_factory=dict)
    #: Those outside functions, by identity.
    variables: set[int] = field(default_factory=set)
    #: What functions do with pointers, as far as anybody has asked.
    known_uses: dict[int, stillness.Uses] = field(default_factory=dict)

    def uses(self, function: int) -> stillness.Uses:
        """What *function* does with pointers."""
        if function not in self.known_uses:
            self.known_uses[function] = stillness.of(self.functions[function].cursor)
        return self.known_uses[function]
