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

double clock_next_tick(double t, double tick)
{
    return isfinite(t) ? ceil((t + (double)epoch) / tick) * tick - (double)epoch : t;
}

struct timespec clock_deadline(double t)
{
    /* Rounded up, or the sleeper would wake before the end and sleep again. */
    int64_t at = epoch + (int64_t)ceil(t);
    return (struct timespec){ .tv_sec = at / 1000000000LL, .tv_nsec = at % 1000000000LL };
}

/* Spinning is 200 plain instructions a turn: about 15 ns on a real CPU, 0.8 us on the dry run's of 250 million
 * instructions a second. Between two looks at the clock there are many turns while the end is far, for in a guest
 * of an emulated host a look is a system call through the hypervisor: it takes as long on the wall as 60,000 plain
 * instructions, and a GPU VM that did little else made the whole host crawl. */
enum { TURNS_FAR = 1000, TURNS_NEAR = 10 };
static const double FAR_NS = 10e6;

void clock_spin_until(double t, const atomic_ulong *changed, unsigned long seen)
{
    /* A plain loop on purpose: no yield, no pause instruction, no system call. A spinning driver is a
     * busy vCPU to the hypervisor, and `pause` may trap to it (pause-loop exiting). */
    for (double left; (left = t - clock_now()) > 0;) {
        if (changed && atomic_load_explicit(changed, memory_order_relaxed) != seen)
            return;
        for (int turn = left > FAR_NS ? TURNS_FAR : TURNS_NEAR; turn > 0; turn--)
            __asm__ volatile(".rept 200\n\tnop\n\t.endr");
    }
}
