"""Ansible callback: the run ends after the first task that has changed something, as if cut off."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: interrupting
type: aggregate
short_description: End the run after the first change
description: For tests. Writes the task's name into the file that CHANGED_TASK names.
"""

INTERRUPTED = 86
"""Exit status of a run that was cut off."""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "interrupting"

    def v2_runner_on_ok(self, result: Any) -> None:
        if result._result.get("changed"):
            with open(os.environ["CHANGED_TASK"], "a") as file:
                file.write(f"{result._task.get_name()}\n")
            os._exit(INTERRUPTED)
