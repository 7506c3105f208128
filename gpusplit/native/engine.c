#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>

/* Waits that are remembered; further keys take the place of others. */
#define SLOTS 2048
/* Times remembered of one key. */
#define TIMES 8
/* A wait wakes at most so often before it is the driver's: in a guest each wake-up costs the host. */
#define MOST_NAPS 5
/* Sleeping for less is not worth the two switches. */
#define LEAST_NAP_NS 30000
/* What was over when the thread woke up took at most that long: the next guess is so much shorter. */
#define SHORTEN(ns) ((ns) - (ns) / 4)

struct history {
    atomic_flag busy;
    uint64_t key;
    uint32_t next;
    uint32_t count;
    uint64_t times[TIMES];
};

static struct history histories[SLOTS];
static _Atomic uint64_t spin_ns = 50000;
/* How late this machine's timers wake a thread, smoothed. */
static _Atomic uint64_t lateness_ns = 10000;

uint64_t engine_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void engine_set_spin(uint64_t ns)
{
    atomic_store_explicit(&spin_ns, ns, memory_order_relaxed);
}

/* Whoever finds a slot in use goes without: no thread waits for another here. */
static struct history *take(uint64_t key)
{
    struct history *h = &histories[(key ^ key >> 32) % SLOTS];
    return atomic_flag_test_and_set_explicit(&h->busy, memory_order_acquire) ? NULL : h;
}

static void give_back(struct history *h)
{
    atomic_flag_clear_explicit(&h->busy, memory_order_release);
}

/* The times of `key`, shortest first; how many. */
static unsigned recall(uint64_t key, uint64_t sorted[TIMES])
{
    struct history *h = take(key);
    if (!h)
        return 0;
    unsigned n = 0;
    if (h->key == key)
        for (; n < h->count; n++) {
            unsigned at = n;
            for (; at > 0 && sorted[at - 1] > h->times[n]; at--)
                sorted[at] = sorted[at - 1];
            sorted[at] = h->times[n];
        }
    give_back(h);
    return n;
}

void engine_learn(uint64_t key, uint64_t begin, uint64_t end, bool late)
{
    uint64_t took = end > begin ? end - begin : 0;
    struct history *h = take(key);
    if (!h)
        return;
    if (h->key != key) {
        h->key = key;
        h->next = h->count = 0;
    }
    h->times[h->next] = late ? SHORTEN(took) : took;
    h->next = (h->next + 1) % TIMES;
    if (h->count < TIMES)
        h->count++;
    give_back(h);
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
    uint64_t late = engine_now();
    late = late > ns ? late - ns : 0;
    if (late > 200000) /* somebody else ran meanwhile: that says nothing of the timer */
        return;
    uint64_t usual = atomic_load_explicit(&lateness_ns, memory_order_relaxed);
    atomic_store_explicit(&lateness_ns, usual - usual / 8 + late / 8, memory_order_relaxed);
}

/* Asks until `end` without sleeping. */
static enum answer ask_until(uint64_t end, ask_fn *ask, void *what)
{
    enum answer answer;
    do
        answer = ask(what);
    while (answer == ANSWER_BUSY && engine_now() < end);
    return answer;
}

/* The last of the times from `from` on that belong together with it. */
static unsigned together(const uint64_t *times, unsigned n, unsigned from)
{
    unsigned last = from;
    while (last + 1 < n && times[last + 1] - times[last] <= times[last] / 16 + 20000)
        last++;
    return last;
}

struct waited engine_wait(uint64_t key, uint64_t begin, ask_fn *ask, void *what)
{
    int saved_errno = errno;
    struct waited w = { .answer = ANSWER_BUSY };
    uint64_t times[TIMES];
    const uint64_t spin = atomic_load_explicit(&spin_ns, memory_order_relaxed);
    const unsigned n = recall(key, times);
    int slack = -1;
    if (n == 0) /* Never seen: perhaps it is short. */
        w.answer = ask_until(engine_now() + spin, ask, what);
    for (unsigned at = 0; at < n && w.answer == ANSWER_BUSY && w.naps < MOST_NAPS;) {
        const unsigned last = together(times, n, at);
        const uint64_t margin = spin / 2 + atomic_load_explicit(&lateness_ns, memory_order_relaxed);
        const uint64_t wake = begin + times[at] - (times[at] > margin ? margin : times[at]);
        bool slept = false;
        if (wake > engine_now() + LEAST_NAP_NS) {
            if (slack < 0) {
                slack = prctl(PR_GET_TIMERSLACK);
                prctl(PR_SET_TIMERSLACK, 1);
            }
            sleep_until(wake);
            w.naps++;
            slept = true;
        }
        w.answer = ask(what);
        w.late = slept && w.answer == ANSWER_DONE;
        /* The times of this group one after another, with naps between those that lie apart. */
        uint64_t until = begin + times[at] + spin;
        while (w.answer == ANSWER_BUSY) {
            const uint64_t now = engine_now();
            if (until < now + spin / 2)
                until = now + spin / 2;
            w.answer = ask_until(until, ask, what);
            while (at <= last && begin + times[at] <= until)
                at++;
            if (at > last || w.answer != ANSWER_BUSY || w.naps >= MOST_NAPS)
                break;
            const uint64_t nap = begin + times[at] - spin / 2;
            if (nap > engine_now() + LEAST_NAP_NS) {
                sleep_until(nap);
                w.naps++;
            }
            until = begin + times[at] + spin / 2;
        }
        at = last + 1;
    }
    if (slack >= 0)
        prctl(PR_SET_TIMERSLACK, (unsigned long)slack);
    errno = saved_errno;
    return w;
}
