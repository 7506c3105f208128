/* What an OpenCL device says of itself; devices.py has the same. */
#ifndef GPUSPLIT_DEVICE_H
#define GPUSPLIT_DEVICE_H

#include <stdbool.h>

#include "opencl.h"

struct device {
    handle handle;
    size_t cores;         /* work-items that it computes at once, or fewer where it does not say */
    unsigned units;       /* compute units */
    unsigned address_bits;
    size_t largest[3];    /* work-items of a work-group, per dimension */
    bool modern;          /* OpenCL 1.2: markers and barriers with wait lists */
    bool gpu, nvidia, pocl;
    bool one_at_a_time;   /* PoCL before version 6: see uses.h */
};

void device_ask(struct device *device, handle given);

/* A text that OpenCL tells in two steps, to be freed; empty where there is none, NULL without memory. */
char *text_of(cl_int (*ask)(handle, ANSWER), handle object, cl_uint what);

#endif
