/* What programs were built from, what the judge says of them, and their variants. */
#ifndef GPUSPLIT_PROGRAMS_H
#define GPUSPLIT_PROGRAMS_H

#include <stdbool.h>

#include "judge.h"
#include "opencl.h"
#include "split.h"

/* One building of one program; kernels keep the one that they were made from. */
struct build;

/* The build that kernels made of `program` now belong to, to be dropped; NULL: nothing is known. */
struct build *build_get(handle program);
void build_drop(struct build *build);

/* What the judge says of a build on a device: NULL while it is asked.  Valid as long as the build. */
const struct answer *build_answer(struct build *build, handle program, handle device);

/* The verdict on a kernel: with a refusal, and no name, where it is not among the judged. */
const struct verdict *answer_verdict(const struct answer *answer, const char *kernel,
                                     struct verdict *otherwise);

/* The built variant of a form; NULL where there is none (yet), and then *why says why.  constant: sizes
 * of one launch are compiled in, which is not done endlessly. */
handle build_variant(struct build *build, const struct answer *answer, handle program, handle device,
                     const struct form *form, bool constant, const char **why);

#endif
