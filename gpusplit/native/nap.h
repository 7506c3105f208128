/* Sleeping until a moment as exactly as a thread may that has no privileges. */
#ifndef GPUSPLIT_NAP_H
#define GPUSPLIT_NAP_H

#include <stdint.h>

/* Now, in nanoseconds of CLOCK_MONOTONIC. */
uint64_t nap_now(void);

/* Sleeps until `until`; it is `now`.  Timer slack and the scheduler's slice are afterwards as they were. */
void nap(uint64_t until, uint64_t now);

/* How late a thread may wake that sleeps for so long (ns): one nap of five was later. */
uint64_t nap_lateness(uint64_t ns);

#endif
