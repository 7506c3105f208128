"""A driver that keeps commands until their queue is flushed, as OpenCL lets it.

PoCL and the emulated GPU begin with every command at once, so that a flush that is missing is seen
on neither.  The same sequences of calls as in test_native_calls.py run above such a driver
(deferring_layer.c), which poses as NVIDIA's, too: there all slices are sent in the call.
"""

from __future__ import annotations

import pytest
from call_machine import Machine
from native_layer import Layer
from native_layer import layer as layer

pytestmark = pytest.mark.opencl

#: What is waited for first needs what only the rest of that call flushes: its next event's queue,
#: or the queue that the transfer is on.
TOGETHER = """
def go(queue, *wait_for):
    twice.set_args(buffer)
    return cl.enqueue_nd_range_kernel(queue, twice, (SIDE, 1), None, wait_for=list(wait_for))
one, other = cl.CommandQueue(context), cl.CommandQueue(context)
for _ in range(3):
    before = go(other)
    behind = go(one, before)
    cl.wait_for_events([behind, before])
    before = go(other)
    behind = go(one, before)
    one.flush()
    cl.enqueue_copy(other, host, buffer, wait_for=[behind])
say(first=float(host[0, 0]))
"""


@pytest.mark.parametrize("wait", ["cooperative", "driver"])
def test_who_waits_for_several_flushes_all_of_them_first(layer: Layer, wait: str) -> None:
    """As the driver does: one may wait for another's queue."""
    options = {"wait": wait, "policy": "time"}  # which measures the driver's waits
    ran = layer.run(TOGETHER, layer.deferrer, **options)
    assert ran.facts == '{"first": 4096.0}'


@pytest.mark.parametrize("poses", [{}, {"WATCH_NVIDIA": "device"}], ids=["driver", "NVIDIA's"])
def test_sequences_of_calls_end_the_same_where_commands_wait_for_a_flush(
    layer: Layer, poses: dict[str, str]
) -> None:
    machine = Machine(layer, None, (layer.watcher, layer.deferrer), poses)
    machine.compare(range(300), ({"groups": "2"}, {"groups": "7"}))
