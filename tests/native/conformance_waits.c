/* What waits wait for, seen by one thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "conformance.h"

/* Long beside SHORT, so that a busy machine does not blur what was waited for. */
#define SHORT (4 * MS)
#define LONG (100 * MS)

static void nothing_to_wait_for(CUstream stream, CUevent event)
{
    SAY("idle: stream", cu.StreamSynchronize(stream));
    SAY("idle: default stream", cu.StreamSynchronize(NULL));
    SAY("idle: per-thread stream", pt.StreamSynchronize(NULL));
    SAY("idle: context", cu.CtxSynchronize());
    SAY("idle: event never recorded", cu.EventSynchronize(event));
    SAY("idle: event never recorded, asked", cu.EventQuery(event));
}

/* First unknown, then predicted: each ends when the work does. */
static void ends_with_the_work(CUstream stream, CUevent event)
{
    int early = 0, busy = 0, bad = 0;
    for (int i = 0; i < 3 * 2 * OFTEN; i++) {
        CUstream on = i % 2 ? stream : NULL;
        uint64_t begin = now();
        spin(on, SHORT);
        busy += cu.StreamQuery(on) == CUDA_ERROR_NOT_READY;
        MUST(cu.EventRecord(event, on));
        bad += i % 3 == 0   ? cu.StreamSynchronize(on)
               : i % 3 == 1 ? cu.EventSynchronize(event)
                            : cu.CtxSynchronize();
        early += now() - begin < SHORT;
        bad += cu.StreamQuery(on) + cu.EventQuery(event);
    }
    SAY("work: too early", early);
    SAY("work: was busy", busy > 2 * OFTEN); /* a busy machine asks too late now and then */
    SAY("work: errors", bad);
}

static void event_before_later_work(CUstream stream, CUevent event)
{
    int ready = 0, running = 0;
    for (int i = 0; i < 2 * OFTEN; i++) {
        spin(stream, SHORT);
        MUST(cu.EventRecord(event, stream));
        spin(stream, i < OFTEN ? SHORT : LONG);
        MUST(cu.EventSynchronize(event));
        ready += cu.EventQuery(event) == CUDA_SUCCESS;
        running += i >= OFTEN && cu.StreamQuery(stream) == CUDA_ERROR_NOT_READY;
        MUST(cu.StreamSynchronize(stream));
    }
    SAY("event: over after its wait", ready == 2 * OFTEN);
    SAY("event: later work still runs", running > 0); /* as above */
}

/* Which streams wait for which. */
static void default_streams(CUstream blocking, CUstream other)
{
    struct {
        const char *name;
        CUresult (*wait)(CUstream), (*query)(CUstream);
        CUstream awaited, busy;
    } cases[] = {
        { "default's wait, non-blocking", cu.StreamSynchronize, cu.StreamQuery, NULL, other },
        { "default's wait, blocking", cu.StreamSynchronize, cu.StreamQuery, NULL, blocking },
        { "blocking's wait, default", cu.StreamSynchronize, cu.StreamQuery, blocking, NULL },
        { "blocking's wait, non-blocking", cu.StreamSynchronize, cu.StreamQuery, blocking, other },
        { "per-thread's wait, default", pt.StreamSynchronize, cu.StreamQuery, NULL, NULL },
        { "per-thread's wait, blocking", pt.StreamSynchronize, cu.StreamQuery, NULL, blocking },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        int running = 0;
        grid++;
        for (int n = 0; n < 2 * OFTEN; n++) { /* the awaited stream's own work is well known */
            MUST(launch_by(cases[i].wait == pt.StreamSynchronize ? &pt : &cu, "spin",
                           cases[i].awaited, SHORT));
            if (n >= OFTEN)
                spin(cases[i].busy, LONG);
            MUST(cases[i].wait(cases[i].awaited));
            running += n >= OFTEN && cases[i].query(cases[i].busy) == CUDA_ERROR_NOT_READY;
            MUST(cu.CtxSynchronize());
        }
        /* A wait for both never sees it run; one for its own mostly does, unless the CPU was another's then. */
        fact("streams", "%s still runs: %d", cases[i].name, running > 0);
    }
}

static void copies(CUstream stream)
{
    grid++;
    enum { BYTES = 4096 };
    static char pageable[BYTES];
    char *pinned;
    CUdeviceptr device;
    MUST(cu.MemAllocHost((void **)&pinned, BYTES));
    MUST(cu.MemAlloc(&device, BYTES));
    memset(pageable, 'x', BYTES);
    MUST(cu.MemcpyHtoD(device, pageable, BYTES));
    memset(pageable, 0, BYTES);
    int pinned_runs = 0, pageable_over = 0, sync_over = 0;
    for (int i = 0; i < OFTEN; i++) {
        spin(stream, SHORT);
        MUST(cu.MemcpyDtoHAsync(pinned, device, BYTES, stream));
        pinned_runs += cu.StreamQuery(stream) == CUDA_ERROR_NOT_READY;
        MUST(cu.StreamSynchronize(stream));
        spin(stream, SHORT);
        MUST(cu.MemcpyDtoHAsync(pageable, device, BYTES, stream));
        pageable_over += cu.StreamQuery(stream) == CUDA_SUCCESS;
        MUST(cu.StreamSynchronize(stream));
        spin(NULL, SHORT);
        MUST(cu.MemcpyDtoH(pageable, device, BYTES));
        sync_over += cu.StreamQuery(NULL) == CUDA_SUCCESS;
    }
    SAY("copies: back at once from pinned memory", pinned_runs > 0);
    SAY("copies: over when back from pageable memory", pageable_over == OFTEN);
    SAY("copies: over when back from a blocking copy", sync_over == OFTEN);
    SAY("copies: the bytes", pinned[0] == 'x' && pageable[BYTES - 1] == 'x');
    spin(NULL, SHORT);
    MUST(cu.MemcpyHtoD(device, pinned, BYTES));
    SAY("copies: over when back from one of pinned memory", cu.StreamQuery(NULL) == CUDA_SUCCESS);
    const CUcopy2D rows = {
        .from = { .type = 2, .device = device, .pitch = BYTES / 4 },
        .to = { .type = CU_MEMORYTYPE_HOST, .host = pageable, .pitch = BYTES / 4 },
        .width = BYTES / 8,
        .height = 4,
    };
    int over = 0, any_over = 0, async_over = 0;
    memset(pageable, 0, BYTES);
    for (int i = 0; i < OFTEN; i++) {
        spin(NULL, SHORT);
        MUST(cu.Memcpy2D(&rows));
        over += cu.StreamQuery(NULL) == CUDA_SUCCESS;
        spin(stream, SHORT);
        MUST(cu.Memcpy2DAsync(&rows, stream));
        async_over += cu.StreamQuery(stream) == CUDA_SUCCESS;
        MUST(cu.StreamSynchronize(stream));
        spin(NULL, SHORT);
        MUST(cu.Memcpy((uintptr_t)pinned, device, BYTES));
        any_over += cu.StreamQuery(NULL) == CUDA_SUCCESS;
    }
    SAY("copies: over when back from one of rows", over == OFTEN);
    SAY("copies: over when back from one of rows in a stream", async_over == OFTEN);
    SAY("copies: over when back from one between any memory", any_over == OFTEN);
    SAY("copies: the rows' bytes", pageable[BYTES / 4 * 3 + BYTES / 8 - 1] == 'x' && !pageable[BYTES / 8]);
    MUST(cu.MemFree(device));
    MUST(cu.MemFreeHost(pinned));
}

/* A thread is after a wait as it was. */
static void leaves_no_trace(CUstream stream, CUevent event)
{
    char scheduled[2][48] = { "", "" }; /* struct sched_attr */
    prctl(PR_SET_TIMERSLACK, 123456);
    syscall(SYS_sched_getattr, 0, scheduled[0], sizeof scheduled[0], 0);
    int changed = 0, mode = 0;
    for (int i = 0; i < 2 * OFTEN; i++) {
        spin(stream, SHORT);
        MUST(cu.EventRecord(event, stream));
        errno = 77;
        MUST(i % 2 ? cu.StreamSynchronize(stream) : cu.EventSynchronize(event));
        changed += errno != 77;
    }
    SAY("trace: errno changed", changed);
    SAY("trace: timer slack", prctl(PR_GET_TIMERSLACK));
    syscall(SYS_sched_getattr, 0, scheduled[1], sizeof scheduled[1], 0);
    SAY("trace: scheduling changed", memcmp(scheduled[0], scheduled[1], sizeof scheduled[0]));
    MUST(cu.ThreadExchangeStreamCaptureMode(&mode));
    SAY("trace: capture mode", mode);
    prctl(PR_SET_TIMERSLACK, 0);
}

/* Signals do not end waits. */

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    signals += number == SIGALRM;
}

static void signals_in_waits(CUstream stream, CUevent event)
{
    const struct sigaction action = { .sa_handler = on_signal };
    const struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
    int early = 0, bad = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 2 * OFTEN; i++) {
        const uint64_t begin = now();
        spin(stream, SHORT);
        MUST(cu.EventRecord(event, stream));
        bad += i % 2 ? cu.StreamSynchronize(stream) : cu.EventSynchronize(event);
        early += now() - begin < SHORT;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    SAY("signals: too early", early);
    SAY("signals: failed", bad);
    SAY("signals: came", signals > 0);
}

void waits(void)
{
    CUstream blocking = new_stream(0), other = new_stream(CU_STREAM_NON_BLOCKING);
    CUevent event;
    MUST(cu.EventCreate(&event, 0));
    nothing_to_wait_for(other, event);
    ends_with_the_work(other, event);
    event_before_later_work(other, event);
    default_streams(blocking, other);
    copies(other);
    leaves_no_trace(other, event);
    signals_in_waits(other, event);
    MUST(cu.EventDestroy(event));
    MUST(cu.StreamDestroy(blocking));
    MUST(cu.StreamDestroy(other));
}
