"""Sequences of OpenCL calls, made from a number: what a program may do that knows what it does.

A sequence is drawn as *intents* ("launch something", with a number from which all of it follows),
and then planned into calls.  The plan adds what OpenCL wants of a program for its results to be
determined: commands on one buffer are ordered, by wait lists, barriers, markers, waits or by the
queue itself; threads work on buffers of their own, and hand them on between phases.  Any part of
the intents is planned as well, so that a failing sequence can be made short.

PoCL 3.1 keeps less than OpenCL says: of an out-of-order queue's barriers only the last one orders
what follows, and one with a wait list orders it behind that list alone.  So a plan counts on no
barrier but the last, and where other threads may enqueue one in between, on none.
"""

from __future__ import annotations

import random
from typing import Any

from call_draw import TRANSFERS, Access, Buffer, Sequence, Thread
from call_errors import ERRORS
from call_kernels import ITEMS, KERNELS, OFFSETS


class Plan:
    """Calls for intents: phases[n][t] is what thread t does in phase n."""

    def __init__(self, sequence: Sequence) -> None:
        """Plan all of it."""
        self.sequence = sequence
        self.phases: list[list[list[list[Any]]]] = []
        self._names = 0
        self._at = 0
        self._queues = {self._name("q"): kind for kind in sequence.queues}
        self._buffers = [Buffer(self._name("b")) for _ in range(sequence.buffers)]
        self._threads = [Thread(n) for n in range(sequence.threads)]
        self._accesses: list[Access] = []
        first = self._threads[0]
        for name, kind in self._queues.items():
            first.calls.append(["queue", name, kind])
        for buffer in self._buffers:
            first.calls.append(["buffer", buffer.name, self._at_random(buffer.name)])
        self._join()
        for kind, thread, bits in sequence.intents:
            self._t = self._threads[thread % sequence.threads]
            self._rng = random.Random(bits)
            getattr(self, f"_{kind}")()
        self._join()
        if sequence.fails:
            first.calls.append(["fails"])
            self._join()

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"

    def _at_random(self, name: str) -> int:
        return random.Random(f"{self.sequence.seed} {name}").getrandbits(32)

    def _say(self, *call: Any) -> None:
        self._t.calls.append(list(call))

    # Threads and phases.

    def _join(self) -> None:
        for thread in self._threads:
            self._t = thread
            self._settle()
        if any(thread.calls for thread in self._threads):
            self.phases.append([thread.calls for thread in self._threads])
        events = {name: q for thread in self._threads for name, q in thread.events.items()}
        for thread in self._threads:
            thread.calls = []
            thread.events = dict(events)

    def _phase(self) -> None:
        self._join()
        if self._rng.random() < 0.5:
            self._renew_queue()

    def _renew_queue(self) -> None:
        """A queue is released, perhaps while it works, and another one takes its place."""
        self._t = self._threads[0]
        gone = self._rng.choice(list(self._queues))
        for access in self._accesses:
            if access.queue == gone and not access.done and access.event is None:
                self._event_of(access)
        if self._rng.random() < 0.3:
            self._say("retain", "CommandQueue", gone)
            self._say("release", "CommandQueue", gone)
        self._say("release", "CommandQueue", gone)
        del self._queues[gone]
        name = self._name("q")
        self._queues[name] = self._rng.choice((0, 1, 2, 3))
        self._say("queue", name, self._queues[name])
        self._join()

    def _settle(self) -> None:
        """User events that commands wait for are over."""
        for event in self._t.pending:
            self._say("set", event, 0)
        self._t.pending, self._t.unused = [], []

    # Order.

    def _event_of(self, access: Access) -> str:
        """An event that is over when the command is."""
        if access.event is None:
            access.event = self._name("e")
            how = self._rng.choice(("marker", "old marker"))
            self._say(how, access.queue, [], access.event)
            self._t.events[access.event] = access.queue
        return access.event

    def _ordered(self, queue: str, needed: list[Access]) -> list[str]:
        """The events to wait for, so that a command on *queue* comes after *needed*."""
        out_of_order = self._queues[queue] & 1
        waits: list[str] = []
        style = self._rng.choice(("list", "list", "list", "barrier", "wait", "finish"))
        barrier = self._t.barriers.get(queue, 0)
        left = [
            a for a in needed
            if not a.done and not (a.queue == queue and (not out_of_order or a.at < barrier))
        ]  # fmt: skip
        if not left:
            return []
        if style in ("wait", "finish"):
            self._settle()
        for access in left:
            if style == "finish" and access.queue in self._queues:
                self._finish(access.queue)
                continue
            waits.append(self._event_of(access))
            if access.queue in self._queues and access.queue != queue:
                self._say("flush", access.queue)
            access.done = style == "wait"
        if not waits or style in ("list", "finish"):
            return waits
        if style == "wait":
            self._say("wait", waits)
            return []
        self._barrier(queue, waits, None)
        return waits if out_of_order and self.sequence.threads > 1 else []

    def _barrier(self, queue: str, waits: list[str], event: str | None) -> None:
        """With a wait list it orders what follows after what is in the list, and after nothing else
        that is known here."""
        self._say("barrier", queue, waits, event)
        self._at += 1
        if waits or self.sequence.threads > 1:
            self._t.barriers.pop(queue, None)
        else:
            self._t.barriers[queue] = self._at

    def _finish(self, queue: str) -> None:
        self._say("finish", queue)
        for access in self._accesses:
            mine = access in self._own
            access.done = access.done or (access.queue == queue and mine)

    @property
    def _own(self) -> list[Access]:
        """Commands on this thread's buffers: no others need be known to be over."""
        found = []
        for buffer in self._mine():
            found += [*buffer.reads, *([buffer.write] if buffer.write else [])]
        return found

    def _mine(self) -> list[Buffer]:
        n = self.sequence.threads
        turn = len(self.phases)
        return [b for at, b in enumerate(self._buffers) if (at + turn) % n == self._t.number]

    def _command(
        self, queue: str, reads: list[Buffer], writes: list[Buffer]
    ) -> tuple[list[str], Access]:
        """A wait list for a command, and what is noted of it."""
        needed = [b.write for b in (*reads, *writes) if b.write]
        needed += [read for b in writes for read in b.reads]
        waits = self._ordered(queue, needed)
        waits += self._t.unused
        self._t.unused = []
        live = [e for e in self._t.events if e not in waits]
        for event in self._rng.sample(live, min(len(live), self._rng.choice((0, 0, 0, 1, 2)))):
            waits.append(event)
            other = self._t.events[event]
            if other in self._queues and other != queue:
                self._say("flush", other)
        self._rng.shuffle(waits)
        self._at += 1
        access = Access(queue, self._at, self._name("e") if self._rng.random() < 0.6 else None)
        self._accesses.append(access)
        for buffer in reads:
            buffer.reads.append(access)
        for buffer in writes:
            buffer.write, buffer.reads = access, []
        return waits, access

    def _begun(self, access: Access, waits: list[str]) -> None:
        if access.event is not None:
            self._t.events[access.event] = access.queue
            if set(waits) & set(self._t.pending):
                self._say("waits", access.event)

    def _queue(self) -> str:
        return self._rng.choice(list(self._queues))

    # What programs do.

    def _launch(self) -> None:
        rng = self._rng
        a, b = (self._mine() * 2)[:2]
        if rng.random() < 0.5:
            a, b = b, a
        name = rng.choice([name for name in KERNELS if name != "two" or a is not b])
        gives, shapes = KERNELS[name]
        size, local = rng.choice(shapes)
        moved = rng.random() < 0.3
        offset = rng.choice(OFFSETS[len(size)]) if moved else rng.choice((None, (0,) * len(size)))
        queue = self._queue()
        kernel = f"k{self._t.number}.{rng.randrange(3)}.{name}_{'moved' if moved else 'zero'}"
        if kernel not in self._t.kernels:
            self._say("kernel", kernel)
            self._t.kernels[kernel] = [None] * len(gives)
        target = a.name
        if rng.random() < 0.1:
            target = self._name("p")
            self._say("part", target, a.name)
        values = {"A": target, "B": b.name, "v": f"v{rng.choice((0, 1, 2, 77))}", "s": "s8",
                  "p": f"x{rng.randrange(3)}"}  # fmt: skip
        told: list[str | None] = [values[what] for what in gives]
        have, keep = self._t.kernels[kernel], rng.random() < 0.5
        for at in rng.sample(range(len(told)), len(told)):
            if not (keep and have[at] == told[at]):
                self._say("argument", kernel, at, told[at])
        self._t.kernels[kernel] = told
        waits, access = self._command(
            queue, [b] if "B" in gives else [], [a] if "A" in gives else []
        )
        if name == "nothing" and rng.random() < 0.5:
            self._say("task", queue, kernel, waits, access.event)
        else:
            self._say("launch", queue, kernel, offset, size, local, waits, access.event)
        self._begun(access, waits)
        if target != a.name:
            self._say("release", "MemObject", target)
            self._forget(target)
        if rng.random() < 0.1:
            self._say("release", "Kernel", kernel)
            del self._t.kernels[kernel]

    def _forget(self, memory: str) -> None:
        """No kernel has this argument any more."""
        for thread in self._threads:
            for kernel, told in thread.kernels.items():
                thread.kernels[kernel] = [None if one == memory else one for one in told]

    def _transfer(self) -> None:
        rng = self._rng
        kind = rng.choice(TRANSFERS)
        one, other = (rng.choice(self._mine()) for _ in range(2))
        queue, host = self._queue(), self._name("h")
        at, size = 4 * rng.randrange(ITEMS // 2), 4 * rng.randint(1, ITEMS // 2)
        blocking = rng.random() < 0.5
        if "copy" in kind:
            if one is other:
                return
            waits, access = self._command(queue, [one], [other])
            to = 4 * rng.randrange(ITEMS // 2)
            self._say(kind, queue, one.name, other.name, at, to, size, waits, access.event)
        elif kind == "fill":
            waits, access = self._command(queue, [], [one])
            pattern = rng.choice((1, 4, 16))
            at, size = at // 16 * 16, (size + 15) // 16 * 16
            self._say("fill", queue, one.name, pattern, at, size, waits, access.event)
        else:
            if blocking or kind == "map":
                self._settle()
            into = [] if "read" in kind else [one]
            waits, access = self._command(queue, [] if into else [one], into)
            if kind == "map":
                self._map(access, one, host, blocking, at, size, waits)
                return
            self._say(kind, queue, one.name, host, blocking, at, size, waits, access.event)
            access.done = blocking
        self._begun(access, waits)

    def _map(
        self, access: Access, one: Buffer, host: str, blocking: bool, at: int, size: int,
        waits: list[str],
    ) -> None:  # fmt: skip
        flags = self._rng.choice((1, 2, 3, 4))
        access.event = access.event or self._name("e")
        self._say(
            "map", access.queue, one.name, host, blocking, flags, at, size, waits, access.event
        )
        self._begun(access, waits)
        if not blocking:
            self._say("wait", [access.event])
        self._say("touch", host, flags)
        waits, unmapped = self._command(access.queue, [], [one])
        self._say("unmap", access.queue, one.name, host, waits, unmapped.event)
        self._begun(unmapped, waits)

    def _user(self) -> None:
        name = self._name("u")
        self._say("user", name)
        self._t.pending.append(name)
        self._t.unused.append(name)

    def _order(self) -> None:
        queue = self._queue()
        kind = self._rng.choice(("barrier", "marker", "old marker", "old barrier"))
        waits = list(self._t.events)[-2:] if self._rng.random() < 0.5 else []
        if kind.startswith("old"):
            waits = []
        for other in {self._t.events[event] for event in waits} & set(self._queues):
            self._say("flush", other)
        event = None if kind == "old barrier" else self._name("e")
        if kind == "barrier":
            self._barrier(queue, waits, event)
        else:
            self._say(kind, queue, waits, event)
        if event:
            self._t.events[event] = queue

    def _wait(self) -> None:
        kind = self._rng.choice(("wait", "finish", "flush"))
        queue = self._queue()
        if kind == "flush":
            self._say("flush", queue)
            return
        self._settle()
        if kind == "finish":
            self._finish(queue)
        elif self._t.events:
            events = self._rng.choices(list(self._t.events), k=self._rng.randint(1, 3))
            self._say("wait", events)
            self._say("over", events[0])
            for access in self._own:
                access.done = access.done or access.event in events

    def _callback(self) -> None:
        if self._t.events:
            event = self._rng.choice(list(self._t.events))
            self._say("callback", event, self._rng.choice((0, 0, 1, 2)))

    def _release(self) -> None:
        rng = self._rng
        kind = rng.choice(("event", "event", "buffer", "kernel", "clone", "retain"))
        if kind == "event" and self.sequence.threads == 1 and self._t.events:
            event = rng.choice(list(self._t.events))
            theirs = [access for access in self._accesses if access.event == event]
            if any(access.queue not in self._queues for access in theirs):
                return  # nothing else would say when it is over
            del self._t.events[event]
            self._say("release", "Event", event)
            for access in theirs:
                access.event = None
        elif kind == "buffer":
            buffer = rng.choice(self._mine())
            self._say("release", "MemObject", buffer.name)
            self._forget(buffer.name)
            fresh = Buffer(self._name("b"))
            self._buffers[self._buffers.index(buffer)] = fresh
            self._say("buffer", fresh.name, self._at_random(fresh.name))
        elif kind == "kernel" and self._t.kernels:
            kernel = rng.choice(list(self._t.kernels))
            del self._t.kernels[kernel]
            self._say("release", "Kernel", kernel)
        elif kind == "clone" and self._t.kernels:
            kernel = rng.choice(list(self._t.kernels))
            thread, _, name = kernel.split(".")
            clone = f"{thread}.2.{name}"
            if clone not in self._t.kernels:
                self._say("clone", clone, kernel)
                self._t.kernels[clone] = list(self._t.kernels[kernel])
        elif kind == "retain" and self._t.events:
            event = rng.choice(list(self._t.events))
            self._say("retain", "Event", event)
            self._say("release", "Event", event)

    def _error(self) -> None:
        self._say("error", self._rng.randrange(len(ERRORS)), self._queue(), self._mine()[0].name)

    def _query(self) -> None:
        self._settle()
        if self._t.events:
            event = self._rng.choice(list(self._t.events))
            self._say("wait", [event])
            self._say("over", event)
