#include "binaries.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct binaries *binaries_copy(unsigned n, const size_t *sizes, const unsigned char *const *bytes)
{
    struct binaries *copy = calloc(1, sizeof *copy + n * sizeof *copy->each);
    if (!copy)
        return NULL;
    atomic_init(&copy->uses, 1);
    for (unsigned i = 0; i < n; i++) {
        struct binary *one = &copy->each[copy->n];
        if (!bytes[i] || !sizes[i])
            continue;
        if (!(one->bytes = malloc(sizes[i])))
            break;
        memcpy(one->bytes, bytes[i], one->size = sizes[i]);
        copy->n++;
    }
    if (copy->n)
        return copy;
    binaries_drop(copy);
    return NULL;
}

struct binaries *binaries_hold(struct binaries *binaries)
{
    if (binaries)
        atomic_fetch_add(&binaries->uses, 1);
    return binaries;
}

void binaries_drop(struct binaries *binaries)
{
    if (!binaries || atomic_fetch_sub(&binaries->uses, 1) != 1)
        return;
    for (unsigned i = 0; i < binaries->n; i++)
        free(binaries->each[i].bytes);
    free(binaries);
}
