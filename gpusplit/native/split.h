/* An NDRange and its slices: arithmetic only, no OpenCL.  The same as ndrange.py, plan.py and
 * variant.form in Python, to which tests hold it. */
#ifndef GPUSPLIT_SPLIT_H
#define GPUSPLIT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one launch covers, in work-items; dimensions beyond the last have size 1 and offset 0. */
struct ndrange {
    unsigned dimensions; /* 1 to 3 */
    bool has_local;      /* false: the driver chooses */
    size_t global[3], local[3], offset[3];
};

/* How an NDRange is cut: boxes of `step` work-groups, `parts` of them. */
struct cut {
    struct ndrange whole;
    size_t unit[3];  /* what is not divided further: a work-group where there is a local size */
    size_t step[3];  /* in units */
    size_t count[3]; /* boxes per dimension */
    size_t parts;
};

/* Reads a call's sizes; false where OpenCL would refuse them, or they are too many to reckon with. */
bool ndrange_read(struct ndrange *range, unsigned dimensions, const size_t *offset, const size_t *global,
                  const size_t *local);
size_t ndrange_items(const struct ndrange *range);

/* Cuts into about `groups` slices; none has less than what fills so many cores in so many compute
 * units, but for remainders.  Without a local size the slices leave the choice to the driver. */
struct cut split_cut(const struct ndrange *whole, size_t groups, size_t cores, size_t units);

/* How many slices should run side by side, 2 to `most`, so that a GPU of so many compute units never runs
 * dry: small ones do not fill it, and where one ends the next is not there yet. */
unsigned split_side_by_side(const struct cut *cut, size_t units, unsigned most);

/* Slice number `at`: in the order of their offsets, dimension 0 fastest. */
struct ndrange split_part(const struct cut *cut, size_t at);

/* Gives a local size that divides the global size, to kernels that cannot tell; false if none is
 * good.  limit: work-items of a work-group of this kernel; largest: per dimension. */
bool split_fix_local(struct ndrange *range, size_t limit, const size_t *largest);

/* Why the range cannot be launched in slices; NULL if it can.  NVIDIA keeps IDs in 32 bits. */
const char *split_beyond(const struct ndrange *range, unsigned address_bits, bool nvidia);

/* Where a variant of a program finds a number of the whole launch. */
struct number {
    uint32_t how; /* NUMBER_... */
    uint32_t value;
    uint32_t dimension, shift, width; /* NUMBER_CARRIED: bits of that dimension's global offset */
};
enum { NUMBER_CONSTANT, NUMBER_ASKED, NUMBER_CARRIED };
enum { ID_ZERO, ID_GLOBAL, ID_ABOVE_OFFSET };

/* What a variant is compiled with: it serves every launch of the same form.  No padding, so that forms
 * are equal if their bytes are. */
struct form {
    uint32_t dimensions;
    uint32_t id[3]; /* ID_... */
    struct number size[3], offset[3];
};

/* How slices of a launch are launched in its variant. */
struct shape {
    struct form form;
    bool constant;      /* sizes of this very launch are compiled in */
    unsigned carriers;  /* so many dimensions carry something, ... */
    unsigned carrier[3]; /* ... these, ... */
    size_t carried[3];  /* ... as their global offset */
};

/* asks_size: whether the kernel asks for the size of the whole launch; bits: of an offset that the
 * device keeps (32; PoCL 16). */
struct shape split_shape(const struct cut *cut, bool asks_size, unsigned bits);

/* A slice as it is launched: with what its dimensions carry. */
struct ndrange split_shaped(const struct shape *shape, struct ndrange part);

/* The macros before the variant's text; `text` has FORM_TEXT bytes. */
#define FORM_TEXT 2048
void split_macros(const struct form *form, char *text);

#endif
