"""Queues, events and transfers of the emulated GPU, seen from pyopencl.

Times are profiling times, which come from the model. Where commands are to start together they
wait for one user event, so that no noise of the machine gets between them. The card is the
paper's: 48 slots for work-groups of 16 x 16; 16 rows of the prelude's `launch()` are 32 of them.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.opencl

WAVE_NS = 48 * 256 * 619.692751
GAP_NS = 10_000
NONE = {"EMUGPU_EXEC": "none"}


def us(nanoseconds: float) -> float:
    return nanoseconds / 1000


def test_a_kernel_on_another_queue_fills_the_last_wave(emugpu):
    """160 work-groups are 3 waves and 16; the 32 of the other queue fit beside those 16."""
    big, small = emugpu.run(
        """
        other = cl.CommandQueue(context, properties=PROFILING)
        go = cl.UserEvent(context)
        events = [launch(rows=80, wait_for=[go]), launch(other, rows=16, wait_for=[go])]
        go.set_status(COMPLETE)
        cl.wait_for_events(events)
        print(json.dumps([times(e) for e in events]))
        """,
        **NONE,
    )
    assert small["start"] - big["start"] == pytest.approx(3 * WAVE_NS, abs=2)
    assert small["end"] == pytest.approx(big["end"], abs=2)
    assert big["end"] - big["start"] == pytest.approx(4 * WAVE_NS, abs=2)


def test_an_out_of_order_queue_runs_independent_kernels_side_by_side(emugpu):
    first, second, third = emugpu.run(
        """
        free = cl.CommandQueue(context, properties=PROFILING | OUT_OF_ORDER)
        go = cl.UserEvent(context)
        first = launch(free, rows=8, wait_for=[go])
        second = launch(free, rows=8, wait_for=[go])
        third = launch(free, rows=8, wait_for=[first, second])
        time.sleep(0.01)  # both launches have reached the device, however slowly they were made
        go.set_status(COMPLETE)
        free.finish()
        print(json.dumps([times(e) for e in (first, second, third)]))
        """,
        **NONE,
    )
    assert second["start"] - first["start"] == pytest.approx(GAP_NS, abs=2)  # the front end
    assert second["start"] < first["end"]
    assert third["start"] >= max(first["end"], second["end"])


def test_a_barrier_holds_back_what_comes_after_it(emugpu):
    before, after = emugpu.run(
        """
        free = cl.CommandQueue(context, properties=PROFILING | OUT_OF_ORDER)
        go = cl.UserEvent(context)
        before = launch(free, rows=16, wait_for=[go])
        cl.enqueue_barrier(free)
        after = launch(free, rows=16)
        go.set_status(COMPLETE)
        free.finish()
        print(json.dumps([times(e) for e in (before, after)]))
        """,
        **NONE,
    )
    assert after["start"] - before["end"] == pytest.approx(GAP_NS, abs=2)


def test_a_marker_ends_with_the_last_command_before_it(emugpu):
    kernel, marker = emugpu.run(
        """
        go = cl.UserEvent(context)
        kernel = launch(rows=16, wait_for=[go])
        marker = cl.enqueue_marker(queue)
        go.set_status(COMPLETE)
        marker.wait()
        print(json.dumps([times(e) for e in (kernel, marker)]))
        """,
        **NONE,
    )
    assert marker["end"] == kernel["end"]


def test_transfers_take_latency_and_bandwidth(emugpu):
    """8 MiB over 5 GB/s to and from the card, 12 GB/s on it."""
    up, down, copy = emugpu.run(
        """
        data = np.zeros(8 << 20, np.uint8)
        here, there = (cl.Buffer(context, cl.mem_flags.READ_WRITE, data.nbytes) for _ in "ab")
        events = [cl.enqueue_copy(queue, here, data, is_blocking=False),
                  cl.enqueue_copy(queue, data, here, is_blocking=False),
                  cl.enqueue_copy(queue, there, here)]
        queue.finish()
        print(json.dumps([times(e) for e in events]))
        """,
    )
    size = 8 << 20
    assert us(up["end"] - up["start"]) == pytest.approx(20 + us(size / 5), abs=0.01)
    assert us(down["end"] - down["start"]) == pytest.approx(20 + us(size / 5), abs=0.01)
    assert us(copy["end"] - copy["start"]) == pytest.approx(10 + us(size / 12), abs=0.01)


def test_a_transfer_runs_beside_a_kernel_of_another_queue(emugpu):
    kernel, transfer = emugpu.run(
        """
        other = cl.CommandQueue(context, properties=PROFILING)
        go = cl.UserEvent(context)
        data = np.zeros(1 << 20, np.uint8)
        there = cl.Buffer(context, cl.mem_flags.READ_WRITE, data.nbytes)
        kernel = launch(wait_for=[go])
        transfer = cl.enqueue_copy(other, there, data, is_blocking=False, wait_for=[go])
        go.set_status(COMPLETE)
        cl.wait_for_events([kernel, transfer])
        print(json.dumps([times(e) for e in (kernel, transfer)]))
        """,
        **NONE,
    )
    assert transfer["start"] <= kernel["start"]
    assert transfer["end"] < kernel["end"]


def test_mapping_for_writing_takes_a_transfer_each_way(emugpu):
    mapped, unmapped = emugpu.run(
        """
        array, mapped = cl.enqueue_map_buffer(
            queue, buffer, cl.map_flags.READ | cl.map_flags.WRITE, 0, host.shape, host.dtype,
            is_blocking=False)
        unmapped = array.base.release(queue)
        queue.finish()
        print(json.dumps([times(e) for e in (mapped, unmapped)]))
        """,
    )
    expected = 20 + us(512 * 512 * 4 / 5)
    assert us(mapped["end"] - mapped["start"]) == pytest.approx(expected, abs=0.01)
    assert us(unmapped["end"] - unmapped["start"]) == pytest.approx(expected, abs=0.01)


def test_images_take_their_size_in_bytes(emugpu):
    result = emugpu.run(
        """
        pixels = np.arange(256 * 128, dtype=np.float32).reshape(128, 256)
        channel = cl.ImageFormat(cl.channel_order.R, cl.channel_type.FLOAT)
        image = cl.Image(context, cl.mem_flags.READ_WRITE, channel, shape=(256, 128))
        got = np.empty_like(pixels)
        up = cl.enqueue_copy(
            queue, image, pixels, origin=(0, 0), region=(256, 128), is_blocking=False)
        cl.enqueue_copy(queue, got, image, origin=(0, 0), region=(256, 128))
        say(same=bool((got == pixels).all()), **times(up))
        """,
    )
    assert result["same"]
    assert us(result["end"] - result["start"]) == pytest.approx(
        20 + us(256 * 128 * 4 / 5), abs=0.01
    )


def test_a_blocking_read_waits_for_the_kernels_before_it(emugpu):
    result = emugpu.run(
        """
        kernel = launch()
        got = np.empty_like(host)
        cl.enqueue_copy(queue, got, buffer)
        say(status=int(kernel.command_execution_status), correct=bool((got == 2).all()))
        """,
    )
    assert result == {"status": 0, "correct": True}


def test_a_failed_user_event_fails_what_waits_for_it(emugpu):
    result = emugpu.run(
        """
        go = cl.UserEvent(context)
        held, behind = launch(wait_for=[go]), launch()
        go.set_status(-7)
        try:
            behind.wait()
            raised = ""
        except cl.Error as error:
            raised = str(error)
        say(raised=raised, held=int(held.command_execution_status),
            behind=int(behind.command_execution_status))
        """,
        **NONE,
    )
    assert "EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST" in result["raised"]
    assert (result["held"], result["behind"]) == (-14, -14)


def test_a_thread_that_waits_wakes_when_another_sets_the_user_event(emugpu):
    for wait in ("spin", "interrupt"):
        result = emugpu.run(
            """
            go = cl.UserEvent(context)
            held = launch(rows=16, wait_for=[go])
            setter = threading.Timer(0.3, lambda: go.set_status(COMPLETE))
            start = time.monotonic()
            setter.start()
            held.wait()
            say(waited=time.monotonic() - start)
            """,
            EMUGPU_WAIT=wait,
            **NONE,
        )
        assert result["waited"] >= 0.3


def test_callbacks_come_at_the_modelled_end_and_in_order(emugpu):
    result = emugpu.run(
        """
        calls, all_done = [], threading.Event()
        start = time.monotonic()
        def called(name):
            calls.append((name, time.monotonic() - start))
            if len(calls) == 2:
                all_done.set()
        first, second = launch(), launch()
        second.set_callback(COMPLETE, lambda status: called("second"))
        first.set_callback(COMPLETE, lambda status: called("first"))
        all_done.wait(60)
        say(calls=calls)
        """,
        **NONE,
    )
    (first, first_at), (second, second_at) = result["calls"]
    assert (first, second) == ("first", "second")
    assert first_at >= 22 * WAVE_NS / 1e9
    assert second_at >= 2 * 22 * WAVE_NS / 1e9


@pytest.mark.parametrize(
    "wait",
    ["event.wait()", "while event.command_execution_status != COMPLETE: time.sleep(0.001)"],
)
def test_a_kernel_is_complete_only_when_it_is_really_computed(emugpu, wait):
    """The modelled GPU is a million times too fast for PoCL: the result is right all the same."""
    result = emugpu.run(
        f"""
        slow = cl.Kernel(cl.Program(context, '''
            __kernel void slow(__global int *a) {{
                volatile int n = 0;
                for (int i = 0; i < 2000000; i++) n += 1;
                a[get_global_id(0)] = n;
            }}''').build(), "slow")
        numbers = np.zeros(256, np.int32)
        # PoCL computes in the program's own memory: what is there when the event says complete?
        there = cl.Buffer(
            context, cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR, hostbuf=numbers)
        slow.set_args(there)
        event = cl.enqueue_nd_range_kernel(queue, slow, numbers.shape, (64,))
        queue.flush()
        {wait}
        say(correct=bool((numbers == 2000000).all()))
        """,
        EMUGPU_SCALE="1e-6",
    )
    assert result["correct"]


def test_pyopencl_arrays_work_unmodified(emugpu):
    result = emugpu.run(
        """
        import pyopencl.array
        numbers = np.arange(10000, dtype=np.float32)
        on_card = cl.array.to_device(queue, numbers)
        say(correct=bool(((2 * on_card + 1).get() == 2 * numbers + 1).all()))
        """,
        EMUGPU_SCALE="0.001",
    )
    assert result["correct"]


def test_a_context_may_be_made_by_type(emugpu):
    result = emugpu.run("""
        say(name=cl.Context(dev_type=cl.device_type.GPU).devices[0].name)
    """)
    assert "(emulated)" in result["name"]


def test_launching_for_a_long_time_uses_no_more_memory(emugpu):
    """Nothing is kept of commands that are over, whether their events were asked for or not."""
    result = emugpu.run(
        """
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * 4096
        def many(n):
            for i in range(n):
                launch(rows=16)
                if i % 50 == 49:
                    queue.finish()
        many(2000)
        before = resident()
        many(10000)
        say(grown=resident() - before)
        """,
        EMUGPU_SCALE="1e-4",
        EMUGPU_WAIT="interrupt",
        **NONE,
    )
    assert result["grown"] < 1 << 20  # 10000 commands of more than 100 bytes are more
