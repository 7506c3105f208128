"""What a program sees of the emulated GPU: the card, its time, and its driver's way of waiting.

Wall-clock and CPU times are only ever compared with large margins; exact statements are made about
profiling times, which come from the model.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.opencl

# One launch of the prelude's `launch()` on the paper's card at scale 1: 22 waves of 48
# work-groups of 256 work-items, 619.69 ns of device time each.
KERNEL_S = 22 * 48 * 256 * 619.692751e-9


def test_the_card_is_the_papers_and_says_that_it_is_emulated(emugpu):
    card = emugpu.run(
        """
        say(name=device.name, vendor=device.vendor, units=device.max_compute_units,
            gpus=len(platform.get_devices(cl.device_type.GPU)), driver=device.driver_version,
            is_gpu=device.type == cl.device_type.GPU)
    """,
        EMUGPU_SCALE="0.25",
        EMUGPU_EXEC="none",
    )
    assert card["name"] == "AMD Radeon HD 6570 (emulated)"
    assert card["vendor"].endswith("(emulated)")
    assert card["is_gpu"]
    assert card["gpus"] == 1
    assert card["units"] == 6
    assert "exec=none wait=spin scale=0.25" in card["driver"]


def test_there_is_no_cpu_device_behind_it(emugpu):
    found = emugpu.run("""
        try:
            say(cpus=len(platform.get_devices(cl.device_type.CPU)))
        except cl.RuntimeError as error:
            say(cpus=0)
    """)
    assert found["cpus"] == 0


def test_its_480_cores_are_found_with_amds_own_queries(emugpu):
    """pyopencl itself passes on only the first of the three, hence ctypes."""
    card = emugpu.run("""
        import ctypes

        (loader,) = {line.split()[-1] for line in open("/proc/self/maps") if "libOpenCL" in line}

        def query(what):
            value = ctypes.c_uint()
            handle, size = ctypes.c_void_p(device.int_ptr), ctypes.sizeof(value)
            error = ctypes.CDLL(loader).clGetDeviceInfo(
                handle, what, size, ctypes.byref(value), None)
            assert error == 0, hex(what)
            return value.value

        say(simds=query(0x4040), width=query(0x4041), instruction=query(0x4042),
            units=device.max_compute_units, extensions=device.extensions)
    """)
    assert "cl_amd_device_attribute_query" in card["extensions"].split()
    assert card["units"] * card["simds"] * card["width"] * card["instruction"] == 480


def test_the_papers_launch_takes_a_quarter_of_65_seconds(emugpu):
    event = emugpu.run(
        """
        event = cl.enqueue_nd_range_kernel(queue, twice, (5120, 5120), (16, 16))
        event.wait()
        say(**times(event))
    """,
        EMUGPU_SCALE="0.01",
        EMUGPU_EXEC="none",
    )
    seconds = (event["end"] - event["submit"]) / 1e9
    assert seconds == pytest.approx(65 / 4 * 0.01, rel=1e-6)


def test_a_kernel_takes_modelled_time_and_is_computed_for_real(emugpu):
    result = emugpu.run(
        """
        event = launch()
        event.wait()
        got = np.empty_like(host)
        cl.enqueue_copy(queue, got, buffer)
        say(correct=bool((got == 2).all()), **times(event))
    """,
        EMUGPU_EXEC="full",
    )
    assert result["correct"]
    assert (result["end"] - result["start"]) / 1e9 == pytest.approx(KERNEL_S, rel=1e-6)


def test_exec_none_takes_the_same_time_and_computes_nothing(emugpu):
    result = emugpu.run(
        """
        event = launch()
        event.wait()
        got = np.empty_like(host)
        cl.enqueue_copy(queue, got, buffer)
        say(untouched=bool((got == 1).all()), **times(event))
    """,
        EMUGPU_EXEC="none",
    )
    assert result["untouched"]
    assert (result["end"] - result["start"]) / 1e9 == pytest.approx(KERNEL_S, rel=1e-6)


def test_a_wait_ends_no_earlier_than_the_model_says(emugpu):
    waited = emugpu.run(
        """
        start = time.monotonic()
        launch()
        launch()
        queue.finish()
        say(seconds=time.monotonic() - start)
    """,
        EMUGPU_EXEC="none",
    )["seconds"]
    assert waited >= 2 * KERNEL_S


@pytest.mark.parametrize(
    "wait",
    [
        "event.wait()",
        "queue.finish()",
        "cl.enqueue_copy(queue, np.empty_like(host), buffer)",
    ],
)
def test_the_spinning_driver_burns_the_cpu_while_it_waits(emugpu, wait):
    used = emugpu.run(
        f"""
        start, before = time.monotonic(), wanted_seconds()
        for _ in range(4):
            event = launch()
            {wait}
        say(wanted=wanted_seconds() - before, wall=time.monotonic() - start)
    """,
        EMUGPU_EXEC="none",
        EMUGPU_WAIT="spin",
    )
    # All of it, but for what a host takes that this machine runs on.
    assert used["wanted"] > 0.5 * used["wall"]


@pytest.mark.parametrize(
    "wait",
    [
        "event.wait()",
        "queue.finish()",
        "cl.enqueue_copy(queue, np.empty_like(host), buffer)",
    ],
)
def test_the_interrupt_driver_leaves_the_cpu_alone_while_it_waits(emugpu, wait):
    used = emugpu.run(
        f"""
        launch()
        queue.finish()
        start, before = time.monotonic(), cpu_seconds()
        for _ in range(4):
            event = launch()
            {wait}
        say(cpu=cpu_seconds() - before, wall=time.monotonic() - start)
    """,
        EMUGPU_EXEC="none",
        EMUGPU_WAIT="interrupt",
        EMUGPU_SCALE="2",
    )
    assert used["wall"] >= 2 * 4 * KERNEL_S
    assert used["cpu"] < 0.3 * 2 * 4 * KERNEL_S


def test_a_running_kernel_uses_no_cpu_of_its_own(emugpu):
    """The driver's wait costs CPU, the kernel doesn't: a program may sleep and find it done."""
    used = emugpu.run(
        """
        event = launch()
        before = cpu_seconds()
        time.sleep(1)
        say(cpu=cpu_seconds() - before, complete=event.command_execution_status == COMPLETE)
    """,
        EMUGPU_EXEC="none",
    )
    assert used["complete"]
    assert used["cpu"] < 0.3


def test_kernels_of_one_queue_run_one_after_another_with_a_gap(emugpu):
    first, second = emugpu.run(
        """
        go = cl.UserEvent(context)  # no noise of the machine between the two
        events = [launch(wait_for=[go]), launch()]
        go.set_status(COMPLETE)
        queue.finish()
        print(json.dumps([times(e) for e in events]))
    """,
        EMUGPU_EXEC="none",
    )
    assert second["start"] - first["end"] == pytest.approx(10_000, abs=1)


def test_the_next_kernel_starts_on_time_even_if_nobody_looks(emugpu):
    """The GPU has its own timeline: three launches, then the program sleeps through all of them."""
    first, _, third = emugpu.run(
        """
        go = cl.UserEvent(context)
        events = [launch(wait_for=[go]), launch(), launch()]
        go.set_status(COMPLETE)
        time.sleep(1.5)
        assert events[2].command_execution_status == COMPLETE
        print(json.dumps([times(e) for e in events]))
    """,
        EMUGPU_EXEC="none",
    )
    assert (third["end"] - first["start"]) / 1e9 == pytest.approx(
        3 * KERNEL_S + 2 * 10e-6, rel=1e-6
    )


def test_a_slice_counts_its_own_work_groups(emugpu):
    """Rows 256 to 384 of 512 are 256 work-groups, 6 waves, wherever they lie in the NDRange."""
    event = emugpu.run(
        """
        event = launch(rows=128, offset=(0, 256))
        event.wait()
        say(**times(event))
    """,
        EMUGPU_EXEC="none",
    )
    assert (event["end"] - event["start"]) / 1e9 == pytest.approx(KERNEL_S * 6 / 22, rel=1e-6)


def test_status_goes_from_running_to_complete(emugpu):
    seen = emugpu.run(
        """
        event, later = launch(), launch()
        while event.command_execution_status > cl.command_execution_status.RUNNING:
            pass
        statuses = [event.command_execution_status, later.command_execution_status]
        queue.finish()
        statuses.append(later.command_execution_status)
        say(statuses=[int(s) for s in statuses])
    """,
        EMUGPU_EXEC="none",
        EMUGPU_SCALE="8",  # long enough to look at it in peace
    )["statuses"]
    running, queued, complete = 1, 3, 0
    assert seen == [running, queued, complete]


def test_the_scale_applies_to_every_modelled_time(emugpu):
    event = emugpu.run(
        """
        event = launch()
        event.wait()
        say(**times(event))
    """,
        EMUGPU_EXEC="none",
        EMUGPU_SCALE="0.5",
    )
    assert (event["end"] - event["start"]) / 1e9 == pytest.approx(KERNEL_S / 2, rel=1e-6)
    assert event["start"] - event["submit"] == pytest.approx(25_000, abs=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EMUGPU_SCALE", "0"),
        ("EMUGPU_SCALE", "fast"),
        ("EMUGPU_EXEC", "maybe"),
        ("EMUGPU_WAIT", "sometimes"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(emugpu, name, value):
    """The layer doesn't load: the program finds the CPU, never a GPU it didn't ask for."""
    done = emugpu.process("say(name=device.name)", **{name: value})
    lines = [line for line in done.stderr.splitlines() if "emugpu" in line]
    assert len(lines) == 1
    assert f"{name}={value}" in lines[0]
    assert "emulated" not in done.stdout
