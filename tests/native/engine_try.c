/* Tries the engine on work of known length: prints JSON of how late waits ended, CPU and naps.
 *
 *     $ engine_try 30 10000000
 *     {"median_late_us": 33.4, "p90_late_us": 2131.3, "cpu": 0.0073, "most_naps": 6, "naps": 1.57,
 *      "drivers": 1, "waits": 30}
 *
 * (on a busy machine).  The first wait is the driver's, since nothing is known of it; most others nap
 * once and end with the work. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

static uint64_t over_at;

static enum answer ask(void *what)
{
    (void)what;
    return engine_now() >= over_at ? ANSWER_DONE : ANSWER_BUSY;
}

static void sleep_for(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    nanosleep(&t, NULL);
}

static uint64_t cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* engine_try [-r] [-a] ROUNDS NS...: in turn, or with -r at random; waits for each length ROUNDS times.
 * -a: an argument tells them from each other. */
int main(int argc, char **argv)
{
    int random_order = 0, arguments = 0;
    for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
        random_order |= !strcmp(argv[1], "-r");
        arguments |= !strcmp(argv[1], "-a");
    }
    const int rounds = atoi(argv[1]), lengths = argc - 2, n = rounds * lengths;
    uint64_t *late = calloc((size_t)n, sizeof *late), most_naps = 0, naps = 0, total = 0, driver = 0;
    const uint64_t cpu_before = cpu();
    for (int i = 0; i < n; i++) {
        const int which = random_order ? rand() % lengths : i % lengths;
        const uint64_t length = strtoull(argv[2 + which], NULL, 10);
        const struct key key = { 42, arguments ? 43 + (unsigned)which : 42 };
        const uint64_t begin = engine_now();
        over_at = begin + length;
        struct waited w = engine_wait(key, begin, ask, NULL);
        uint64_t end = engine_now();
        if (w.answer != ANSWER_DONE) { /* the driver's wait, which takes 200 us to come back */
            if (over_at > end)
                sleep_for(over_at - end);
            sleep_for(150000);
            end = engine_now();
            driver++;
        }
        engine_learn(key, begin, end, &w);
        late[i] = end - over_at;
        total += end - begin;
        naps += w.naps;
        most_naps = w.naps > most_naps ? w.naps : most_naps;
    }
    const uint64_t used = cpu() - cpu_before;
    qsort(late, (size_t)n, sizeof *late, by_size);
    printf("{\"median_late_us\": %.1f, \"p90_late_us\": %.1f, \"cpu\": %.4f, \"most_naps\": %llu, "
           "\"naps\": %.2f, \"drivers\": %llu, \"waits\": %d}\n",
           (double)late[n / 2] * 1e-3, (double)late[n * 9 / 10] * 1e-3, (double)used / (double)total,
           (unsigned long long)most_naps, (double)naps / n, (unsigned long long)driver, n);
    free(late);
    return 0;
}
