/* The arguments of CUDA's launches, by which a kernel's short launches may be told from its long ones. */
#ifndef GPUSPLIT_CUDA_ARGUMENTS_H
#define GPUSPLIT_CUDA_ARGUMENTS_H

#include <stdint.h>

#include "cuda_abi.h"

/* A number that is the same for launches with the same small numbers among their arguments; 0 where
 * nobody knows how large those are (before CUDA 12.4), or which function that is, or none is small. */
uint64_t arguments_of(CUfunction f, void **params);

/* The driver gave this handle to the program: of others nothing is asked, as they may be no functions. */
void arguments_function(CUfunction f);
void arguments_kernel(CUkernel kernel);

/* Functions are gone, and their handles may be others' next: nothing more is asked of any. */
void arguments_forget(void);

#endif
