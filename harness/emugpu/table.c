#include "table.h"

#include <stdint.h>
#include <stdlib.h>

/* Open addressing with linear probing; removal shifts the rest of the run back, so there are no
 * tombstones to sweep. */

static size_t home(const struct table *t, const void *key)
{
    return (size_t)(((uintptr_t)key >> 4) * 0x9E3779B97F4A7C15ULL >> 20) & (t->size - 1);
}

static size_t find(const struct table *t, const void *key)
{
    size_t i = home(t, key);
    while (t->entries[i].key && t->entries[i].key != key)
        i = (i + 1) & (t->size - 1);
    return i;
}

void *table_get(const struct table *t, const void *key)
{
    return t->size && key ? t->entries[find(t, key)].value : NULL;
}

void table_put(struct table *t, const void *key, void *value)
{
    if (2 * (t->used + 1) > t->size) {
        struct table bigger = { .size = t->size ? 2 * t->size : 64 };
        bigger.entries = calloc(bigger.size, sizeof *bigger.entries);
        for (size_t i = 0; i < t->size; i++)
            if (t->entries[i].key)
                bigger.entries[find(&bigger, t->entries[i].key)] = t->entries[i];
        bigger.used = t->used;
        free(t->entries);
        *t = bigger;
    }
    t->entries[find(t, key)] = (struct entry){ key, value };
    t->used++;
}

void *table_remove(struct table *t, const void *key)
{
    if (!t->size || !key)
        return NULL;
    size_t hole = find(t, key);
    void *value = t->entries[hole].value;
    if (!t->entries[hole].key)
        return NULL;
    t->used--;
    for (size_t i = (hole + 1) & (t->size - 1); t->entries[i].key; i = (i + 1) & (t->size - 1)) {
        size_t from = home(t, t->entries[i].key);
        /* Entry i may move into the hole unless its home lies between the hole and itself. */
        if (((i - from) & (t->size - 1)) >= ((i - hole) & (t->size - 1))) {
            t->entries[hole] = t->entries[i];
            hole = i;
        }
    }
    t->entries[hole] = (struct entry){ NULL, NULL };
    return value;
}
