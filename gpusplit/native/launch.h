/* One launch, from the program's call to its slices. */
#ifndef GPUSPLIT_LAUNCH_H
#define GPUSPLIT_LAUNCH_H

#include "opencl.h"

/* How a launch went out. */
struct sent {
    unsigned slices;
    uint64_t since; /* when the first of several was sent, ns; 0: it is whole */
};

/* clEnqueueNDRangeKernel.  work: tells the kernel from others, whatever its sizes; sent: NULL, it is not to
 * be split. */
cl_int launch(uint64_t work, handle queue, handle kernel, cl_uint dimensions, const size_t *offset,
              const size_t *global, const size_t *local, WAIT_LIST, struct sent *sent);

#endif
