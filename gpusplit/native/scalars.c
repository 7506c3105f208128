#include "scalars.h"

#include <stdatomic.h>
#include <string.h>

#include "engine.h"
#include "opencl.h"

#define KERNELS 1024
#define ARGUMENTS 16
/* Longer names are not looked at. */
#define LONGEST 127

/* Two kernels may want one place: the last whose argument was set has it.  A kernel that is gone leaves
 * nothing behind that matters, since the next one of that handle has its own arguments set. */
static struct {
    _Atomic uintptr_t kernel;
    _Atomic uint64_t name; /* 0: not asked for */
    _Atomic uint32_t values[ARGUMENTS]; /* 0: no number, or not set */
} places[KERNELS];

static unsigned place_of(const void *kernel)
{
    return engine_mix((uintptr_t)kernel, 0x5851f42d4c957f2du) % KERNELS;
}

static unsigned take_place(const void *kernel)
{
    const unsigned at = place_of(kernel);
    if (atomic_load_explicit(&places[at].kernel, memory_order_relaxed) == (uintptr_t)kernel)
        return at;
    for (unsigned i = 0; i < ARGUMENTS; i++)
        atomic_store_explicit(&places[at].values[i], 0, memory_order_relaxed);
    atomic_store_explicit(&places[at].name, 0, memory_order_relaxed);
    atomic_store_explicit(&places[at].kernel, (uintptr_t)kernel, memory_order_relaxed);
    return at;
}

/* FNV-1a. */
static uint64_t hash_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

/* A kernel that has no name is called by its handle. */
static uint64_t asked_name(void *kernel)
{
    char name[LONGEST + 1] = "";
    if (next_clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL) != CL_SUCCESS)
        return engine_mix(hash_of(""), (uintptr_t)kernel);
    return hash_of(name);
}

void scalars_is_named(const void *kernel, const char *name)
{
    if (strlen(name) <= LONGEST)
        atomic_store_explicit(&places[take_place(kernel)].name, hash_of(name) | 1, memory_order_relaxed);
}

uint64_t scalars_name(void *kernel)
{
    const unsigned at = take_place(kernel);
    uint64_t name = atomic_load_explicit(&places[at].name, memory_order_relaxed);
    if (!name) {
        name = asked_name(kernel) | 1;
        atomic_store_explicit(&places[at].name, name, memory_order_relaxed);
    }
    return name;
}

void scalars_forget_name(const void *kernel)
{
    const unsigned at = place_of(kernel);
    if (atomic_load_explicit(&places[at].kernel, memory_order_relaxed) == (uintptr_t)kernel)
        atomic_store_explicit(&places[at].name, 0, memory_order_relaxed);
}

void scalar_set(const void *kernel, unsigned index, size_t size, const void *value)
{
    /* Eight bytes may be a memory object. */
    if (index >= ARGUMENTS || !value || (size != 1 && size != 2 && size != 4))
        return;
    const unsigned at = take_place(kernel);
    uint32_t bits = 0;
    memcpy(&bits, value, size);
    atomic_store_explicit(&places[at].values[index], (uint32_t)engine_mix(bits, index + 1),
                          memory_order_relaxed);
}

uint64_t scalars_of(const void *kernel)
{
    const unsigned at = place_of(kernel);
    uint64_t sum = 0;
    if (atomic_load_explicit(&places[at].kernel, memory_order_relaxed) == (uintptr_t)kernel)
        for (unsigned i = 0; i < ARGUMENTS; i++)
            sum += atomic_load_explicit(&places[at].values[i], memory_order_relaxed);
    return sum;
}
