#!/usr/bin/python3
"""Ansible module: the GPU's functions can be given to a guest, and what Xen says of that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.iommu_tables import read_tables
from ansible.module_utils.pci_card import read_record, the_card, warnings
from ansible.module_utils.pci_devices import PCIBACK, read_devices

DOCUMENTATION = r"""
module: gpu_assignable
short_description: Make a GPU's functions assignable, and check what Xen says of that
description:
  - Finds the card as M(gpu_functions) does, for its address may have changed with the boot.
  - Each function that another driver has, whichever, is taken from it and given to pciback. One
    that a guest has is left alone.
  - Fails where Xen has no IOMMU, or does not remap interrupts. Warns of memory that the firmware
    has reserved for a function, and of functions that cannot be reset.
options:
  bdf:
    type: str
    required: true
    description: Which GPU is meant, as for M(gpu_functions).
  vendor:
    type: str
    default: any
    choices: [any, nvidia, amd, intel]
    description: Whose GPU is meant.
  folder:
    type: path
    default: /var/lib/gpusplit
    description: Where it is written down which card it is.
  accept:
    type: list
    elements: str
    default: []
    description: Problems to only warn of, by what stands in brackets before each.
author: gpusplit
"""

EXAMPLES = r"""
- name: Make the card assignable
  gpu_assignable:
    bdf: "0000:01:00.0"
    accept: [interrupt-remapping]
"""

RETURN = r"""
ansible_facts:
  description: C(gpu_functions), the addresses of the card's functions, the GPU's first.
  returned: success
  type: dict
added:
  description: Functions that had to be taken from their driver.
  returned: always
  type: list
  elements: str
problems:
  description: Names of what was found and not accepted.
  returned: failure
  type: list
  elements: str
"""


SYS = Path("/sys")


def capabilities(info: str) -> set[str]:
    """What Xen can do with the hardware, by `xl info`."""
    found = re.search(r"^virt_caps\s*:(.*)$", info, re.MULTILINE)
    return set(found[1].split()) if found else set()


def remaps_interrupts(messages: str) -> bool | None:
    """By `xl dmesg`; None where the message has been pushed out of Xen's buffer."""
    found = re.search(r"Interrupt remapping (en|dis)abled", messages, re.IGNORECASE)
    return found[1].lower() == "en" if found else None


def problems(info: str, messages: str) -> Iterator[tuple[str, str]]:
    """What makes it impossible or dangerous to pass a device through."""
    if not capabilities(info) & {"hvm_directio", "pv_directio"}:
        yield (
            "iommu",
            "Xen has no IOMMU (`xl info` has no hvm_directio in virt_caps): switch on VT-d or "
            "AMD-Vi in the firmware's setup; `xl dmesg` says why Xen does not use it.",
        )
    elif remaps_interrupts(messages) is False:
        yield (
            "interrupt-remapping",
            "Xen does not remap interrupts, so a guest with a device can send dom0 any interrupt: "
            "switch it on in the firmware's setup (x2APIC, Interrupt Remapping), or accept that, "
            "for guests that you trust: host_preflight_accept: [interrupt-remapping].",
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "bdf": {"type": "str", "required": True},
            "vendor": {
                "type": "str",
                "default": "any",
                "choices": ["any", "nvidia", "amd", "intel"],
            },
            "folder": {"type": "path", "default": "/var/lib/gpusplit"},
            "accept": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )

    devices = read_devices(SYS)
    try:
        known = read_record(Path(module.params["folder"]))
        card = the_card(devices, module.params["bdf"], module.params["vendor"], known)
    except LookupError as error:
        module.fail_json(msg=str(error))
    functions = [device.bdf for device in card]
    facts = {"gpu_functions": functions}
    if module.check_mode and module.get_bin_path("xl", opt_dirs=["/usr/sbin"]) is None:
        # Xen would come first.
        module.exit_json(changed=True, added=functions, ansible_facts=facts)

    def xl(*words: str) -> str:
        return str(module.run_command(["xl", *words], check_rc=True)[1])

    left = []
    for name, text in problems(xl("info"), xl("dmesg")):
        if name in module.params["accept"]:
            module.warn(f"Accepted ({name}): {text}")
        else:
            left.append((name, text))
    if left:
        texts = "".join(f"\n- [{name}] {text}" for name, text in left)
        module.fail_json(
            msg=f"The GPU is not passed through:{texts}", problems=[p for p, _ in left]
        )
    for text in warnings(card, read_tables(SYS, devices).reserved):
        module.warn(text)
    # A device that a guest has is pciback's too, and is not listed.
    listed = xl("pci-assignable-list").split()
    add = [device.bdf for device in card if device.driver != PCIBACK and device.bdf not in listed]
    if not module.check_mode:
        if add and not (SYS / "bus/pci/drivers" / PCIBACK).exists():
            module.run_command(["modprobe", "xen-pciback"], check_rc=True)
        for bdf in add:
            xl("pci-assignable-add", bdf)
    module.exit_json(changed=bool(add), added=add, ansible_facts=facts)


if __name__ == "__main__":
    main()
