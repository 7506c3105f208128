#!/usr/bin/python3
"""Ansible module: the addresses of all functions of the GPU to pass through."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pci_card import (
    FIND,
    RECORD,
    hiding_rules,
    identify,
    read_record,
    record_text,
    the_card,
)
from ansible.module_utils.pci_devices import read_devices

DOCUMENTATION = r"""
module: gpu_functions
short_description: Find all functions of the GPU to pass through
description:
  - Finds the card as the preflight does, by what it is, and all functions that go with it.
  - With C(remember) it writes down which card it is. From then on that card is meant, wherever it
    is, until another one is asked for.
options:
  bdf:
    type: str
    required: true
    description:
      - Address of the GPU, C(find), its vendor:device, C(slot=NAME) or C(serial=NUMBER).
  vendor:
    type: str
    default: any
    choices: [any, nvidia, amd, intel]
    description: Whose GPU is meant.
  folder:
    type: path
    default: /var/lib/gpusplit
    description: Where it is written down.
  remember:
    type: bool
    default: false
    description: Whether to write it down. Changes nothing else.
author: gpusplit
"""

EXAMPLES = r"""
- name: Find the only NVIDIA card beside the boot display
  gpu_functions:
    bdf: find
    vendor: nvidia

- name: Know from now on which card is meant
  gpu_functions:
    bdf: slot=4
    remember: true
"""

RETURN = r"""
ansible_facts:
  description: What the other roles go by.
  returned: success
  type: dict
  contains:
    gpu_functions:
      description: Addresses, the GPU's first.
      type: list
      elements: str
      sample: ["0000:01:00.0", "0000:01:00.1"]
    gpu_pci_id:
      description: Vendor and device of the GPU.
      type: str
      sample: 10de:2204
    gpu_modules:
      description: Kernel modules of dom0 that had a function of it, now or before.
      type: list
      elements: str
      sample: [nouveau, snd_hda_intel, xhci_pci]
    gpu_hiding:
      description: How each function is known at the next boot.
      type: list
      elements: dict
"""


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
            "remember": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked, vendor = module.params["bdf"], module.params["vendor"]
    folder = Path(module.params["folder"])
    devices = read_devices()
    try:
        known = read_record(folder)
        card = the_card(devices, asked, vendor, known)
    except LookupError as error:
        module.fail_json(msg=str(error))
    gpu = card[0]
    if not gpu.is_gpu:
        module.fail_json(msg=f"{gpu} is not a GPU. Set gpu_bdf to `{FIND}` to look for one.")
    if gpu.physical:
        module.fail_json(msg=f"{gpu} is a virtual function of {gpu.physical}: name that one.")
    identity = identify(card, asked, vendor, known)
    news = module.params["remember"] and identity != known
    if news and not module.check_mode:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).write_text(record_text(identity))
    if known and known.asked == asked and known.bdf != gpu.bdf:
        module.warn(f"The card was at {known.bdf}, and is at {gpu.bdf} now.")
    facts = {
        "gpu_functions": [device.bdf for device in card],
        "gpu_pci_id": gpu.ids,
        "gpu_modules": list(identity.modules),
        "gpu_hiding": hiding_rules(devices, card),
    }
    diff = {
        "before": record_text(known) if known else "",
        "after": record_text(identity) if news else record_text(known) if known else "",
    }
    module.exit_json(changed=news, identity=asdict(identity), ansible_facts=facts, diff=diff)


if __name__ == "__main__":
    main()
