/* How CUDA's contexts wait when nothing was guessed. */
#ifndef GPUSPLIT_CUDA_FLAGS_H
#define GPUSPLIT_CUDA_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

/* From here until flags_block the driver's own waits in the current context spin, as is good for one that is
 * known to be over in microseconds: to be woken takes longer.  false: they go on sleeping, and there is
 * nothing to end; before CUDA 12.1 a context's flags stay what they are. */
bool flags_spin(void);
void flags_block(void);

/* Whether that can be had. */
bool flags_can_spin(void);

/* A child has no driver, and nobody in it is in the midst of anything. */
void flags_after_fork(void);

/* A context that the program created is gone. */
void flags_forget(uintptr_t context);

#endif
