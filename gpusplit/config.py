"""The options: one dataclass, read from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace

TYPE_CHECKING = False  # as in __init__.py; a slow guest imports slowly
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: An environment variable is this and the option's name in capitals.
PREFIX = "GPUSPLIT_"

#: What only the native library reads, and what it starts (native/settings.h, options.h; asked.py).
LIBRARYS = ("COUNT_FILE", "EXPLAIN", "OBSERVE", "PYTHON", "REPORT", "SPIN_US")

#: Where the agent of a GPU VM keeps the count of running VMs (page.py, native/count.c).
PAGE = "/run/gpusplit/count"

#: What follows where nobody looks at an option that makes no sense (native/settings.c, too).
WITHOUT = "the program runs as if without gpusplit"

POLICIES = ("unsplit", "fixed", "vms", "time", "adaptive")
JUDGES = ("background", "wait")
WAITS = ("cooperative", "driver")


class ConfigError(ValueError):
    """An option has a value that makes no sense; the message names both."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a user may choose; the defaults are what gpusplit does unasked.

    Attributes
    ----------
    policy: unsplit; fixed (a number of groups); vms (groups = VMs x alpha, the paper's Eq. 1);
        time (no group longer than group_ms); adaptive (as many as help the neighbours, at a
        slow-down of at most budget).
    groups: the number of groups of the policy fixed.
    alpha: groups per running VM, for the policy vms.
    group_ms: milliseconds that a group may take, for the policy time.
    budget: part by which a launch may become slower, for the policy adaptive (0.05: 5 %).
    wait: cooperative (sleep, then poll) or driver (whatever the OpenCL driver does; most spin).
    vms: where the VM count comes from: auto, xenstore, kvm, static:N.
    queues: queues that slices go to in turn, companions of the caller's, 1 to 4.  0 lets the wait
        decide: 2 with cooperative waits, more for small slices; 1 with the driver's, as the paper.
    in_flight: groups that may be enqueued and not complete; 0 lets the wait decide: 256 for each
        queue with cooperative waits; 1 with the driver's, which synchronises every group before
        the next.
    cores: the GPU's cores; 0 asks the device.  A launch of fewer work-items is never split, and
        no slice is made of fewer.
    judge: background (a launch stays whole until the verdict on its kernel is found) or wait (it
        waits for it: for short programs and tests).
    summary: print what was split when the program ends.
    timeline: a file for a timeline in the Trace Event Format; empty for none.
    """

    policy: str = "vms"
    groups: int = 10
    alpha: float = 2.0
    group_ms: float = 5.0
    budget: float = 0.05
    wait: str = "cooperative"
    vms: str = "auto"
    queues: int = 0
    in_flight: int = 0
    cores: int = 0
    judge: str = "background"
    summary: bool = False
    timeline: str = ""

    def __post_init__(self) -> None:
        """ConfigError for values that cannot be used."""
        for name, choices in (
            ("policy", POLICIES),
            ("wait", WAITS),
            ("judge", JUDGES),
            ("queues", (0, 1, 2, 3, 4)),
        ):
            value = getattr(self, name)
            if value not in choices:
                names = ", ".join(map(str, choices))
                raise ConfigError(f"{name} must be one of {names}, not {value!r}")
        for name, least in (("groups", 1), ("in_flight", 0), ("cores", 0)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, not {value}")
        for name in ("alpha", "group_ms", "budget"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ConfigError(f"{name} must be a number above 0, not {value}")
        if self.vms != "auto":
            from gpusplit import tenancy

            try:
                tenancy.from_option(self.vms)
            except ValueError as error:
                raise ConfigError(str(error)) from error

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Config:
        """The defaults, with what the file GPUSPLIT_CONFIG and then the environment say instead.

        ConfigError where a value makes no sense or a GPUSPLIT_ variable names no option.
        """
        environ = os.environ if environ is None else environ
        found = {
            name.removeprefix(PREFIX).lower(): text
            for name, text in environ.items()
            if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in LIBRARYS
        }
        path = found.pop("config", None)
        base = cls() if path is None else cls().with_file(path)
        return base.with_options(found, PREFIX.rstrip("_") + " environment variables")

    def with_file(self, path: str) -> Config:
        """A copy with what the TOML file *path* says: the options' names at its top level."""
        import tomllib  # the common case has no file

        try:
            with open(path, "rb") as file:
                options = tomllib.load(file)
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from error
        return self.with_options(options, path)

    def with_options(self, options: Mapping[str, Any], source: str) -> Config:
        """A copy with *options* (texts or values by name) put in; *source* is for messages."""
        kinds = {field.name: type(field.default) for field in fields(self)}
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in kinds:
                raise ConfigError(
                    f"{source}: there is no option {name!r} (there are {', '.join(kinds)})"
                )
            try:
                values[name] = _read(kinds[name], value)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{source}: {name}: {error}") from None
        try:
            return replace(self, **values)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None

    def environment(self) -> dict[str, str]:
        """All options as the environment has them; from_environment() makes the same of it."""
        return {
            PREFIX + field.name.upper(): text(getattr(self, field.name)) for field in fields(self)
        }

    @property
    def cooperative(self) -> bool:
        """Whether waits sleep."""
        return self.wait == "cooperative"


def text(value: object) -> str:
    """An option's *value* as the environment has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(kind: type, value: Any) -> Any:
    """*value*, a text or a TOML value, as a *kind*; ValueError or TypeError if it is none."""
    if kind is bool:
        if isinstance(value, bool):
            return value
        truth = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if str(value).lower() not in truth:
            raise ValueError(f"must be true or false, not {value!r}")
        return truth[str(value).lower()]
    if kind is str:
        if not isinstance(value, str):
            raise TypeError(f"must be a text, not {value!r}")
        return value
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise TypeError(f"must be a whole number, not {value!r}")
    try:
        return kind(value)
    except (TypeError, ValueError):
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"must be {what}, not {value!r}") from None
