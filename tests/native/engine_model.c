/* The engine on a modelled machine: a clock that is only counted, timers that are late as is said, a GPU whose
 * kernels vary.  What it prints is the same every time, however busy the machine is that it runs on: JSON of
 * how late a launch and its wait end, the CPU that they take, and how often the thread slept.
 *
 *     engine_model [-a] [-d] [-o] [-p] LATE_US SPREAD_US STOLEN JITTER_US WAITS LENGTH_US...
 *
 * Timers are late by LATE_US and, on average, SPREAD_US more; a part STOLEN (0 to 1) of sleeps ends a millisecond
 * or so later yet, where the thread has the scheduler's usual slice (-o: the machine's is older, and knows no
 * slices).  A kernel takes its LENGTH_US (several in turn; -a: an argument tells which) and on average
 * JITTER_US more.  -d: the driver has no wait that sleeps, so that the engine goes on asking.  -p: every
 * eighth wait begins when the kernel is over for a second, or the kernel a second after another of the same wait. */
#define _GNU_SOURCE
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds that things take: about what a fast machine and an H100's driver need. */
enum { CLOCK = 25, SYSTEM_CALL = 200, FALL_ASLEEP = 3000, WAKE = 3000, QUERY = 600, DRIVERS_CALL = 1000 };
enum { LAUNCH = 3000, PROGRAM = 4000, START = 5000, DRIVERS_WAKE = 60000, PAUSE = 1000000000 };

static uint64_t now = 1000000000, cpu;
static double late_us, spread_us, stolen;
static const uint64_t SLICE = 2800000;
static uint64_t slice = 2800000;
static bool no_slices;

static double uniform(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return (double)(x >> 11) / 9007199254740992.0;
}

static uint64_t about(double us)
{
    return (uint64_t)(-log(1 - uniform()) * us * 1000);
}

static void busy(uint64_t ns)
{
    now += ns;
    cpu += ns;
}

static int model_clock_gettime(clockid_t clock, struct timespec *t)
{
    (void)clock;
    busy(CLOCK);
    *t = (struct timespec){ (time_t)(now / 1000000000u), (long)(now % 1000000000u) };
    return 0;
}

static int model_clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, void *left)
{
    (void)clock, (void)flags, (void)left;
    const uint64_t until = (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
    busy(FALL_ASLEEP);
    if (until > now)
        now = until + (uint64_t)(late_us * 1000) + about(spread_us);
    if (uniform() < stolen && slice == SLICE)
        now += about(1500);
    cpu += WAKE;
    return 0;
}

static int model_prctl(int what, ...)
{
    busy(SYSTEM_CALL);
    return what == PR_GET_TIMERSLACK ? 50000 : 0;
}

/* sched_getattr and sched_setattr: the slice is the seventh number of four bytes, and the next. */
static long model_syscall(long number, int thread, void *attributes, ...)
{
    (void)thread;
    busy(SYSTEM_CALL);
    if (number == SYS_sched_setattr) {
        memcpy(&slice, (char *)attributes + 24, sizeof slice);
        return 0;
    }
    memset(attributes, 0, 48);
    memcpy((char *)attributes + 24, &slice, no_slices ? 0 : sizeof slice);
    return 0;
}

#define syscall model_syscall
#define clock_gettime model_clock_gettime
#define clock_nanosleep model_clock_nanosleep
#define prctl model_prctl
#include "engine.c"
#include "nap.c"

static uint64_t over_at;

static enum answer ask(void *what)
{
    (void)what;
    busy(QUERY / 2);
    const bool over = now >= over_at;
    busy(QUERY / 2);
    return over ? ANSWER_DONE : ANSWER_BUSY;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    bool arguments = false, naps_on = false, pauses = false;
    for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
        arguments |= !strcmp(argv[1], "-a");
        naps_on |= !strcmp(argv[1], "-d");
        no_slices |= !strcmp(argv[1], "-o");
        pauses |= !strcmp(argv[1], "-p");
    }
    late_us = atof(argv[1]), spread_us = atof(argv[2]), stolen = atof(argv[3]);
    const double jitter_us = atof(argv[4]);
    const int n = atoi(argv[5]), lengths = argc - 6, warm_up = pauses ? 0 : 12 * lengths;
    uint64_t *late = calloc((size_t)n, sizeof *late), begun = 0;
    unsigned naps = 0, most_naps = 0, drivers = 0;
    for (int i = -warm_up; i < n; i++) {
        if (i == 0)
            begun = now, cpu = 0;
        const int which = (i + warm_up) % lengths;
        const struct key key = { 42, arguments ? 43 + (unsigned)which : 42 };
        busy(PROGRAM);
        const uint64_t begin = engine_now();
        if (pauses && i % 16 == 0)
            now += PAUSE;
        over_at = now + START + (uint64_t)(atof(argv[6 + which]) * 1000) + about(jitter_us);
        busy(LAUNCH + PROGRAM);
        if (pauses && i % 16 == 8)
            now = over_at + PAUSE;
        struct waited w = engine_wait(key, begin, ask, NULL);
        if (naps_on)
            engine_nap(begin, ask, NULL, &w);
        const bool by_driver = w.answer != ANSWER_DONE;
        if (by_driver && now < over_at)
            now = over_at + DRIVERS_WAKE;
        busy(DRIVERS_CALL);
        engine_learn(key, begin, engine_now(), &w);
        if (i < 0)
            continue;
        late[i] = pauses && i % 16 == 8 ? 0 : now - over_at; /* the program's own pause is no lateness */
        drivers += by_driver;
        naps += w.naps;
        most_naps = w.naps > most_naps ? w.naps : most_naps;
    }
    const double took = (double)(now - begun);
    qsort(late, (size_t)n, sizeof *late, by_size);
    printf("{\"median_late_us\": %.1f, \"p90_late_us\": %.1f, \"p99_late_us\": %.1f, \"most_late_us\": %.1f, \"cpu\": %.4f, "
           "\"naps\": %.2f, \"most_naps\": %u, \"drivers\": %u, \"slice_changed\": %d}\n",
           (double)late[n / 2] * 1e-3, (double)late[n * 9 / 10] * 1e-3, (double)late[n * 99 / 100] * 1e-3,
           (double)late[n - 1] * 1e-3, (double)cpu / took, (double)naps / n, most_naps, drivers, slice != SLICE);
    free(late);
    return 0;
}
