/* What waits wait for while other threads work; handles that end; errors that stay. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

#define SHORT (4 * MS)
#define LONG (100 * MS)

/* Each has a stream of its own, or the thread's. */

static atomic_int early, failed;

static void *with_own_stream(void *number)
{
    const uintptr_t n = (uintptr_t)number;
    const struct driver *driver = n % 2 ? &pt : &cu;
    MUST(cu.CtxSetCurrent(context));
    CUstream stream = n % 2 ? NULL : new_stream(CU_STREAM_NON_BLOCKING);
    CUevent event;
    MUST(cu.EventCreate(&event, 0));
    for (int i = 0; i < 3 * OFTEN; i++) {
        const uint64_t length = (n + 1) * MS, begin = now();
        MUST(launch_by(driver, "spin", stream, length));
        MUST(driver->EventRecord(event, stream));
        CUresult result = i % 2 ? driver->StreamSynchronize(stream) : cu.EventSynchronize(event);
        atomic_fetch_add(&failed, result != CUDA_SUCCESS);
        atomic_fetch_add(&early, now() - begin < length);
    }
    MUST(cu.EventDestroy(event));
    if (stream)
        MUST(cu.StreamDestroy(stream));
    return NULL;
}

static void four_threads(void)
{
    pthread_t all[4];
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&all[i], NULL, with_own_stream, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(all[i], NULL);
    SAY("threads: too early", early);
    SAY("threads: failed", failed);
}

/* Another thread goes on feeding a stream, or records the event again. */

static struct feed {
    CUstream stream;
    CUevent event; /* recorded again, or NULL */
    uint64_t after, length;
    int times;
    atomic_bool begun, over;
} feed;

static void *feeds(void *what)
{
    (void)what;
    MUST(cu.CtxSetCurrent(context));
    for (int i = 0; i < feed.times; i++) {
        sleep_ns(feed.after);
        spin(feed.stream, feed.length);
        if (feed.event)
            MUST(cu.EventRecord(feed.event, feed.stream));
        atomic_store(&feed.begun, true);
    }
    atomic_store(&feed.over, true);
    return NULL;
}

enum awaited { STREAM, EVENT, CONTEXT };

static void wait_for(enum awaited what, CUstream stream, CUevent event)
{
    MUST(what == STREAM  ? cu.StreamSynchronize(stream)
         : what == EVENT ? cu.EventSynchronize(event)
                         : cu.CtxSynchronize());
}

/* What there was is waited for, and no more of what comes. */
static void fed(const char *name, enum awaited what, uint64_t length, int times)
{
    int surprises = 0;
    grid++;
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CUevent event;
    MUST(cu.EventCreate(&event, 0));
    /* Who is new here may be surprised once; and on a busy machine feed too early or too late. */
    for (int trials = 0, tries = 0; trials < 2 && tries < 10; tries++) {
        for (int i = 0; i < OFTEN; i++) {
            spin(stream, 4 * SHORT);
            MUST(cu.EventRecord(event, stream));
            if (i < OFTEN - 1)
                wait_for(what, stream, event);
        }
        feed.stream = stream;
        feed.event = what == EVENT ? event : NULL;
        feed.after = times > 1 ? SHORT / 2 : 2 * SHORT;
        feed.length = length;
        feed.times = times;
        feed.begun = feed.over = false;
        pthread_t thread;
        pthread_create(&thread, NULL, feeds, NULL);
        const bool too_early = atomic_load(&feed.begun);
        wait_for(what, stream, event);
        const bool counts = !too_early && atomic_load(&feed.begun);
        trials += counts;
        surprises += !counts   ? 0
                     : times > 1 ? atomic_load(&feed.over)
                               : cu.StreamQuery(stream) == CUDA_SUCCESS;
        pthread_join(thread, NULL);
        MUST(cu.StreamSynchronize(stream));
    }
    fact("fed", "%s: the wait ends before what came later %d", name, surprises <= 1);
    MUST(cu.EventDestroy(event));
    MUST(cu.StreamDestroy(stream));
}

void threads(void)
{
    four_threads();
    fed("stream, all the time", STREAM, SHORT / 2, 60);
    fed("stream, once", STREAM, LONG, 1);
    fed("event, all the time", EVENT, SHORT / 2, 60);
    fed("event, once", EVENT, LONG, 1);
    fed("context, all the time", CONTEXT, SHORT / 2, 60);
    fed("context, once", CONTEXT, LONG, 1);
}

/* Handles that end, and are used again. */

static void used_again(void)
{
    int bad = 0, short_waits = 0;
    for (int i = 0; i < 60; i++) {
        CUstream stream = new_stream(i % 2);
        CUevent event;
        MUST(cu.EventCreate(&event, 2 * (i % 3 == 0)));
        const uint64_t length = (i % 4 + 1) * MS / 2, begin = now();
        spin(stream, length);
        MUST(cu.EventRecord(event, stream));
        if (i % 5)
            bad += i % 2 ? cu.EventSynchronize(event) : cu.StreamSynchronize(stream);
        short_waits += i % 5 && now() - begin < length;
        MUST(cu.EventDestroy(event));
        MUST(cu.StreamDestroy(stream));
    }
    MUST(cu.CtxSynchronize());
    SAY("used again: too early", short_waits);
    SAY("used again: failed", bad);
}

static void *destroys(void *stream)
{
    MUST(cu.CtxSetCurrent(context));
    sleep_ns(SHORT / 2);
    MUST(cu.StreamDestroy(stream));
    return NULL;
}

/* A context's wait goes on while one of its streams ends. */
static void destroyed_in_a_wait(void)
{
    for (int i = 0; i < OFTEN; i++) {
        CUstream one = new_stream(0), two = new_stream(0);
        spin(one, 2 * SHORT);
        spin(two, SHORT);
        pthread_t thread;
        pthread_create(&thread, NULL, destroys, one);
        MUST(cu.CtxSynchronize());
        pthread_join(thread, NULL);
        MUST(cu.StreamDestroy(two));
    }
    SAY("destroyed in a wait: survived", 1);
}

static void several_contexts(void)
{
    CUstream first = new_stream(0);
    int runs = 0;
    for (int i = 0; i < OFTEN; i++) {
        CUcontext second;
        CUevent event;
        MUST(cu.CtxSetCurrent(context));
        load_kernels();
        spin(first, LONG);
        MUST(cu.CtxCreate(&second, 0, 0));
        load_kernels();
        CUstream stream = new_stream(0);
        MUST(cu.EventCreate(&event, 0));
        spin(stream, SHORT);
        spin(NULL, SHORT);
        MUST(cu.CtxSynchronize());
        runs += cu.StreamQuery(first) == CUDA_ERROR_NOT_READY;
        spin(stream, SHORT);
        MUST(cu.EventRecord(event, stream));
        MUST(i % 2 ? cu.EventSynchronize(event) : cu.StreamSynchronize(stream));
        spin(stream, SHORT); /* nobody waits for this, and nothing of this context is destroyed */
        MUST(cu.CtxDestroy(second));
    }
    SAY("contexts: the other's work still runs", runs > 0);
    MUST(cu.CtxSetCurrent(context));
    load_kernels();
    MUST(cu.CtxSynchronize());
    MUST(cu.StreamDestroy(first));
}

/* Children that destroy what was their parent's, as those of Python programs do at their end. */

static atomic_bool enough;

static void *waits_until_enough(void *what)
{
    (void)what;
    MUST(cu.CtxSetCurrent(context));
    CUstream stream = new_stream(0);
    while (!atomic_load(&enough)) {
        spin(stream, MS / 20); /* so short that it is asked all the time */
        MUST(cu.StreamSynchronize(stream));
    }
    return NULL;
}

void forks_beside_waits(int n)
{
    int told = 0;
    pthread_t thread;
    CUstream stream = new_stream(0);
    pthread_create(&thread, NULL, waits_until_enough, NULL);
    for (int i = 0; i < n; i++) {
        sleep_ns(MS / 3);
        pid_t child = fork();
        if (child == 0) {
            alarm(5);
            _exit(cu.StreamDestroy(stream));
        }
        int status = 0;
        waitpid(child, &status, 0);
        told += WIFEXITED(status) && WEXITSTATUS(status) == CUDA_ERROR_NOT_INITIALIZED;
        if (WIFSIGNALED(status))
            break;
    }
    atomic_store(&enough, true);
    pthread_join(thread, NULL);
    fact("forks", "children that were told %d", told);
}

/* Contexts that end while others wait; what a driver then says is its own affair. */

static struct ending {
    CUcontext context;
    pthread_barrier_t begun;
    atomic_int survived;
} ending;

/* Waits in the context that ends: for a stream of its own, or for all. */
static void *waits_in_it(void *for_all)
{
    MUST(cu.CtxSetCurrent(ending.context));
    CUstream stream = new_stream(0);
    for (int i = 0; i < OFTEN; i++) {
        spin(stream, 4 * SHORT);
        wait_for(for_all ? CONTEXT : STREAM, stream, NULL);
    }
    spin(stream, 4 * SHORT);
    pthread_barrier_wait(&ending.begun);
    (void)(for_all ? cu.CtxSynchronize() : cu.StreamSynchronize(stream));
    atomic_fetch_add(&ending.survived, 1);
    return NULL;
}

/* Waits in another, for nothing less than its own work. */
static void *waits_beside_it(void *what)
{
    (void)what;
    MUST(cu.CtxSetCurrent(context));
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CUevent event;
    MUST(cu.EventCreate(&event, 0));
    uint64_t begin = 0;
    for (int i = 0; i <= OFTEN; i++) {
        if (i == OFTEN)
            pthread_barrier_wait(&ending.begun);
        begin = now();
        spin(stream, 4 * SHORT);
        MUST(cu.EventRecord(event, stream));
        MUST(cu.EventSynchronize(event));
    }
    atomic_fetch_add(&ending.survived, now() - begin >= 4 * SHORT);
    MUST(cu.EventDestroy(event));
    MUST(cu.StreamDestroy(stream));
    return NULL;
}

void contexts_end_beside_waits(int n)
{
    pthread_barrier_init(&ending.begun, NULL, 3);
    for (int i = 0; i < n; i++) {
        pthread_t in, beside;
        MUST(cu.CtxSetCurrent(context));
        load_kernels();
        MUST(cu.CtxCreate(&ending.context, 0, 0));
        load_kernels();
        pthread_create(&in, NULL, waits_in_it, i % 2 ? context : NULL);
        pthread_create(&beside, NULL, waits_beside_it, NULL);
        pthread_barrier_wait(&ending.begun);
        sleep_ns(SHORT);
        MUST(cu.CtxDestroy(ending.context));
        pthread_join(in, NULL);
        pthread_join(beside, NULL);
    }
    pthread_barrier_destroy(&ending.begun);
    fact("contexts that end", "waits that came to theirs %d", atomic_load(&ending.survived));
}

void lifetimes(void)
{
    used_again();
    destroyed_in_a_wait();
    several_contexts();
}

void errors(void)
{
    CUstream stream = new_stream(0);
    CUevent event;
    MUST(cu.EventCreate(&event, 0));
    for (int i = 0; i < OFTEN; i++) {
        spin(stream, SHORT);
        MUST(cu.StreamSynchronize(stream));
    }
    spin(stream, SHORT);
    MUST(launch_by(&cu, "fail", stream, 0));
    MUST(cu.EventRecord(event, stream));
    SAY("errors: stream", cu.StreamSynchronize(stream));
    SAY("errors: stream again", cu.StreamSynchronize(stream));
    SAY("errors: event", cu.EventSynchronize(event));
    SAY("errors: context", cu.CtxSynchronize());
    SAY("errors: launch", launch_by(&cu, "spin", stream, SHORT));
}
