/* The driver's functions, and our wrappers of them. */
#ifndef GPUSPLIT_CUDA_DRIVER_H
#define GPUSPLIT_CUDA_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "cuda_functions.h"

#define DECLARE(name, parameters) extern CUresult(*real_##name) parameters;
WRAPPED(DECLARE)
NEEDED(DECLARE)
#undef DECLARE

/* our_NAME is the wrapper, by a name that nobody else can take; NAME is it for the program. */
#define DECLARE(name, parameters) CUresult our_##name parameters;
WRAPPED(DECLARE)
#undef DECLARE
#define EXPORTED(name, parameters)                                                                   \
    __attribute__((visibility("default"), alias("our_" #name))) CUresult name parameters;

/* Whether all of `real_` is there; nothing of it is looked at before. */
extern atomic_bool cuda_loaded;

/* A program that is linked with the driver calls us first of all: looks for the driver by one of its
 * functions. */
void cuda_find(const char *name);

/* Whether the driver has the function. */
#define HAVE(name)                                                                                   \
    (atomic_load_explicit(&cuda_loaded, memory_order_acquire) ? (void)0 : cuda_find(#name),          \
     real_##name != NULL)

#endif
