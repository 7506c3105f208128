#include "split.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A local size that we choose has at most so many work-items, as most drivers' choice; ... */
#define LARGEST_LOCAL 256
/* ... and fewer leave most lanes of a GPU's vectors idle. */
#define SMALLEST_LOCAL 32
/* A number of slices this near to the wanted one (as a logarithm of the ratio) is near enough. */
#define NEAR 0.15
/* An inner dimension has to be better by so much: the outermost keeps slices contiguous. */
#define BETTER 0.1
/* Work-items that one compute unit of a GPU holds at most (CUDA C++ Programming Guide, "Compute
 * Capabilities", resident threads; others hold no more than a few more). */
#define RESIDENT 2048
/* Slices side by side are to be as many times what the GPU holds.  On an H100 slices of 0.3 times that
 * cost 36 % two by two, 2.6 % by fours, 0.9 % by sixes, and 0.9 % by eights. */
#define FILLS 2
/* More work-items, or groups, than this cannot be reckoned with here. */
#define MOST ((size_t)1 << 52)

static size_t up(size_t n, size_t by)
{
    return n / by + (n % by != 0);
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t most_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t product(const size_t *n)
{
    return n[0] * n[1] * n[2];
}

bool ndrange_read(struct ndrange *range, unsigned dimensions, const size_t *offset, const size_t *global,
                  const size_t *local)
{
    *range = (struct ndrange){ dimensions, local != NULL, { 1, 1, 1 }, { 1, 1, 1 }, { 0, 0, 0 } };
    size_t items = 1;
    if (dimensions < 1 || dimensions > 3 || !global)
        return false;
    for (unsigned d = 0; d < dimensions; d++) {
        range->global[d] = global[d];
        range->local[d] = local ? local[d] : 1;
        range->offset[d] = offset ? offset[d] : 0;
        if (global[d] == 0 || range->local[d] == 0 || global[d] > MOST / items ||
            range->offset[d] > SIZE_MAX - global[d])
            return false;
        items *= global[d];
    }
    return true;
}

size_t ndrange_items(const struct ndrange *range)
{
    return product(range->global);
}

/* The step that cuts `units` into the number of equal pieces nearest to `wanted` (by ratio). */
static size_t nearest_step(size_t units, double wanted)
{
    wanted = fmax(1.0, fmin((double)units, wanted));
    /* The larger step first: of two equally good it makes fewer pieces. */
    const size_t larger = (size_t)ceil((double)units / wanted),
                 smaller = most_of(1, (size_t)floor((double)units / wanted));
    return fabs(log((double)up(units, smaller) / wanted)) < fabs(log((double)up(units, larger) / wanted))
               ? smaller
               : larger;
}

static size_t pieces(const size_t *units, const size_t *step)
{
    return up(units[0], step[0]) * up(units[1], step[1]) * up(units[2], step[2]);
}

static double miss(const size_t *units, const size_t *step, size_t wanted)
{
    return fabs(log((double)pieces(units, step) / (double)wanted));
}

/* How much smaller remainders are than the other slices counts as well. */
static double badness(const size_t *units, const size_t *step, size_t wanted)
{
    return miss(units, step, wanted) +
           (double)(pieces(units, step) * product(step)) / (double)product(units) - 1;
}

static void take(size_t *to, const size_t *from)
{
    memcpy(to, from, 3 * sizeof *to);
}

/* Cuts more than one dimension where that is better than `best`, longest contiguous runs first. */
static void boxes(const size_t *units, unsigned dimensions, size_t wanted, size_t least, size_t *best)
{
    const unsigned outer = dimensions - 1;
    const size_t total = product(units);
    double bad = badness(units, best, wanted);
    size_t before = 0;
    for (size_t count = least_of(units[outer], wanted); count > 1; count--) {
        const size_t step = up(units[outer], count);
        if (step == before)
            continue;
        before = step;
        double left = (double)wanted / (double)up(units[outer], step);
        size_t box[3];
        take(box, units);
        box[outer] = step;
        for (unsigned d = outer; d-- > 0;) {
            const size_t rest = product(box) / box[d];
            box[d] = least_of(box[d], most_of(nearest_step(box[d], left), up(least, rest)));
            left = fmax(1.0, left / (double)up(units[d], box[d]));
        }
        if (product(box) >= least_of(least, total) && badness(units, box, wanted) < bad) {
            bad = badness(units, box, wanted);
            take(best, box);
        }
    }
}

/* The size of a slice in work-groups: see ndrange.steps. */
static void steps(const size_t *units, unsigned dimensions, size_t wanted, size_t least, size_t *best)
{
    const size_t total = product(units);
    wanted = most_of(1, least_of(wanted, total / most_of(1, least)));
    take(best, units);
    if (wanted == 1)
        return;
    for (unsigned d = dimensions; d-- > 0;) {
        const size_t step = most_of(nearest_step(units[d], (double)wanted), up(least, total / units[d]));
        size_t tried[3];
        take(tried, units);
        tried[d] = least_of(step, units[d]);
        if (miss(units, tried, wanted) < miss(units, best, wanted) - BETTER)
            take(best, tried);
    }
    if (miss(units, best, wanted) > NEAR && dimensions > 1)
        boxes(units, dimensions, wanted, least, best);
}

struct cut split_cut(const struct ndrange *whole, size_t groups, size_t cores, size_t units)
{
    struct cut cut = { .whole = *whole, .unit = { SMALLEST_LOCAL, 1, 1 } };
    size_t groups_of[3];
    if (whole->has_local)
        take(cut.unit, whole->local);
    for (unsigned d = 0; d < 3; d++)
        groups_of[d] = up(whole->global[d], cut.unit[d]);
    const size_t least = most_of(1, most_of(units, up(cores, product(cut.unit))));
    steps(groups_of, whole->dimensions, groups, least, cut.step);
    for (unsigned d = 0; d < 3; d++)
        cut.count[d] = up(groups_of[d], cut.step[d]);
    cut.parts = product(cut.count);
    return cut;
}

struct ndrange split_part(const struct cut *cut, size_t at)
{
    struct ndrange part = cut->whole;
    for (unsigned d = 0; d < 3; d++) {
        const size_t width = cut->step[d] * cut->unit[d];
        const size_t first = at % cut->count[d] * width;
        at /= cut->count[d];
        part.global[d] = least_of(width, cut->whole.global[d] - first);
        part.offset[d] += first;
    }
    return part;
}

unsigned split_side_by_side(const struct cut *cut, size_t units, unsigned most)
{
    const struct ndrange first = split_part(cut, 0);
    const size_t several = up(FILLS * units * RESIDENT, ndrange_items(&first));
    return several < 2 ? 2 : several > most ? most : (unsigned)several;
}

bool split_fix_local(struct ndrange *range, size_t limit, const size_t *largest)
{
    size_t left = least_of(limit, LARGEST_LOCAL), local[3] = { 1, 1, 1 };
    for (unsigned d = 0; d < range->dimensions; d++) {
        size_t width = least_of(least_of(left, largest[d]), range->global[d]);
        while (width > 1 && range->global[d] % width)
            width--;
        local[d] = most_of(width, 1);
        left /= local[d];
    }
    if (product(local) < least_of(SMALLEST_LOCAL, ndrange_items(range)))
        return false;
    take(range->local, local);
    range->has_local = true;
    return true;
}

const char *split_beyond(const struct ndrange *range, unsigned address_bits, bool nvidia)
{
    const unsigned bits = nvidia && address_bits > 32 ? 32 : address_bits;
    for (unsigned d = 0; d < range->dimensions; d++) {
        /* OpenCL 1.2 refuses such a launch, but would refuse only the last slice. */
        if (range->has_local && range->global[d] % range->local[d])
            return "its local size does not divide its global size";
        if (bits < 64 && range->offset[d] + range->global[d] >= (uint64_t)1 << bits)
            return "IDs beyond the device's bits";
    }
    return NULL;
}

/* Where `n` values travel, given that `n_free` dimensions are free; 0 bits: there is no room.  The
 * highest bit of an offset stays clear: a global ID is the sum of more than the offset. */
static unsigned width_for(const size_t *values, unsigned n, unsigned n_free, unsigned bits)
{
    const unsigned widths[] = { bits - 1, 15 };
    for (unsigned i = 0; i < 2; i++) {
        const unsigned width = widths[i];
        bool fits = n <= n_free * (bits / (width + 1));
        for (unsigned v = 0; v < n; v++)
            fits = fits && values[v] < (size_t)1 << width;
        if (fits)
            return width;
    }
    return 0;
}

struct shape split_shape(const struct cut *cut, bool asks_size, unsigned bits)
{
    struct shape shape;
    memset(&shape, 0, sizeof shape); /* forms are compared byte by byte */
    const struct ndrange *whole = &cut->whole;
    struct number *wanted[6];
    size_t values[6];
    unsigned n = 0, n_free = 0, open[3];
    shape.form.dimensions = whole->dimensions;
    for (unsigned d = whole->dimensions; d < 3; d++)
        open[n_free++] = d;
    for (unsigned d = 0; d < 3; d++) {
        shape.form.size[d].value = 1;
        if (d >= whole->dimensions)
            continue;
        shape.form.id[d] = ID_GLOBAL;
        if (cut->count[d] == 1) {
            shape.form.size[d] = (struct number){ .how = NUMBER_ASKED };
            if (whole->offset[d])
                shape.form.offset[d] = (struct number){ .how = NUMBER_ASKED };
            else
                open[n_free++] = d;
            continue;
        }
        if (asks_size) {
            wanted[n] = &shape.form.size[d];
            values[n++] = whole->global[d];
        }
        if (whole->offset[d]) {
            wanted[n] = &shape.form.offset[d];
            values[n++] = whole->offset[d];
        }
    }
    const unsigned width = n ? width_for(values, n, n_free, bits) : 0;
    shape.constant = n && !width;
    const unsigned each = width ? bits / (width + 1) : 1;
    for (unsigned i = 0; i < n; i++) {
        if (!width) {
            *wanted[i] = (struct number){ .how = NUMBER_CONSTANT, .value = (uint32_t)values[i] };
            continue;
        }
        const unsigned slot = i / each, d = open[slot], shift = i % each * (width + 1);
        *wanted[i] = (struct number){ NUMBER_CARRIED, 0, d, shift, width };
        shape.carrier[slot] = d;
        shape.carried[slot] |= values[i] << shift;
        shape.carriers = slot + 1;
        if (d < whole->dimensions)
            shape.form.id[d] = ID_ABOVE_OFFSET;
    }
    return shape;
}

struct ndrange split_shaped(const struct shape *shape, struct ndrange part)
{
    for (unsigned i = 0; i < shape->carriers; i++) {
        part.offset[shape->carrier[i]] = shape->carried[i];
        if (part.dimensions <= shape->carrier[i])
            part.dimensions = shape->carrier[i] + 1;
    }
    return part;
}

static int number(char *to, size_t size, const char *name, unsigned d, const struct number *n,
                  const char *asks)
{
    switch (n->how) {
    case NUMBER_ASKED:
        return snprintf(to, size, "#define GPUSPLIT_%s_%u (uint)%s(%u)\n", name, d, asks, d);
    case NUMBER_CARRIED:
        return snprintf(to, size, "#define GPUSPLIT_%s_%u (uint)((get_global_offset(%u) >> %u) & %#xu)\n",
                        name, d, n->dimension, n->shift, (1u << n->width) - 1);
    default:
        return snprintf(to, size, "#define GPUSPLIT_%s_%u %uu\n", name, d, n->value);
    }
}

void split_macros(const struct form *form, char *text)
{
    static const char *const ids[] = {
        [ID_ZERO] = "0u",
        [ID_GLOBAL] = "(uint)get_global_id(%u)",
        [ID_ABOVE_OFFSET] = "(uint)(get_global_id(%u) - get_global_offset(%u))",
    };
    size_t at = 0;
    for (unsigned d = 0; d < 3; d++) {
        char id[64];
        snprintf(id, sizeof id, ids[form->id[d]], d, d);
        at += (size_t)snprintf(text + at, FORM_TEXT - at, "#define GPUSPLIT_ID_%u %s\n", d, id);
    }
    for (unsigned d = 0; d < 3; d++)
        at += (size_t)number(text + at, FORM_TEXT - at, "OFFSET", d, &form->offset[d], "get_global_offset");
    for (unsigned d = 0; d < 3; d++)
        at += (size_t)number(text + at, FORM_TEXT - at, "SIZE", d, &form->size[d], "get_global_size");
    snprintf(text + at, FORM_TEXT - at, "#define GPUSPLIT_WORK_DIM %uu\n", form->dimensions);
}
