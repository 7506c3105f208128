/* What waits cost, told at the end of the program (GPUSPLIT_REPORT) and one by one (GPUSPLIT_TIMELINE)
 * to those who want to know. */
#ifndef GPUSPLIT_REPORT_H
#define GPUSPLIT_REPORT_H

#include <stdint.h>

/* When a wait began, and what this thread had used until then; all 0 where nobody wants to know. */
struct report {
    uint64_t begun, cpu; /* ns */
    unsigned naps;
};

/* Around a wait, the driver's own call included.  Keeps errno. */
struct report report_begin(void);
void report_end(const struct report *report);

#endif
