/* Programs as the program makes them: from what, and built how. */
#ifndef GPUSPLIT_PROGRAMS_H
#define GPUSPLIT_PROGRAMS_H

#include "builds.h"
#include "opencl.h"

/* The build that kernels made of `program` now belong to, to be dropped; NULL: nothing is known. */
struct build *build_get(handle program);

#endif
