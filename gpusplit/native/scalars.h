/* The arguments of OpenCL's kernels that are small numbers: by them a kernel's short launches may be told
 * from its long ones. */
#ifndef GPUSPLIT_SCALARS_H
#define GPUSPLIT_SCALARS_H

#include <stddef.h>
#include <stdint.h>

/* An argument was set. */
void scalar_set(const void *kernel, unsigned index, size_t size, const void *value);

/* A number that is the same where the kernel has the same small numbers as arguments; 0: none is known. */
uint64_t scalars_of(const void *kernel);

#endif
