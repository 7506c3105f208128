/* What the judge says of a build, and its variants: found out when first asked for. */
#ifndef GPUSPLIT_BUILDS_H
#define GPUSPLIT_BUILDS_H

#include <stdbool.h>

#include "binaries.h"
#include "judge.h"
#include "opencl.h"
#include "split.h"

/* One building of one program; kernels keep the one that they were made from. */
struct build;

/* headers: as judge_headers() said while it was built, or NULL; binaries: what the program was made
 * from, or NULL if that is a source; source: NULL where the program itself says it.  NULL where there is no
 * memory. */
struct build *build_new(const char *options, const char *headers, struct binaries *binaries,
                        const char *source);
struct build *build_hold(struct build *build);
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

/* The program gives binaries away: what they are made from is kept for whoever takes them back. */
void build_given_away(struct build *build, handle program, const struct binaries *binaries);

#endif
