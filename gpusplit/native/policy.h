/* How many groups a launch is cut into: the policies (docs/gpusplit.md). */
#ifndef GPUSPLIT_POLICY_H
#define GPUSPLIT_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "options.h"

struct decision {
    size_t groups;      /* 1: the launch stays whole */
    const char *reason; /* why so many, in words that live until the thread asks again */
    int vms;            /* running VMs; -1: unknown, or nobody asked */
};

/* For a launch of so many work-items of a kernel (any number that tells it from others). */
struct decision policy_decide(const struct options *o, uint64_t kernel, size_t items);

/* That the number of VMs is unknown is told again. */
void policy_tells_again(void);

#endif
