/* Copies: what streams are given, and waits where the program's own memory is at one end. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdint.h>

#include "cuda_driver.h"
#include "cuda_streams.h"
#include "cuda_waits.h"
#include "engine.h"
#include "settings.h"

COPY_FUNCTIONS(EXPORTED, , )
COPY_FUNCTIONS(EXPORTED, _ptsz, _ptds)

/* Copies that take long themselves teach nothing of what was before them, and are slept for. */
#define SMALL_COPY ((size_t)1 << 16)

static uint64_t key_of_bytes(size_t bytes)
{
    enum { COPY = 0x636f7079 };
    return engine_mix(COPY, bytes) | 1;
}

/* Whether memory is the host's; unless `pinned`, only if the driver does not know it. */
static bool is_hosts(CUdeviceptr memory, bool pinned)
{
    unsigned type = 0;
    if ((!settings()->sleeps && !settings()->observes) || atomic_load(&captures) ||
        !real_cuPointerGetAttribute)
        return false;
    return real_cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, memory) != CUDA_SUCCESS ||
           (pinned && type == CU_MEMORYTYPE_HOST);
}

/* A copy in a stream comes back when it is done where ordinary memory is written. */
static bool to_pageable(const void *memory)
{
    return is_hosts((uintptr_t)memory, false);
}

static bool side_is_hosts(unsigned type, const void *host, CUdeviceptr device, bool pinned)
{
    return type == CU_MEMORYTYPE_HOST      ? is_hosts((uintptr_t)host, pinned)
           : type == CU_MEMORYTYPE_UNIFIED ? is_hosts(device, pinned)
                                           : false;
}

#define SIDE_IS_HOSTS(side, pinned) side_is_hosts((side).type, (side).host, (side).device, pinned)
/* One that names no stream waits for all before it if it goes from the host or to it. */
#define ENDS_IN_HOST(copy) (SIDE_IS_HOSTS((copy)->from, true) != SIDE_IS_HOSTS((copy)->to, true))
#define BYTES2(copy) ((copy)->width * (copy)->height)
#define BYTES3(copy) ((copy)->width * (copy)->height * (copy)->depth)

#define COPIES(name, parameters, call, stream, PT, bytes, waits)                                     \
    CUresult our_##name parameters                                                                   \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        if (!(waits)) {                                                                              \
            given(stream, PT, key_of_bytes(bytes), 0);                                               \
            return real_##name call;                                                                 \
        }                                                                                            \
        struct wait w;                                                                               \
        before_stream(&w, stream, PT, (bytes) <= SMALL_COPY ? THEN_SHORT_COPY : THEN_COPY);          \
        return after(&w, real_##name call, (bytes) <= SMALL_COPY);                                   \
    }

#define COPY_WRAPPERS(SZ, DS, PT)                                                                    \
    COPIES(cuMemcpyAsync##SZ, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream),     \
           (to, from, bytes, stream), stream, PT, bytes, is_hosts(to, false))                        \
    COPIES(cuMemcpyHtoDAsync_v2##SZ,                                                                 \
           (CUdeviceptr to, const void *from, size_t bytes, CUstream stream),                        \
           (to, from, bytes, stream), stream, PT, bytes, false)                                      \
    COPIES(cuMemcpyDtoHAsync_v2##SZ, (void *to, CUdeviceptr from, size_t bytes, CUstream stream),    \
           (to, from, bytes, stream), stream, PT, bytes, to_pageable(to))                            \
    COPIES(cuMemcpyDtoDAsync_v2##SZ,                                                                 \
           (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream),                        \
           (to, from, bytes, stream), stream, PT, bytes, false)                                      \
    COPIES(cuMemcpy2DAsync_v2##SZ, (const CUcopy2D *copy, CUstream stream), (copy, stream), stream,  \
           PT, copy ? BYTES2(copy) : 0, copy && SIDE_IS_HOSTS(copy->to, false))                      \
    COPIES(cuMemcpy3DAsync_v2##SZ, (const CUcopy3D *copy, CUstream stream), (copy, stream), stream,  \
           PT, copy ? BYTES3(copy) : 0, copy && SIDE_IS_HOSTS(copy->to, false))                      \
    COPIES(cuMemcpyAtoHAsync_v2##SZ,                                                                 \
           (void *to, CUarray from, size_t offset, size_t bytes, CUstream stream),                   \
           (to, from, offset, bytes, stream), stream, PT, bytes, to_pageable(to))                    \
    COPIES(cuMemcpy##DS, (CUdeviceptr to, CUdeviceptr from, size_t bytes), (to, from, bytes), NULL,  \
           PT, bytes, is_hosts(to, true) != is_hosts(from, true))                                    \
    COPIES(cuMemcpyHtoD_v2##DS, (CUdeviceptr to, const void *from, size_t bytes), (to, from, bytes), \
           NULL, PT, bytes, true)                                                                    \
    COPIES(cuMemcpyDtoH_v2##DS, (void *to, CUdeviceptr from, size_t bytes), (to, from, bytes), NULL, \
           PT, bytes, true)                                                                          \
    COPIES(cuMemcpyHtoA_v2##DS, (CUarray to, size_t offset, const void *from, size_t bytes),         \
           (to, offset, from, bytes), NULL, PT, bytes, true)                                         \
    COPIES(cuMemcpyAtoH_v2##DS, (void *to, CUarray from, size_t offset, size_t bytes),               \
           (to, from, offset, bytes), NULL, PT, bytes, true)                                         \
    COPIES(cuMemcpy2D_v2##DS, (const CUcopy2D *copy), (copy), NULL, PT, copy ? BYTES2(copy) : 0,     \
           copy && ENDS_IN_HOST(copy))                                                               \
    COPIES(cuMemcpy2DUnaligned_v2##DS, (const CUcopy2D *copy), (copy), NULL, PT,                     \
           copy ? BYTES2(copy) : 0, copy && ENDS_IN_HOST(copy))                                      \
    COPIES(cuMemcpy3D_v2##DS, (const CUcopy3D *copy), (copy), NULL, PT, copy ? BYTES3(copy) : 0,     \
           copy && ENDS_IN_HOST(copy))

COPY_WRAPPERS(, , false)
COPY_WRAPPERS(_ptsz, _ptds, true)
