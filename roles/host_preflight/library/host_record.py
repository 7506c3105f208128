#!/usr/bin/python3
"""Ansible module: what the preflight reads of a host, as a record without personal details."""

from __future__ import annotations

import platform
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_record import record

DOCUMENTATION = r"""
module: host_record
short_description: Record of a host what the preflight reads, for a bug report
description:
  - Changes nothing. The host's name, hardware addresses, identifiers of disks, serial numbers and
    public addresses are left out.
options:
  root:
    type: path
    default: /
    description: Where the host's files are.
author: gpusplit
"""

EXAMPLES = r"""
- name: Record the host
  host_record:
  register: recorded
"""

RETURN = r"""
record:
  description: Files, links and answers of commands.
  returned: always
  type: dict
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "default": "/"}}, supports_check_mode=True
    )

    def run(*argv: str) -> str:
        program = module.get_bin_path(argv[0], opt_dirs=["/usr/sbin", "/sbin"])
        if program is None:
            return ""
        code, out, _ = module.run_command([program, *argv[1:]])
        return "" if code else str(out)

    host = platform.node().split(".")[0]
    module.exit_json(changed=False, record=record(Path(module.params["root"]), run, host))


if __name__ == "__main__":
    main()
