/* What became of launches: for the summary, the timeline, and for Python where that records (control.h). */
#ifndef GPUSPLIT_RECORDS_H
#define GPUSPLIT_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "control.h"
#include "opencl.h"
#include "policy.h"

/* Whether somebody records, and whether anybody reads why a launch went as it did. */
bool recording(void);
bool records_words(void);

/* A launch of `kernel` went out in so many slices; reason: why, where it is whole. */
void record(const char *kernel, cl_uint dimensions, const size_t *global, unsigned slices,
            const struct decision *decision, const char *reason);

#endif
