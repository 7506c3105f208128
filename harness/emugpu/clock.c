#include "clock.h"

#include <math.h>

static int64_t epoch;

static int64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void clock_start(void)
{
    epoch = monotonic();
}

double clock_now(void)
{
    return (double)(monotonic() - epoch);
}

uint64_t clock_stamp(double t)
{
    return (uint64_t)(epoch + llround(t));
}

struct timespec clock_deadline(double t)
{
    /* Rounded up, or the sleeper would wake before the end and sleep again. */
    int64_t at = epoch + (int64_t)ceil(t);
    return (struct timespec){ .tv_sec = at / 1000000000LL, .tv_nsec = at % 1000000000LL };
}

/* Plain instructions between two looks at the clock: about half a microsecond on a real CPU, ten on the
 * dry run's of 250 million instructions a second. To the hypervisor there is no difference, but an
 * emulated host pays for every reading of the clock with the time of hundreds of plain instructions, and a
 * spinning guest would make it crawl. */
enum { PLAIN_INSTRUCTIONS = 1000 };

void clock_spin_until(double t, const atomic_ulong *changed, unsigned long seen)
{
    /* A plain loop on purpose: no yield, no pause instruction, no system call. A spinning driver is a
     * busy vCPU to the hypervisor, and `pause` may trap to it (pause-loop exiting). */
    while (clock_now() < t) {
        if (changed && atomic_load_explicit(changed, memory_order_relaxed) != seen)
            return;
        for (int i = 0; i < PLAIN_INSTRUCTIONS; i++)
            __asm__ volatile("");
    }
}
