#define _GNU_SOURCE
#include "nap.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Later than that, or than this part of a long sleep, from which a CPU wakes the more slowly, is no timer: somebody else
 * ran meanwhile. */
#define TIMER_LATE_NS 300000
#define TIMER_LATE_PART 64
/* So late is a thread that was ready, and not let onto the CPU. */
#define CROWDED_NS 1000000
/* The least slice that the scheduler takes (Linux 6.12 and newer). */
#define SLICE_NS 100000

/* Lateness by how long the sleep was, in powers of four, since the CPU falls the deeper asleep; 0: not known
 * yet. */
#define LENGTHS 8
#define FIRST_LENGTH_NS 64000
#define USUALLY_LATE_NS 15000
static _Atomic uint64_t lateness_ns[LENGTHS];

/* Whether a thread here was ever kept waiting for the CPU by others. */
static atomic_bool crowded;

uint64_t nap_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned length_of(uint64_t ns)
{
    unsigned length = 0;
    for (; length < LENGTHS - 1 && ns > FIRST_LENGTH_NS; ns /= 4)
        length++;
    return length;
}

uint64_t nap_lateness(uint64_t ns)
{
    uint64_t late = 0;
    for (unsigned length = length_of(ns) + 1; !late && length-- > 0;)
        late = atomic_load_explicit(&lateness_ns[length], memory_order_relaxed);
    return late ? late : USUALLY_LATE_NS;
}

/* Four steps up for the one of five that was later, one down for each of the others: to be sure of more would
 * cost more CPU than it saves time. */
static void learn_lateness(uint64_t slept, uint64_t late)
{
    if (late > CROWDED_NS)
        atomic_store_explicit(&crowded, true, memory_order_relaxed);
    if (late > CROWDED_NS || (late > TIMER_LATE_NS && late > slept / TIMER_LATE_PART))
        return;
    _Atomic uint64_t *usual = &lateness_ns[length_of(slept)];
    uint64_t was = atomic_load_explicit(usual, memory_order_relaxed);
    was = was ? was : late + late / 4 + 1;
    const uint64_t step = was / 64 + 1;
    atomic_store_explicit(usual, late > was ? was + 4 * step : was - step, memory_order_relaxed);
}

/* struct sched_attr as it was at first; newer kernels take it, and change nothing that is not in it. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* Where others want the CPU, too, a thread that wakes waits until their slices are over, unless its own is
 * shorter: it does not become more by that, but soon.  Returns the slice that it had; 0: none is known here. */
static uint64_t exchange_slice(uint64_t slice)
{
    struct attributes a;
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) || a.policy != SCHED_OTHER || !a.runtime)
        return 0;
    const uint64_t was = a.runtime;
    a.runtime = slice;
    return syscall(SYS_sched_setattr, 0, &a, 0) ? 0 : was;
}

void nap(uint64_t until, uint64_t now)
{
    struct timespec t = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
    const uint64_t slice =
        atomic_load_explicit(&crowded, memory_order_relaxed) ? exchange_slice(SLICE_NS) : 0;
    const int slack = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, 1);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
    const uint64_t woke = nap_now();
    prctl(PR_SET_TIMERSLACK, (unsigned long)slack);
    if (slice)
        exchange_slice(slice);
    learn_lateness(until - now, woke > until ? woke - until : 0);
}
