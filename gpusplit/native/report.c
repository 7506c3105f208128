#define _GNU_SOURCE
#include "report.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "settings.h"
#include "timeline.h"

/* The process whose waits these are. */
static _Atomic pid_t teller;
static _Atomic uint64_t waits, waited_ns, waited_cpu_ns, naps_taken;

static uint64_t thread_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool wanted(void)
{
    return settings()->report || settings()->timeline;
}

struct report report_begin(void)
{
    return wanted() ? (struct report){ engine_now(), thread_cpu(), engine_naps() }
                    : (struct report){ 0, 0, 0 };
}

void report_end(const struct report *report)
{
    if (!wanted())
        return;
    const uint64_t now = engine_now(), cpu = thread_cpu() - report->cpu;
    const unsigned naps = engine_naps() - report->naps;
    if (settings()->timeline)
        timeline_wait(report->begun, now, cpu, naps);
    if (!settings()->report)
        return;
    if (atomic_fetch_add(&waits, 1) == 0)
        atomic_store(&teller, getpid());
    atomic_fetch_add(&waited_ns, now - report->begun);
    atomic_fetch_add(&waited_cpu_ns, cpu);
    atomic_fetch_add(&naps_taken, naps);
}

/* A line for people, or one of JSON where a file is named. */
__attribute__((destructor)) static void tell(void)
{
    const uint64_t n = atomic_load(&waits);
    /* Nobody waited: nothing is told, nor read.  A child that forked later tells nothing either. */
    if (n == 0 || atomic_load(&teller) != getpid())
        return;
    const char *where = settings()->report;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    const double cpu = (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec * 1e-6 +
                       (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec * 1e-6;
    const double waited = (double)atomic_load(&waited_ns) * 1e-9,
                 spent = (double)atomic_load(&waited_cpu_ns) * 1e-9;
    if (!strcmp(where, "-")) {
        fprintf(stderr,
                "gpusplit: process %d waited for the GPU %llu times, %.3g s in all, and used %.3g s of CPU "
                "for that: %.0f %% of the %.3g s that it used\n",
                (int)getpid(), (unsigned long long)n, waited, spent, cpu > 0 ? spent / cpu * 100 : 0, cpu);
        return;
    }
    FILE *file = fopen(where, "ae");
    if (!file)
        return;
    fprintf(file,
            "{\"pid\": %d, \"waits\": %llu, \"waited_s\": %.6f, \"waited_cpu_s\": %.6f, "
            "\"cpu_s\": %.6f, \"naps\": %llu}\n",
            (int)getpid(), (unsigned long long)n, waited, spent, cpu,
            (unsigned long long)atomic_load(&naps_taken));
    fclose(file);
}
