/* The policy adaptive: what this guest can see, put into windows, and the control law over it (adapt.h).
 * Once per window a launch pays for reading two counters; all others look a decision up. */
#ifndef GPUSPLIT_ADAPTIVE_H
#define GPUSPLIT_ADAPTIVE_H

#include <stddef.h>
#include <stdint.h>

/* The groups of a launch of so many work-items, beside `count` VMs (0: unknown), at a slow-down of at most
 * `budget`.  *reason says why, until the thread asks again. */
size_t adaptive_decide(uint64_t kernel, size_t items, unsigned count, double budget, const char **reason);

/* A launch took so many seconds, as the program saw. */
void adaptive_observe(uint64_t kernel, size_t items, size_t groups, double seconds);

/* Knows nothing again. */
void adaptive_forget(void);

#endif
