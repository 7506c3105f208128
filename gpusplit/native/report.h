/* What waits cost, told at the end of the program to those who want to know. */
#ifndef GPUSPLIT_REPORT_H
#define GPUSPLIT_REPORT_H

#include <stdint.h>

/* Around a wait; what begin returns goes to the end.  0 where nobody wants to know. */
uint64_t report_begin(void);
void report_end(uint64_t begun_cpu, uint64_t begun, unsigned naps);

#endif
