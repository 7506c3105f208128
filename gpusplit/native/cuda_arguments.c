#define _GNU_SOURCE
#include "cuda_arguments.h"

#include <stdatomic.h>
#include <string.h>

#include "cuda_driver.h"
#include "cuda_streams.h"
#include "engine.h"
#include "settings.h"

#define FUNCTIONS 4096
/* Of a launch so many arguments are looked at, which stand among so many first ones. */
#define MOST 8
#define FIRST 31

/* Which arguments of a function are numbers: a byte each, whose lower bits say which argument it is (the
 * first is 1), and whose upper two how large (1, 2, 4 or 8 bytes); or that nobody has looked yet.
 * There is no lock: an entry is what it seems to be if its tag is that of what it says. */
static struct entry {
    _Atomic uint64_t layout, tag;
} entries[FUNCTIONS];

/* How often functions went. */
static _Atomic uint64_t generation;

void arguments_forget(void)
{
    atomic_fetch_add(&generation, 1);
}

/* Launches name a function, or a kernel, which has a function in every context. */
#define NEW_FUNCTION UINT64_MAX
#define NEW_KERNEL (UINT64_MAX - 1)

static uint64_t name_of(const void *f)
{
    return engine_mix((uintptr_t)f, atomic_load(&generation));
}

static void put(uint64_t name, uint64_t layout)
{
    struct entry *entry = &entries[name % FUNCTIONS];
    atomic_store_explicit(&entry->layout, layout, memory_order_release);
    atomic_store_explicit(&entry->tag, engine_mix(name, layout), memory_order_release);
}

void arguments_function(CUfunction f)
{
    put(name_of(f), NEW_FUNCTION);
}

void arguments_kernel(CUkernel kernel)
{
    put(name_of(kernel), NEW_KERNEL);
}

static CUresult size_of(CUfunction f, bool kernel, unsigned index, size_t *size)
{
    size_t offset;
    if (kernel)
        return real_cuKernelGetParamInfo ? real_cuKernelGetParamInfo((CUkernel)f, index, &offset, size)
                                         : CUDA_ERROR_NOT_INITIALIZED;
    return real_cuFuncGetParamInfo ? real_cuFuncGetParamInfo(f, index, &offset, size)
                                   : CUDA_ERROR_NOT_INITIALIZED;
}

static uint64_t layout_of(CUfunction f, bool kernel)
{
    uint64_t layout = 0;
    size_t size;
    unsigned n = 0;
    for (unsigned i = 0; i < FIRST && n < MOST; i++) {
        if (size_of(f, kernel, i, &size) != CUDA_SUCCESS)
            break;
        const unsigned log = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : size == 8 ? 3 : 4;
        if (log < 4)
            layout |= (uint64_t)(log << 6 | (i + 1)) << 8 * n++;
    }
    return layout;
}

/* Eight bytes may be a pointer, which says nothing: those of devices and hosts lie here. */
static bool pointer(uint64_t value)
{
    return value >> 32 && !(value >> 48);
}

uint64_t arguments_of(CUfunction f, void **params)
{
    if (!params || !settings()->sleeps || atomic_load(&captures))
        return 0;
    const uint64_t name = name_of(f);
    const struct entry *entry = &entries[name % FUNCTIONS];
    uint64_t layout = atomic_load_explicit(&entry->layout, memory_order_acquire);
    if (atomic_load_explicit(&entry->tag, memory_order_acquire) != engine_mix(name, layout))
        return 0;
    if (layout >= NEW_KERNEL)
        put(name, layout = layout_of(f, layout == NEW_KERNEL));
    uint64_t key = 0;
    for (; layout; layout >>= 8) {
        const unsigned index = (layout & 63) - 1, size = 1u << (layout >> 6 & 3);
        uint64_t value = 0;
        memcpy(&value, params[index], size);
        if (size < 8 || !pointer(value))
            key = engine_mix(key, value + index);
    }
    return key;
}
