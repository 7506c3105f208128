/* The one clock of the emulated GPU: CLOCK_MONOTONIC, in nanoseconds since the layer was loaded. */
#ifndef EMUGPU_CLOCK_H
#define EMUGPU_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

void clock_start(void);
double clock_now(void);

/* The same moment as a device timestamp (CLOCK_MONOTONIC itself, as profiling reports it). */
uint64_t clock_stamp(double t);

/* For functions that wait with an absolute time-out. */
struct timespec clock_deadline(double t);

/* The first tick at `t` or after it; ticks are at multiples of `tick` of CLOCK_MONOTONIC. */
double clock_next_tick(double t, double tick);

/* Burns this thread's CPU until `t`, or until *changed is no longer `seen`. */
void clock_spin_until(double t, const atomic_ulong *changed, unsigned long seen);

#endif
