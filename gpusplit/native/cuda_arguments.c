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

/* Of structures so many, and so many bytes of all together. */
#define MOST_STRUCTURES 5
#define MOST_BYTES 256
/* What is larger in a structure is taken for a part of a pointer or of a number with a point. */
#define SMALL ((uint32_t)1 << 24)

/* Which arguments of a function are numbers: a byte each, whose lower bits say which argument it is (the
 * first is 1), and whose upper two how large (1, 2, 4 or 8 bytes); or that nobody has looked yet.
 * Which are structures: 12 bits each, 5 of which argument it is, the upper ones how many times 4 bytes are
 * looked at. */
struct layout {
    uint64_t numbers, structures;
};

/* There is no lock: an entry is what it seems to be if its tag is that of what it says. */
static struct entry {
    _Atomic uint64_t numbers, structures, tag;
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

static uint64_t tag_of(uint64_t name, struct layout layout)
{
    return engine_mix(engine_mix(name, layout.numbers), layout.structures);
}

static void put(uint64_t name, struct layout layout)
{
    struct entry *entry = &entries[name % FUNCTIONS];
    atomic_store_explicit(&entry->numbers, layout.numbers, memory_order_release);
    atomic_store_explicit(&entry->structures, layout.structures, memory_order_release);
    atomic_store_explicit(&entry->tag, tag_of(name, layout), memory_order_release);
}

void arguments_function(CUfunction f)
{
    put(name_of(f), (struct layout){ NEW_FUNCTION, 0 });
}

void arguments_kernel(CUkernel kernel)
{
    put(name_of(kernel), (struct layout){ NEW_KERNEL, 0 });
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

static struct layout layout_of(CUfunction f, bool kernel)
{
    struct layout layout = { 0, 0 };
    size_t size, left = MOST_BYTES;
    unsigned numbers = 0, structures = 0;
    for (unsigned i = 0; i < FIRST; i++) {
        if (size_of(f, kernel, i, &size) != CUDA_SUCCESS)
            break;
        const unsigned log = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : size == 8 ? 3 : 4;
        const size_t bytes = (size < left ? size : left) & ~(size_t)3;
        if (log < 4 && numbers < MOST) {
            layout.numbers |= (uint64_t)(log << 6 | (i + 1)) << 8 * numbers++;
        } else if (size > 8 && bytes > 0 && structures < MOST_STRUCTURES) {
            layout.structures |= (uint64_t)(bytes / 4 << 5 | (i + 1)) << 12 * structures++;
            left -= bytes;
        }
    }
    return layout;
}

/* Eight bytes may be a pointer, which says nothing: those of devices and hosts lie here. */
static bool pointer(uint64_t value)
{
    return value >> 32 && !(value >> 48);
}

/* What in eight bytes of a structure may be small integers of four or eight bytes; without a branch, which would
 * be guessed wrong. */
static uint64_t small_numbers(uint64_t both)
{
    const uint64_t lower = (uint32_t)both, upper = both >> 32;
    const uint64_t lower_small = -(uint64_t)(lower < SMALL);
    /* Above what is no small number stands the upper half of it, if it is that of a pointer. */
    const uint64_t upper_small = -(uint64_t)(upper < SMALL) & (lower_small | -(uint64_t)(upper >> 16 > 0));
    return (lower & lower_small) | (upper & upper_small) << 32;
}

/* The same of a whole structure, by where they stand. */
static uint64_t key_of_structure(const char *structure, unsigned words)
{
    uint64_t key = words, both = 0;
    for (; words >= 2; words -= 2, structure += sizeof both) {
        memcpy(&both, structure, sizeof both);
        key = key * 0x9e3779b97f4a7c15u + small_numbers(both);
    }
    both = 0;
    memcpy(&both, structure, 4 * (size_t)words);
    return key * 0x9e3779b97f4a7c15u + small_numbers(both);
}

uint64_t arguments_of(CUfunction f, void **params)
{
    if (!params || !settings()->sleeps || atomic_load(&captures))
        return 0;
    const uint64_t name = name_of(f);
    const struct entry *entry = &entries[name % FUNCTIONS];
    struct layout layout = { atomic_load_explicit(&entry->numbers, memory_order_acquire),
                             atomic_load_explicit(&entry->structures, memory_order_acquire) };
    if (atomic_load_explicit(&entry->tag, memory_order_acquire) != tag_of(name, layout))
        return 0;
    if (layout.numbers >= NEW_KERNEL)
        put(name, layout = layout_of(f, layout.numbers == NEW_KERNEL));
    uint64_t key = 0;
    for (; layout.numbers; layout.numbers >>= 8) {
        const unsigned index = (layout.numbers & 63) - 1, size = 1u << (layout.numbers >> 6 & 3);
        uint64_t value = 0;
        memcpy(&value, params[index], size);
        if (size < 8 || !pointer(value))
            key = engine_mix(key, value + index);
    }
    for (; layout.structures; layout.structures >>= 12)
        key = engine_mix(
            key, key_of_structure(params[(layout.structures & 31) - 1], layout.structures >> 5 & 127));
    return key;
}
