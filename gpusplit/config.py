"""The options: one dataclass, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gpusplit import tenancy
from gpusplit.policy import Fixed, PerVmCount, Policy, Unsplit

#: An environment variable is this and the option's name in capitals.
PREFIX = "GPUSPLIT_"

POLICIES = ("unsplit", "fixed", "vms")
WAITS = ("cooperative", "driver")


class ConfigError(ValueError):
    """An option has a value that makes no sense; the message names both."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a user may choose; the defaults are what gpusplit does unasked.

    Attributes
    ----------
    policy: unsplit; fixed (a number of groups); vms (groups = VMs x alpha).
    groups: the number of groups of the policy fixed.
    alpha: groups per running VM, for the policy vms.
    wait: cooperative (sleep, then poll) or driver (whatever the OpenCL driver does; most spin).
    vms: where the VM count comes from: auto, xenstore, static:N.
    in_flight: groups that may be enqueued and not complete; 0 lets the wait decide: with
        cooperative waits one group is always queued behind the running one, and the driver's
        waits synchronise every group before the next as the paper does.
    cores: the GPU's cores; 0 asks the device.  A launch of fewer work-items is never split.
    """

    policy: str = "vms"
    groups: int = 10
    alpha: float = 2.0
    wait: str = "cooperative"
    vms: str = "auto"
    in_flight: int = 0
    cores: int = 0

    def __post_init__(self) -> None:
        """ConfigError for values that cannot be used."""
        if self.policy not in POLICIES:
            raise ConfigError(f"policy must be one of {', '.join(POLICIES)}, not {self.policy!r}")
        if self.wait not in WAITS:
            raise ConfigError(f"wait must be one of {', '.join(WAITS)}, not {self.wait!r}")
        if self.groups < 1:
            raise ConfigError(f"groups must be at least 1, not {self.groups}")
        if not 0 < self.alpha < float("inf"):
            raise ConfigError(f"alpha must be a number above 0, not {self.alpha}")
        if self.in_flight < 0:
            raise ConfigError(f"in_flight must be 0 or more, not {self.in_flight}")
        if self.cores < 0:
            raise ConfigError(f"cores must be 0 or more, not {self.cores}")
        try:
            tenancy.from_option(self.vms)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Config:
        """The defaults, with what GPUSPLIT_POLICY, GPUSPLIT_GROUPS, ... say instead.

        ConfigError where a value makes no sense or a variable names no option.
        """
        environ = os.environ if environ is None else environ
        found = {
            name[len(PREFIX) :].lower(): text
            for name, text in environ.items()
            if name.startswith(PREFIX)
        }
        return cls().with_options(found, source=PREFIX + "*")

    def with_options(self, options: Mapping[str, Any], source: str) -> Config:
        """A copy with *options* (texts or values by name) put in; *source* is for messages."""
        readers: dict[str, Callable[[Any], Any]] = {
            "policy": str, "groups": int, "alpha": float, "wait": str, "vms": str,
            "in_flight": int, "cores": int,
        }  # fmt: skip
        values: dict[str, Any] = {}
        for name, value in options.items():
            reader = readers.get(name)
            if reader is None:
                raise ConfigError(f"{source}: there is no option {name!r}")
            try:
                values[name] = reader(value)
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"{source}: {name} must be of type {reader.__name__}: {error}"
                ) from error
        return replace(self, **values)

    def make_policy(self) -> Policy:
        """The policy that these options name."""
        if self.policy == "fixed":
            return Fixed(self.groups)
        if self.policy == "vms":
            return PerVmCount(self.alpha)
        return Unsplit()
