#!/usr/bin/python3
"""Ansible module: Xen schedules as asked for, and says so itself."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.xl_scheduler import (
    COMMANDS,
    MOST_CPUS,
    Host,
    Request,
    Wanted,
    as_requested,
    commands,
    describe,
    impossible,
    parse_cpus,
    parse_info,
    parse_schedule,
    parse_vcpu_list,
    planned,
)

DOCUMENTATION = r"""
module: xen_scheduler
short_description: Set and check Xen's scheduler parameters, shares and pinning
description:
  - Sets what differs, reads everything back from Xen, and fails with every difference that is
    left. What is empty is left as it is.
  - In check mode Xen and its guests need not run yet.
  - Holds until the host reboots; the scheduler itself is chosen at boot and only checked.
options:
  scheduler: {type: str, required: true, description: The scheduler that must run.}
  timeslice: {type: int, description: Time slice in milliseconds (credit).}
  ratelimit: {type: int, description: Microseconds that a vCPU runs at least (credit and credit2).}
  domains:
    type: dict
    required: true
    description: By domain name, any of vcpus, pcpus (as xl writes them), weight, cap.
  planned:
    type: bool
    default: false
    description: Ask no host, and change nothing. Only fail if no host could schedule so.
author: gpusplit
"""

EXAMPLES = r"""
- name: Have Xen schedule as asked
  xen_scheduler:
    scheduler: credit
    timeslice: 30
    ratelimit: 1000
    domains:
      gpu1: {vcpus: 4, pcpus: "2,3,4,5", weight: 256, cap: 0}
"""

RETURN = r"""
commands:
  description: The calls of C(xl) that were needed.
  returned: success
  type: list
  elements: str
"""


def runs(module: AnsibleModule) -> bool:
    """Whether Xen does."""
    xl = module.get_bin_path("xl", opt_dirs=["/usr/sbin"])
    return bool(xl) and module.run_command([xl, "info"])[0] == 0


def ask(module: AnsibleModule) -> Host:
    """How Xen schedules now."""

    def xl(*words: str) -> str:
        code, out, err = module.run_command(["xl", *words])
        if code:
            why = err.strip() or out.strip()
            module.fail_json(msg=f"xl {' '.join(words)} failed: {why}. See `xl dmesg` on the host.")
        return str(out)

    scheduler, cpus = parse_info(xl("info"))
    command = COMMANDS.get(scheduler)
    schedule = parse_schedule(xl(command)) if command else None
    return Host(scheduler, cpus, schedule, parse_vcpu_list(xl("vcpu-list"), cpus))


def wanted(values: dict[str, Any], cpus: int) -> Wanted:
    """One domain's part of the request."""

    def number(name: str) -> int | None:
        return None if values.get(name) in (None, "") else int(values[name])

    pcpus = values.get("pcpus") or []
    lists = [pcpus] if isinstance(pcpus, (str, int)) else pcpus
    return Wanted(
        vcpus=number("vcpus"),
        pcpus=tuple(parse_cpus(str(each), cpus) for each in lists),
        weight=number("weight"),
        cap=number("cap"),
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "scheduler": {"type": "str", "required": True},
            "timeslice": {"type": "int"},
            "ratelimit": {"type": "int"},
            "domains": {"type": "dict", "required": True},
            "planned": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    asked = not params["planned"] and (not module.check_mode or runs(module))
    before = ask(module) if asked else None
    cpus = before.cpus if before else MOST_CPUS
    try:
        domains = {name: wanted(of, cpus) for name, of in params["domains"].items()}
    except ValueError as error:
        module.fail_json(
            msg=f"A domain's values are not numbers, or its CPUs not as xl writes them: {error}."
        )
    request = Request(params["scheduler"], params["timeslice"], params["ratelimit"], domains)

    def refuse(found: list[str]) -> None:
        if found:
            module.fail_json(msg="Xen cannot schedule as asked. " + " ".join(found), problems=found)

    if before and module.check_mode and (lacks := impossible(request, before)):
        # What comes first in a real run may make it possible.
        module.warn(f"Not as the host is now: {' '.join(lacks)}")
        before = None
    if before is None:
        before = planned(request)
        refuse(impossible(request, before))
        if params["planned"]:
            module.exit_json(changed=False)
    refuse(impossible(request, before))
    calls = commands(request, before)
    after = as_requested(request, before)
    if calls and not module.check_mode:
        for call in calls:
            code, out, err = module.run_command(["xl", *call])
            if code:
                refuse([f"`xl {' '.join(call)}` failed: {err.strip() or out.strip()}."])
        after = ask(module)
        refuse(impossible(request, after))
        if left := commands(request, after):
            refuse([f"It did not take `xl {' '.join(call)}`: see `xl dmesg`." for call in left])
    module.exit_json(
        changed=bool(calls),
        commands=[" ".join(["xl", *call]) for call in calls],
        diff={"before": describe(before, domains), "after": describe(after, domains)},
    )


if __name__ == "__main__":
    main()
