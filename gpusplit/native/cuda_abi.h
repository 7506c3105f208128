/* What of CUDA's driver interface is needed here, so that no toolkit is needed to build
 * (CUDA Driver API reference, 12 and 13: types, error codes, flags). */
#ifndef GPUSPLIT_CUDA_ABI_H
#define GPUSPLIT_CUDA_ABI_H

#include <stddef.h>

typedef int CUresult;
typedef int CUdevice;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUfunc_st *CUfunction;
typedef struct CUmod_st *CUmodule;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUarray_st *CUarray;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef unsigned long long CUdeviceptr;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_NOT_READY = 600,

    CU_CTX_SCHED_SPIN = 1,
    CU_CTX_SCHED_BLOCKING_SYNC = 4,
    CU_CTX_SCHED_MASK = 7,
    CU_EVENT_BLOCKING_SYNC = 1,
    CU_STREAM_CAPTURE_MODE_RELAXED = 2,
    CU_MEMORYTYPE_HOST = 1,
    CU_MEMORYTYPE_UNIFIED = 4,
    CU_POINTER_ATTRIBUTE_CONTEXT = 1,
    CU_POINTER_ATTRIBUTE_MEMORY_TYPE = 2,
};

/* CU_STREAM_PER_THREAD; in functions of the _ptsz and _ptds kind 0 means it, too. */
#define STREAM_PER_THREAD ((CUstream)2)

typedef struct {
    unsigned grid[3], block[3];
    unsigned shared_bytes;
    CUstream stream;
    void *attributes;
    unsigned attribute_count;
} CUlaunchConfig;

/* CUDA_MEMCPY2D_v2 and CUDA_MEMCPY3D_v2. */
typedef struct {
    size_t x, y;
    unsigned type;
    const void *host;
    CUdeviceptr device;
    CUarray array;
    size_t pitch;
} CUcopySide2D;

typedef struct {
    CUcopySide2D from, to;
    size_t width, height;
} CUcopy2D;

typedef struct {
    size_t x, y, z, level;
    unsigned type;
    const void *host;
    CUdeviceptr device;
    CUarray array;
    void *reserved;
    size_t pitch, height;
} CUcopySide3D;

typedef struct {
    CUcopySide3D from, to;
    size_t width, height, depth;
} CUcopy3D;

#endif
