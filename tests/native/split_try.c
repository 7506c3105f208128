/* Tells what split.c makes of launches, for test_split.py to hold to Python's own arithmetic.  A line in:
 * dimensions, offset, global size, local size (0: the driver's choice), groups, cores, units, whether
 * the launch's size is asked for, bits.  Out: a line for each slice as it is launched, and the macros. */
#include <stdio.h>
#include <string.h>

#include "split.h"

static void three(const char *name, const size_t *n, unsigned dimensions)
{
    printf("%s", name);
    for (unsigned d = 0; d < dimensions; d++)
        printf(" %zu", n[d]);
}

int main(void)
{
    unsigned dimensions, asks, bits;
    size_t o[3], g[3], l[3], groups, cores, units;
    while (scanf("%u %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %zu %u %u", &dimensions, o, o + 1, o + 2, g,
                 g + 1, g + 2, l, l + 1, l + 2, &groups, &cores, &units, &asks, &bits) == 15) {
        struct ndrange range;
        char text[FORM_TEXT];
        if (!ndrange_read(&range, dimensions, o, g, l[0] ? l : NULL)) {
            puts("none\nend");
            continue;
        }
        const struct cut cut = split_cut(&range, groups, cores, units);
        const struct shape shape = split_shape(&cut, asks, bits);
        for (size_t at = 0; at < cut.parts; at++) {
            const struct ndrange part = split_shaped(&shape, split_part(&cut, at));
            three("part", part.offset, part.dimensions);
            three(" of", part.global, part.dimensions);
            three(part.has_local ? " in" : " any", part.local, part.dimensions);
            puts("");
        }
        printf("beside %u\n", split_side_by_side(&cut, units, 8));
        printf("constant %d\n", shape.constant);
        split_macros(&shape.form, text);
        printf("%send\n", text);
    }
    return 0;
}
