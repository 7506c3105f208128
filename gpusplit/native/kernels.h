/* Kernels: what their arguments are, and the variant's kernels that get the same. */
#ifndef GPUSPLIT_KERNELS_H
#define GPUSPLIT_KERNELS_H

#include <pthread.h>
#include <stdbool.h>

#include "holds.h"
#include "objects.h"
#include "opencl.h"
#include "programs.h"
#include "split.h"

/* What an argument was last set to. */
struct argument {
    bool set, svm;
    bool has_value; /* false: local memory, or NULL */
    size_t size, room;
    void *value;
    uint64_t version; /* of the kernel, when it was set */
    uint64_t release; /* the last release of a memory object or sampler then */
};

/* A variant's kernel, which is launched in this one's place. */
struct stand_in {
    handle program, kernel;
    uint64_t version; /* of the arguments that it has */
    struct stand_in *next;
};

/* How a kernel was launched when the driver had no objection. */
struct accepted {
    handle context;
    bool has_local;
    size_t local[3];
};

struct kernel {
    struct object object;
    pthread_mutex_t lock; /* of the rest: one launch or argument at a time */
    struct build *build;
    handle program;
    char *name;
    bool unseen; /* something was set that is not remembered here */
    cl_uint n;
    struct argument *arguments;
    uint64_t version; /* counts arguments set */
    struct stand_in *stand_ins;
    struct accepted accepted; /* how the driver took a slice of it */
};

/* Why a kernel cannot be split for its arguments; NULL if it can.  replay: they have to be set on
 * another kernel, too. */
const char *kernel_arguments(const struct kernel *kernel, bool replay);

/* Whether memory of one of arguments `some` may be memory of one of `others` (a bit for each, memory
 * objects all of them).  kernel_arguments has found them set, and none of them released. */
bool kernel_shares(const struct kernel *kernel, uint64_t some, uint64_t others);

/* Whether the driver took a slice of such a launch before: what it objects to, it objects to at once, and
 * slices that are sent later can tell nobody.  accepts: it did. */
bool kernel_accepted(const struct kernel *kernel, handle context, const struct ndrange *range);
void kernel_accepts(struct kernel *kernel, handle context, const struct ndrange *range);

/* The kernel of a variant, with the arguments of this one; NULL where there is none. */
handle kernel_stand_in(struct kernel *kernel, handle program);

/* A kernel of ours alone of that program, with the arguments that this one has now, to be released; NULL
 * where there is none.  hold: keeps its arguments, to be ended with it. */
handle kernel_copy(const struct kernel *kernel, handle program, struct hold **hold);

#endif
