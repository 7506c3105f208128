#define _GNU_SOURCE
#include "loaders.h"

#include <link.h>
#include <stdatomic.h>
#include <string.h>

static atomic_uint know_us;
static _Atomic unsigned long long looked_at; /* how many objects had ever been loaded when we looked */
static atomic_bool doubt;

struct look {
    bool all; /* false: only how many were ever loaded */
    unsigned long long loaded;
    unsigned loaders;
};

static int look_at(struct dl_phdr_info *object, size_t size, void *what)
{
    struct look *look = what;
    const char *slash = object->dlpi_name ? strrchr(object->dlpi_name, '/') : NULL;
    (void)size;
    look->loaded = object->dlpi_adds;
    if (slash && !strncmp(slash + 1, "libOpenCL", 9))
        look->loaders++;
    return !look->all;
}

void loader_knows_us(void)
{
    atomic_fetch_add(&know_us, 1);
}

bool loaders_all_know_us(void)
{
    struct look look = { false, 0, 0 };
    if (atomic_load(&doubt))
        return false;
    dl_iterate_phdr(look_at, &look);
    if (look.loaded == atomic_load(&looked_at))
        return true;
    look = (struct look){ true, 0, 0 };
    dl_iterate_phdr(look_at, &look);
    atomic_store(&looked_at, look.loaded);
    if (look.loaders > atomic_load(&know_us))
        atomic_store(&doubt, true);
    return !atomic_load(&doubt);
}
