/* A hash table from OpenCL handles to the layer's own objects. */
#ifndef EMUGPU_TABLE_H
#define EMUGPU_TABLE_H

#include <stddef.h>

struct table {
    struct entry { const void *key; void *value; } *entries;
    size_t used, size; /* size is 0 or a power of two */
};

void *table_get(const struct table *t, const void *key);
void table_put(struct table *t, const void *key, void *value); /* key must be new */
void *table_remove(struct table *t, const void *key);

#endif
