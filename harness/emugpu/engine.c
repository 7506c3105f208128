#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "timeline.h"

/* A batch is done when what is left takes less than half a nanosecond: above what rounding leaves
 * behind, below what any clock here shows. */
#define DONE_NS 0.5

/* More batches of one kernel than this are merged, nearest ends first, so that a long run of
 * overlapping kernels costs the same per wave at its end as at its beginning. */
#define MAX_BATCHES 24

static double fill_of(const struct tl_command *kernel)
{
    return kernel->run.inside / kernel->spec.work.slots;
}

/* How fast the work-groups of each kernel progress, in work-groups' work per nanosecond. Older kernels
 * have the first call on the GPU, as its schedulers prefer the oldest (greedy-then-oldest): what a
 * younger one gets is what its work-groups add to the throughput. */
static void set_speeds(struct engine *e, const struct model *m)
{
    double fill = 0, used = 0;
    for (int k = 0; k < e->n_kernels; k++) {
        struct tl_command *kernel = e->kernels[k];
        double own = fill_of(kernel);
        kernel->run.speed = 0;
        if (own <= 0)
            continue;
        double all = model_throughput(m, fmin(fill + own, 1));
        kernel->run.speed = (all - used) / (own * kernel->spec.work.wave_ns);
        fill += own;
        used = all;
    }
}

void engine_add(struct engine *e, struct tl_command *kernel)
{
    if (e->n_kernels == e->cap_kernels) {
        e->cap_kernels = e->cap_kernels ? 2 * e->cap_kernels : 8;
        e->kernels = realloc(e->kernels, e->cap_kernels * sizeof *e->kernels);
    }
    kernel->run.unstarted = kernel->spec.work.groups;
    kernel->run.inside = 0;
    e->kernels[e->n_kernels++] = kernel;
}

/* Merges the two batches of one kernel whose ends are nearest. Their mean is weighted with the number
 * of work-groups, so no work is lost or won. */
static void merge_nearest(struct engine *e)
{
    int best_a = -1, best_b = -1;
    double best = INFINITY;
    for (int a = 0; a < e->n_batches; a++)
        for (int b = a + 1; b < e->n_batches; b++) {
            double apart = fabs(e->batches[a].left - e->batches[b].left);
            if (e->batches[a].kernel == e->batches[b].kernel && apart < best) {
                best = apart;
                best_a = a;
                best_b = b;
            }
        }
    if (best_a < 0)
        return;
    struct batch *a = &e->batches[best_a], *b = &e->batches[best_b];
    a->left = (a->left * a->groups + b->left * b->groups) / (a->groups + b->groups);
    a->groups += b->groups;
    *b = e->batches[--e->n_batches];
}

static void start_batch(struct engine *e, struct tl_command *kernel, double groups)
{
    if (e->n_batches >= MAX_BATCHES)
        merge_nearest(e);
    if (e->n_batches == e->cap_batches) {
        e->cap_batches = e->cap_batches ? 2 * e->cap_batches : 8;
        e->batches = realloc(e->batches, e->cap_batches * sizeof *e->batches);
    }
    e->batches[e->n_batches++] = (struct batch){ kernel, groups, 1.0 };
    kernel->run.unstarted -= groups;
    kernel->run.inside += groups;
}

void engine_dispatch(struct engine *e, const struct model *m, double now)
{
    double fill = 0;
    for (int k = 0; k < e->n_kernels; k++)
        fill += fill_of(e->kernels[k]);
    for (int k = 0; k < e->n_kernels; k++) {
        struct tl_command *kernel = e->kernels[k];
        if (kernel->run.unstarted <= 0)
            continue;
        double room = floor((1 - fill) * kernel->spec.work.slots + 1e-6);
        double groups = fmin(room, kernel->run.unstarted);
        if (groups < 1)
            break; /* the oldest goes first: a younger kernel may not overtake it */
        if (kernel->state != STATE_RUNNING) {
            kernel->state = STATE_RUNNING;
            kernel->start = now;
        }
        start_batch(e, kernel, groups);
        fill += groups / kernel->spec.work.slots;
    }
    set_speeds(e, m);
}

double engine_next(const struct engine *e)
{
    double next = INFINITY;
    for (int b = 0; b < e->n_batches; b++)
        if (e->batches[b].kernel->run.speed > 0)
            next = fmin(next, e->batches[b].left / e->batches[b].kernel->run.speed);
    return next;
}

int engine_pass(struct engine *e, double dt, struct tl_command **left)
{
    for (int b = e->n_batches - 1; b >= 0; b--) {
        struct batch *batch = &e->batches[b];
        double speed = batch->kernel->run.speed;
        batch->left -= dt * speed;
        if (batch->left < DONE_NS * speed) {
            batch->kernel->run.inside -= batch->groups;
            *batch = e->batches[--e->n_batches];
        }
    }
    int n_left = 0, kept = 0;
    for (int k = 0; k < e->n_kernels; k++) {
        struct tl_command *kernel = e->kernels[k];
        if (kernel->run.unstarted <= 0 && kernel->run.inside <= 0)
            left[n_left++] = kernel;
        else
            e->kernels[kept++] = kernel;
    }
    e->n_kernels = kept;
    return n_left;
}

double engine_skip(struct engine *e, double span)
{
    if (e->n_batches == 0)
        return 0;
    struct tl_command *kernel = e->batches[0].kernel;
    double slots = kernel->spec.work.slots;
    for (int b = 1; b < e->n_batches; b++)
        if (e->batches[b].kernel != kernel)
            return 0;
    if (kernel->run.inside < slots || kernel != e->kernels[0])
        return 0;
    double waves = floor(fmin(kernel->run.unstarted / slots, span / kernel->spec.work.wave_ns));
    if (waves < 1)
        return 0;
    kernel->run.unstarted -= waves * slots;
    return waves * kernel->spec.work.wave_ns;
}

void engine_free(struct engine *e)
{
    free(e->kernels);
    free(e->batches);
    memset(e, 0, sizeof *e);
}
