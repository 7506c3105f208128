/* Captures: what may be asked while one is open, and that waits elsewhere do not disturb it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "conformance.h"

#define SHORT (4 * MS)
#define LONG (60 * MS)

enum { GLOBAL, THREAD_LOCAL, RELAXED };

/* Another thread, that waits all the time. */

static struct waiter {
    int mode;
    bool for_events;
    atomic_int waits, failed;
    atomic_bool stop;
} waiter;

static void *waits_all_the_time(void *what)
{
    (void)what;
    int mode = waiter.mode;
    MUST(cu.CtxSetCurrent(context));
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CUevent event;
    MUST(cu.EventCreate(&event, 0));
    MUST(cu.ThreadExchangeStreamCaptureMode(&mode));
    while (!atomic_load(&waiter.stop)) {
        spin(stream, SHORT);
        MUST(cu.EventRecord(event, stream));
        CUresult result = waiter.for_events ? cu.EventSynchronize(event) : cu.StreamSynchronize(stream);
        atomic_fetch_add(&waiter.failed, result != CUDA_SUCCESS);
        atomic_fetch_add(&waiter.waits, 1);
    }
    mode = GLOBAL;
    MUST(cu.ThreadExchangeStreamCaptureMode(&mode));
    atomic_fetch_add(&waiter.failed, mode != waiter.mode);
    MUST(cu.StreamSynchronize(stream));
    MUST(cu.EventDestroy(event));
    MUST(cu.StreamDestroy(stream));
    return NULL;
}

/* Captures two kernels in `mode`, and runs the graph. */
static void capture(const char *name, int mode, CUstream stream)
{
    CUgraph graph = NULL;
    CUgraphExec exec;
    MUST(cu.StreamBeginCapture(stream, mode));
    spin(stream, SHORT);
    sleep_ns(4 * SHORT);
    spin(stream, SHORT);
    CUresult result = cu.StreamEndCapture(stream, &graph);
    fact("capture", "%s: its end %d", name, result);
    if (result != CUDA_SUCCESS)
        return;
    MUST(cu.GraphInstantiateWithFlags(&exec, graph, 0));
    const uint64_t begin = now();
    for (int i = 0; i < OFTEN; i++) {
        MUST(cu.GraphLaunch(exec, stream));
        MUST(cu.StreamSynchronize(stream));
    }
    fact("capture", "%s: its graph took its time %d", name, now() - begin >= OFTEN * 2 * SHORT);
    MUST(cu.GraphExecDestroy(exec));
    MUST(cu.GraphDestroy(graph));
}

static void undisturbed(const char *name, int mode, int others_mode, bool for_events, CUstream stream)
{
    pthread_t thread;
    waiter.mode = others_mode;
    waiter.for_events = for_events;
    waiter.waits = waiter.failed = waiter.stop = 0;
    pthread_create(&thread, NULL, waits_all_the_time, NULL);
    while (atomic_load(&waiter.waits) < OFTEN) /* by now its waits are predicted */
        sleep_ns(MS);
    capture(name, mode, stream);
    atomic_store(&waiter.stop, true);
    pthread_join(thread, NULL);
    fact("capture", "%s: waits that failed %d", name, waiter.failed);
}

/* One wait, that began before the capture. */

static atomic_bool asleep;

static void *waits_once(void *result)
{
    MUST(cu.CtxSetCurrent(context));
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < OFTEN; i++) {
        spin(stream, LONG);
        atomic_store(&asleep, i == OFTEN - 1);
        *(CUresult *)result = cu.StreamSynchronize(stream);
    }
    MUST(cu.StreamDestroy(stream));
    return NULL;
}

static void begun_before(CUstream stream)
{
    pthread_t thread;
    CUgraph graph;
    CUresult waited = -1, result;
    pthread_create(&thread, NULL, waits_once, &waited);
    while (!atomic_load(&asleep))
        sleep_ns(MS);
    sleep_ns(LONG / 3);
    MUST(cu.StreamBeginCapture(stream, GLOBAL));
    spin(stream, SHORT);
    sleep_ns(LONG);
    result = cu.StreamEndCapture(stream, &graph);
    pthread_join(thread, NULL);
    fact("capture", "begun in another's wait: its end %d, the wait %d", result, waited);
    if (result == CUDA_SUCCESS)
        MUST(cu.GraphDestroy(graph));
}

/* What the driver says to those who ask nevertheless. */

static CUstream asked;
static CUevent captured;

static CUresult stream_wait(void)
{
    return cu.StreamSynchronize(asked);
}

static CUresult stream_query(void)
{
    return cu.StreamQuery(asked);
}

static CUresult event_wait(void)
{
    return cu.EventSynchronize(captured);
}

static CUresult event_query(void)
{
    return cu.EventQuery(captured);
}

static CUresult default_wait(void)
{
    return cu.StreamSynchronize(NULL);
}

static CUresult context_wait(void)
{
    return cu.CtxSynchronize();
}

static CUresult default_capturing(void)
{
    int status;
    return cu.StreamIsCapturing(NULL, &status);
}

static void errors_of_asking(CUstream blocking)
{
    static const struct {
        const char *name;
        CUresult (*ask)(void);
    } cases[] = {
        { "stream's wait", stream_wait },     { "stream's query", stream_query },
        { "event's wait", event_wait },       { "event's query", event_query },
        { "default stream's wait", default_wait }, { "context's wait", context_wait },
        { "whether the default stream captures", default_capturing },
    };
    asked = blocking;
    MUST(cu.EventCreate(&captured, 0));
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int mode = GLOBAL; mode <= RELAXED; mode += RELAXED) {
            CUgraph graph = NULL;
            MUST(cu.StreamBeginCapture(blocking, mode));
            spin(blocking, SHORT);
            MUST(cu.EventRecord(captured, blocking));
            CUresult result = cases[i].ask(), end = cu.StreamEndCapture(blocking, &graph);
            fact("asking in a capture", "%s, mode %d: %d, its end %d", cases[i].name, mode, result, end);
            if (graph)
                MUST(cu.GraphDestroy(graph));
        }
    CUgraph graph;
    SAY("capture: the end of none", cu.StreamEndCapture(blocking, &graph));
    SAY("capture: the default stream's", cu.StreamBeginCapture(NULL, RELAXED));
    MUST(cu.EventDestroy(captured));
}

void captures(void)
{
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING), blocking = new_stream(0);
    undisturbed("global, beside a relaxed thread", GLOBAL, RELAXED, false, stream);
    undisturbed("global, beside a relaxed thread and its events", GLOBAL, RELAXED, true, stream);
    undisturbed("relaxed, beside a global thread", RELAXED, GLOBAL, false, blocking);
    undisturbed("thread-local, beside a global thread's events", THREAD_LOCAL, GLOBAL, true, blocking);
    begun_before(stream);
    errors_of_asking(blocking);
    capture("after all", GLOBAL, stream);
    MUST(cu.StreamDestroy(stream));
    MUST(cu.StreamDestroy(blocking));
}
