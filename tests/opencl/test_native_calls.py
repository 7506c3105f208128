"""Sequences of calls end the same with launches cut as without: results, errors, events, times.

SEQUENCES of call_maker.py by default, half of them on the emulated GPU; LONG_TESTS=50 in the
environment runs 50,000.  A sequence that differs, or kills or hangs its process, is named by its
number and made as short as it can be.
"""

from __future__ import annotations

import os

import pytest
from call_draw import draw
from call_errors import ERRORS
from call_machine import Calls, Machine
from conftest import EmuGpu
from native_layer import install

pytestmark = pytest.mark.opencl

SEQUENCES = 1000 * int(os.environ.get("LONG_TESTS", "1"))
#: How launches are cut, and how many of their slices are on the device at a time.
WAYS = (
    {"groups": "2"},
    {"groups": "3", "in_flight": "1"},
    {"groups": "7", "in_flight": "3"},
    {"groups": "4", "wait": "driver"},
)


@pytest.mark.parametrize("device", ["PoCL", "emulated"])
def test_sequences_of_calls_end_the_same(
    tmp_path_factory: pytest.TempPathFactory, emugpu: EmuGpu, device: str
) -> None:
    emulated = device == "emulated"
    machine = Machine(install(tmp_path_factory.mktemp("calls")), emugpu if emulated else None)
    machine.compare(range(SEQUENCES)[int(emulated) :: 2], WAYS)


def refused(kind: int, error: int) -> Calls:
    """Calls that are refused, behind a launch that waits for the program to set an event."""
    kernel, launched = "k.add_zero", ["launch", "q", "k.add_zero", None, [64], [8], ["u"], "e"]
    return [[[
        ["queue", "q", kind], ["buffer", "b1", 1], ["kernel", kernel], ["user", "u"],
        ["argument", kernel, 0, "b1"], ["argument", kernel, 1, "v3"], launched,
        ["waits", "e"], ["error", error, "q", "b1"], ["waits", "e"], ["set", "u", 0],
        ["wait", ["e"]],
    ]]]  # fmt: skip


@pytest.mark.parametrize("device", ["PoCL", "emulated"])
def test_what_is_refused_is_refused_at_once(
    tmp_path_factory: pytest.TempPathFactory, emugpu: EmuGpu, device: str
) -> None:
    """With the driver's error, though what is before hangs on what the program does next."""
    layer = install(tmp_path_factory.mktemp("calls"))
    machine = Machine(layer, emugpu if device == "emulated" else None)
    plans = [(0, refused(kind, error)) for kind in (0, 1) for error in range(len(ERRORS))]
    plain, why = machine.call(plans, None)
    assert len(plain) == len(plans), why
    for way in ({"policy": "unsplit"}, *WAYS[1::2]):
        ours, why = machine.call(plans, way)
        assert ours == plain, why


#: What the driver alone ended in several ways before a plan knew better, and why (call_maker.py).
MENDED = {
    22620: "a barrier with a wait list, and a launch behind it that counted on the barrier before",
}


@pytest.mark.parametrize("seed", MENDED)
def test_the_driver_alone_ends_a_sequence_in_one_way(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Of what was planned for 22620 at first, 9 runs of 60 ended otherwise."""
    machine = Machine(install(tmp_path_factory.mktemp("calls")), None)
    found, why = machine.run([draw(seed)] * 60, None)
    assert len(found) == 60, why
    assert all(one == found[0] for one in found), MENDED[seed]
