/* What names a launch of an OpenCL kernel: the kernel's own name, and the arguments that are small numbers,
 * by which its short launches may be told from its long ones. */
#ifndef GPUSPLIT_SCALARS_H
#define GPUSPLIT_SCALARS_H

#include <stddef.h>
#include <stdint.h>

/* An argument was set. */
void scalar_set(const void *kernel, unsigned index, size_t size, const void *value);

/* A number for the kernel's name, which the driver is asked for once.  is_named: it was made by that name. */
uint64_t scalars_name(void *kernel);
void scalars_is_named(const void *kernel, const char *name);

/* The program releases the kernel, and another may get its handle. */
void scalars_forget_name(const void *kernel);

/* A number that is the same where the kernel has the same small numbers as arguments; 0: none is known. */
uint64_t scalars_of(const void *kernel);

#endif
