/* Who runs a kernel, on PoCL before version 6.
 *
 * It keeps a compiled kernel for each local size, and apart for launches whose global offset is zero and
 * for others.  It counts who uses one, but finds the one to count down by kernel and local size alone
 * (lib/CL/devices/common.c, pocl_release_dlhandle_cache), so that two launches with different offsets
 * at a time can end the program by an assertion.  Slices differ just so.  Hence there: slices run one
 * after another; a kernel that another queue runs just now is not split; and a launch of a kernel whose
 * slices run on another queue waits for them, unless they may wait for something that the program is
 * yet to do.  Kernels are told apart by their names, and so sometimes not apart. */
#ifndef GPUSPLIT_USES_H
#define GPUSPLIT_USES_H

#include <stdbool.h>

#include "queues.h"

struct use;

/* The launches of kernels of that name; nobody else adds one before use_leave. */
struct use *use_enter(const char *kernel);
void use_leave(struct use *use);

/* Whether a launch on the queue would run beside another. */
bool use_elsewhere(struct use *use, const struct queue *queue);

/* The wait list of a whole launch on the queue, which is to wait for slices besides what the program says;
 * NULL: for nothing besides.  To be freed. */
handle *use_list(struct use *use, const struct queue *queue, cl_uint *n_wait, const handle *wait_list);

/* Adds a launch, which is over with `event`.  split: it is in slices, and waits for `after` (NULL: for
 * nothing). */
void use_add(struct use *use, const struct queue *queue, handle event, bool split, handle after);

/* Lets go of what is over. */
void uses_tidy(void);

#endif
