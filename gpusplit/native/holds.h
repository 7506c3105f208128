/* Memory objects and samplers that slices yet to be sent work on.  A kernel need not keep its arguments
 * alive, and a program may release them as soon as its launch is enqueued: what it releases then is
 * kept for those slices. */
#ifndef GPUSPLIT_HOLDS_H
#define GPUSPLIT_HOLDS_H

#include "opencl.h"

struct hold;

/* Keeps each of these values that is an object, should the program release it; most are none.  NULL
 * without memory. */
struct hold *hold_begin(const handle *values, unsigned n);

/* The slices are sent. */
void hold_end(struct hold *hold);

/* A child that was forked has nothing to send, and the lock may be somebody's who is not there. */
void holds_forget(void);

/* The program is about to release an object; retain, release: how that is done. */
void holds_released(handle object, cl_int (*retain)(handle), cl_int (*release)(handle));

#endif
