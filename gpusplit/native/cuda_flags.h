/* How CUDA's contexts wait when nothing was guessed. */
#ifndef GPUSPLIT_CUDA_FLAGS_H
#define GPUSPLIT_CUDA_FLAGS_H

#include <stdint.h>

/* A context that the program created is gone. */
void flags_forget(uintptr_t context);

#endif
