"""How many VMs run on this host, as the host tells this guest.

The count includes this VM; Xen's dom0 is not counted.  Sources: a number somebody wrote down, the
agent of this VM, Xen's store, or a KVM guest's virtio-serial port.  A source never raises: what is
missing, stale or makes no sense is reported once as a warning and counts as unknown.  Launches go
by a number that is given or by the agent's (native/count.c); the others are what the agent listens
to, and `gpusplit watch` and `doctor` show.
"""

from __future__ import annotations

import functools
import os
from typing import Protocol

from gpusplit import page, virtio, xenstore
from gpusplit.config import PAGE
from gpusplit.count import TenancyError, TenancyWarning, parse_count
from gpusplit.subscription import Subscription

__all__ = [
    "Static",
    "Tenancy",
    "TenancyError",
    "TenancyWarning",
    "Unknown",
    "from_option",
    "listening",
]


class Tenancy(Protocol):
    """A source of the VM count."""

    def vm_count(self) -> int | None:
        """Running VMs including this one, or None where that is unknown."""
        ...

    def describe(self) -> str:
        """One line for people: what the source is and where it reads."""
        ...


class Static:
    """A number somebody wrote down."""

    def __init__(self, count: int) -> None:
        """count: running VMs including this one, at least 1."""
        self._count = count

    def vm_count(self) -> int | None:
        """That number."""
        return self._count

    def describe(self) -> str:
        """One line for people."""
        return f"static: {self._count} VMs"


class Unknown:
    """No source: not a guest that is told, and nobody gave a number."""

    def vm_count(self) -> int | None:
        """Unknown."""
        return None

    def describe(self) -> str:
        """One line for people."""
        return (
            "none found: this system has no Xen store and no virtio-serial port "
            f"{virtio.PORT_NAME}, and no static count is given"
        )


def from_option(option: str) -> Tenancy:
    """The source that the option vms names: auto, xenstore, kvm, static:N.

    ValueError says what is wrong with any other text.

    >>> from_option("static:3").vm_count()
    3
    """
    if option == "auto" and os.path.exists(PAGE):
        # It alone listens: a KVM guest's port takes one reader.
        return page.FromAgent(PAGE)
    return listening(option)


def listening(option: str) -> Tenancy:
    """The same where no agent is asked: for the agent itself."""
    if option == "auto":
        return _found()
    if option in ("xenstore", "kvm"):
        return _subscription(option)
    kind, _, number = option.partition(":")
    if kind == "static":
        try:
            return Static(parse_count(number))
        except TenancyError as error:
            raise ValueError(f"vms=static:N needs a number of VMs: {error}") from error
    raise ValueError(f"vms must be auto, xenstore, kvm or static:N, not {option!r}")


def _found() -> Tenancy:
    if xenstore.device() is not None:
        return _subscription("xenstore")
    if virtio.port() is not None:
        return _subscription("kvm")
    return Unknown()


@functools.cache
def _subscription(kind: str) -> Subscription:
    """The process' one subscription of a kind: a virtio-serial port can be opened only once."""
    return Subscription(xenstore.XenStore() if kind == "xenstore" else virtio.VirtioPort())
