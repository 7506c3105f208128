/* A file of waits and launches in the Trace Event Format, which chrome://tracing and Perfetto open. */
#ifndef GPUSPLIT_TIMELINE_H
#define GPUSPLIT_TIMELINE_H

#include <stdint.h>

/* Writes a wait of this thread at once (a program that is killed has its timeline, too): when it was, in
 * ns of CLOCK_MONOTONIC, the CPU time that it took in ns, and how often the thread slept.  Several
 * processes may write into one file.  Keeps errno. */
void timeline_wait(uint64_t begin, uint64_t end, uint64_t cpu, unsigned naps);

/* Writes that a launch of `kernel` was enqueued now, in so many slices; 1: whole, for that reason. */
void timeline_launch(const char *kernel, unsigned slices, const char *reason);

#endif
