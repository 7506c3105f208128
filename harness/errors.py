"""What can go wrong, by kind.

Every kind says *what* happened and *what to do*, in one message: whoever reads it has no
other context. The kinds are told apart because they are answered differently: a lab that
is not up is built, a lost connection may be tried again, a failed job is looked into.
"""

from __future__ import annotations


class HarnessError(Exception):
    """The root of everything the harness reports on purpose."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\nWhat to do: {self.remedy}"


class LabNotUp(HarnessError):
    """There is no lab, or what is left of one."""


class LabUnsuitable(HarnessError):
    """The lab stands, but it is not what this run needs."""


class ToolMissing(HarnessError):
    """A program that the harness needs on the controller is not there."""


class HostUnreachable(HarnessError):
    """SSH itself failed: no route, a refused login, a lost connection."""


class GivenUp(HostUnreachable):
    """The machine was given up earlier in the run; nothing was tried."""


class HostKeyRefused(HostUnreachable):
    """The host showed a key that is not the one the lab wrote down."""


class CommandFailed(HarnessError):
    """SSH worked; the command on the host ended with an error."""


class CommandTimedOut(HarnessError):
    """SSH worked; the command on the host did not end in time."""


class JobFailed(HarnessError):
    """A measured job ended early, or said something that it should not say."""


class NotReady(HarnessError):
    """Something that was waited for did not come about in time."""


class CannotWrite(HarnessError):
    """A file of a run could not be written; what was written before is whole."""


class UnreadableResults(HarnessError):
    """A run's files are missing, broken or of another version."""
