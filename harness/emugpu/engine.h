/* The compute engine: which work-groups sit in the GPU's slots, and when the next ones leave.
 *
 * Kernels are served in the order they became ready: free slots go to the oldest kernel that still
 * has work-groups to start, then to the next, which is how a later kernel's work-groups fill the last
 * wave of an earlier one. Work-groups that entered together are one batch. */
#ifndef EMUGPU_ENGINE_H
#define EMUGPU_ENGINE_H

#include "model.h"

struct tl_command;

/* The engine's part of a command. */
struct kernel_run {
    double unstarted; /* work-groups not yet in a slot */
    double inside;    /* work-groups in slots */
    double speed;     /* of each of those: shares of its work per nanosecond */
};

struct batch {
    struct tl_command *kernel;
    double groups;
    double left; /* how much of their work is still to do, of 1 */
};

struct engine {
    struct tl_command **kernels; /* with work-groups unstarted or inside, oldest first */
    int n_kernels, cap_kernels;
    struct batch *batches;
    int n_batches, cap_batches;
};

void engine_add(struct engine *e, struct tl_command *kernel);

/* Fills free slots at time `now`. */
void engine_dispatch(struct engine *e, const struct model *m, double now);

/* Time until the next batch leaves; INFINITY when the engine is empty. */
double engine_next(const struct engine *e);

/* Lets `dt`, at most engine_next(), pass. Kernels with nothing left are removed and returned in
 * `left` (room for n_batches); the number of them is the result. */
int engine_pass(struct engine *e, double dt, struct tl_command **left);

/* When one kernel fills the GPU and has more whole waves to come, they are all alike: skips as many
 * as fit into `span` at once and returns the time they take (0 if none can be skipped). */
double engine_skip(struct engine *e, double span);

void engine_free(struct engine *e);

#endif
