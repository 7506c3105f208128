#!/usr/bin/python3
"""Ansible module: the addresses of all functions of the GPU to pass through."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pci_devices import FIND, find_gpu, read_devices

DOCUMENTATION = r"""
module: gpu_functions
short_description: Find all functions of the GPU to pass through
description: Changes nothing. Returns the facts gpu_functions (addresses, the display first),
  gpu_pci_id (vendor:device) and gpu_driver_now (the driver that has the display, or nothing).
options:
  bdf: {type: str, required: true, description: Address of the GPU, or C(find).}
  vendor:
    type: str
    default: any
    choices: [any, nvidia, amd, intel]
    description: Whose GPU to find.
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
        },
        supports_check_mode=True,
    )
    try:
        found = find_gpu(read_devices(), module.params["bdf"], module.params["vendor"])
    except LookupError as error:
        module.fail_json(msg=str(error))
    if not found[0].is_display:
        module.fail_json(msg=f"{found[0]} is not a GPU. Set gpu_bdf to `{FIND}` to look for one.")
    facts = {
        "gpu_functions": [device.bdf for device in found],
        "gpu_pci_id": f"{found[0].vendor}:{found[0].device}",
        "gpu_driver_now": found[0].driver,
    }
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
