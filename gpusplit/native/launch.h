/* One launch, from the program's call to its slices. */
#ifndef GPUSPLIT_LAUNCH_H
#define GPUSPLIT_LAUNCH_H

#include "opencl.h"

/* clEnqueueNDRangeKernel where launches are split.  work: tells the kernel from others, whatever its
 * sizes; *slices is in how many it went. */
cl_int launch(uint64_t work, handle queue, handle kernel, cl_uint dimensions, const size_t *offset,
              const size_t *global, const size_t *local, WAIT_LIST, unsigned *slices);

#endif
