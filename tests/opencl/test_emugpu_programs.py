"""C programs on the emulated GPU: its timeline in virtual time, its loaders, a user of it.

The same programs run plainly and under the sanitizers: no leak, no race, no undefined behaviour.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.opencl


def test_the_timeline_keeps_its_rules_in_virtual_time(emugpu):
    done = emugpu.tool("timeline-test")
    assert done.stdout == "ok\n"


@pytest.mark.parametrize("entry", ["clInitLayer", "clInitLayerWithProperties"])
def test_every_kind_of_loader_can_load_the_layer(emugpu, entry):
    done = emugpu.tool("loader-test", str(emugpu.library), entry)
    assert done.stdout == "ok\n"


def test_the_layer_needs_the_c_library_only(emugpu):
    """It is copied into guests as one file."""
    needed = emugpu.needed_libraries()
    assert needed <= {"libc.so.6", "libm.so.6", "libpthread.so.0"}


@pytest.mark.parametrize("wait", ["spin", "interrupt", "poll"])
@pytest.mark.parametrize("profile", ["radeon-hd6570", "nvidia-h200"])
def test_a_c_program_uses_it_as_a_gpu(emugpu, wait, profile):
    done = emugpu.tool(
        "program-test",
        layer=True,
        EMUGPU_WAIT=wait,
        EMUGPU_PROFILE=emugpu.profile(profile),
        EMUGPU_SCALE="0.01",
        EMUGPU_REPORT="1",
    )
    assert done.stdout == "ok\n", done.stderr
    # The program releases all it made, so nothing may be left of it in the layer.
    assert "emugpu: at exit: 0 commands, 0 queues" in done.stderr


def test_a_kernel_ends_on_time_while_the_host_is_busy(emugpu):
    done = emugpu.tool("busy-host-test", layer=True, EMUGPU_EXEC="none", POCL_MAX_PTHREAD_COUNT="1")
    assert done.stdout == "ok\n", done.stderr


def test_the_timeline_under_the_sanitizers(sanitized_emugpu):
    done = sanitized_emugpu.tool("timeline-test")
    assert done.stdout == "ok\n", done.stderr


@pytest.mark.parametrize("wait", ["spin", "interrupt"])
def test_a_c_program_under_the_sanitizers(sanitized_emugpu, wait):
    done = sanitized_emugpu.tool("program-test", layer=True, EMUGPU_WAIT=wait, EMUGPU_SCALE="0.01")
    assert done.stdout == "ok\n", done.stderr
    assert done.returncode == 0, done.stderr
