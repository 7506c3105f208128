/* CUDA: every wait of the driver interface, by wrappers of its functions. */
#ifndef GPUSPLIT_CUDA_H
#define GPUSPLIT_CUDA_H

#include <stdbool.h>

/* Whether there is a wrapper for a function of that name. */
bool cuda_has(const char *name);

/* The wrapper of the driver's function `real`, or `real` itself; NULL where `real` is a wrapper
 * of ours and there is no driver. */
void *cuda_instead(void *real);

#endif
