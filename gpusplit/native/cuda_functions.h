/* The driver's functions that have wrappers, and those that wrappers need: X(name, parameters).
 *
 * Names are those that the driver exports: a function that changed has a new name (_v2), one for
 * programs with a default stream per thread ends in _ptsz or _ptds.  A wrapper is chosen by the
 * function that the driver itself gives for a name, version and flags, so a combination that
 * nobody here knows gets the driver's own. */
#ifndef GPUSPLIT_CUDA_FUNCTIONS_H
#define GPUSPLIT_CUDA_FUNCTIONS_H

#include "cuda_abi.h"

#define LAUNCH                                                                                       \
    (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,     \
     unsigned shared, CUstream stream, void **params, void **extra)
#define LAUNCH_COOPERATIVE                                                                           \
    (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,     \
     unsigned shared, CUstream stream, void **params)

/* With the stream that 0 stands for as in the name's ending. */
#define STREAM_FUNCTIONS(X, SZ)                                                                      \
    X(cuStreamSynchronize##SZ, (CUstream stream))                                                    \
    X(cuEventRecord##SZ, (CUevent event, CUstream stream))                                           \
    X(cuEventRecordWithFlags##SZ, (CUevent event, CUstream stream, unsigned flags))                  \
    X(cuLaunchKernel##SZ, LAUNCH)                                                                    \
    X(cuLaunchKernelEx##SZ,                                                                          \
      (const CUlaunchConfig *config, CUfunction f, void **params, void **extra))                     \
    X(cuLaunchCooperativeKernel##SZ, LAUNCH_COOPERATIVE)                                             \
    X(cuGraphLaunch##SZ, (CUgraphExec graph, CUstream stream))                                       \
    X(cuStreamBeginCapture##SZ, (CUstream stream))                                                   \
    X(cuStreamBeginCapture_v2##SZ, (CUstream stream, int mode))                                      \
    X(cuStreamBeginCaptureToGraph##SZ,                                                               \
      (CUstream stream, CUgraph graph, const void *after_nodes, const void *edges, size_t count,     \
       int mode))                                                                                    \
    X(cuStreamEndCapture##SZ, (CUstream stream, CUgraph *graph))

/* Copies: those that wait are in a stream, too, which is stream 0 where none is named. */
#define COPY_FUNCTIONS(X, SZ, DS)                                                                    \
    X(cuMemcpyAsync##SZ, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))          \
    X(cuMemcpyHtoDAsync_v2##SZ, (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))   \
    X(cuMemcpyDtoHAsync_v2##SZ, (void *to, CUdeviceptr from, size_t bytes, CUstream stream))         \
    X(cuMemcpyDtoDAsync_v2##SZ, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))   \
    X(cuMemcpy2DAsync_v2##SZ, (const CUcopy2D *copy, CUstream stream))                               \
    X(cuMemcpy3DAsync_v2##SZ, (const CUcopy3D *copy, CUstream stream))                               \
    X(cuMemcpyAtoHAsync_v2##SZ,                                                                      \
      (void *to, CUarray from, size_t offset, size_t bytes, CUstream stream))                        \
    X(cuMemcpy##DS, (CUdeviceptr to, CUdeviceptr from, size_t bytes))                                \
    X(cuMemcpyHtoD_v2##DS, (CUdeviceptr to, const void *from, size_t bytes))                         \
    X(cuMemcpyDtoH_v2##DS, (void *to, CUdeviceptr from, size_t bytes))                               \
    X(cuMemcpyHtoA_v2##DS, (CUarray to, size_t offset, const void *from, size_t bytes))              \
    X(cuMemcpyAtoH_v2##DS, (void *to, CUarray from, size_t offset, size_t bytes))                    \
    X(cuMemcpy2D_v2##DS, (const CUcopy2D *copy))                                                     \
    X(cuMemcpy2DUnaligned_v2##DS, (const CUcopy2D *copy))                                            \
    X(cuMemcpy3D_v2##DS, (const CUcopy3D *copy))

/* By which programs find the others. */
#define FINDING_FUNCTIONS(X)                                                                         \
    X(cuGetProcAddress, (const char *symbol, void **function, int version, unsigned long long flags))\
    X(cuGetProcAddress_v2, (const char *symbol, void **function, int version,                        \
                            unsigned long long flags, int *status))

/* By which it is said how a context waits. */
#define FLAG_FUNCTIONS(X)                                                                            \
    X(cuInit, (unsigned flags))                                                                      \
    X(cuDevicePrimaryCtxSetFlags, (CUdevice device, unsigned flags))                                 \
    X(cuDevicePrimaryCtxSetFlags_v2, (CUdevice device, unsigned flags))                              \
    X(cuCtxCreate_v2, (CUcontext * context, unsigned flags, CUdevice device))                        \
    X(cuCtxCreate_v3,                                                                                \
      (CUcontext * context, void *affinity, int count, unsigned flags, CUdevice device))             \
    X(cuCtxCreate_v4, (CUcontext * context, void *parameters, unsigned flags, CUdevice device))      \
    X(cuCtxSetFlags, (unsigned flags))                                                               \
    X(cuCtxGetFlags, (unsigned *flags))                                                              \
    X(cuDevicePrimaryCtxGetState, (CUdevice device, unsigned *flags, int *active))

/* By which contexts, streams, events and functions come and go. */
#define LIFE_FUNCTIONS(X)                                                                            \
    X(cuCtxDestroy_v2, (CUcontext context))                                                          \
    X(cuDevicePrimaryCtxRelease, (CUdevice device))                                                  \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                               \
    X(cuDevicePrimaryCtxReset, (CUdevice device))                                                    \
    X(cuDevicePrimaryCtxReset_v2, (CUdevice device))                                                 \
    X(cuEventCreate, (CUevent * event, unsigned flags))                                              \
    X(cuEventDestroy_v2, (CUevent event))                                                            \
    X(cuStreamDestroy_v2, (CUstream stream))                                                         \
    X(cuModuleGetFunction, (CUfunction * f, CUmodule module, const char *name))                      \
    X(cuLibraryGetKernel, (CUkernel * kernel, CUlibrary library, const char *name))                  \
    X(cuKernelGetFunction, (CUfunction * f, CUkernel kernel))                                        \
    X(cuLibraryUnload, (CUlibrary library))

/* That wait for something else than a stream. */
#define WAIT_FUNCTIONS(X)                                                                            \
    X(cuEventSynchronize, (CUevent event))

/* That wait for a whole context. */
#define CONTEXT_FUNCTIONS(X)                                                                         \
    X(cuCtxSynchronize, (void))                                                                      \
    X(cuCtxSynchronize_v2, (CUcontext context))                                                      \
    X(cuMemFree_v2, (CUdeviceptr memory))                                                            \
    X(cuMemFreeHost, (void *memory))                                                                 \
    X(cuMemHostUnregister, (void *memory))                                                           \
    X(cuArrayDestroy, (CUarray array))                                                               \
    X(cuModuleUnload, (CUmodule module))

#define WRAPPED(X)                                                                                   \
    FINDING_FUNCTIONS(X)                                                                             \
    FLAG_FUNCTIONS(X)                                                                                \
    LIFE_FUNCTIONS(X)                                                                                \
    WAIT_FUNCTIONS(X)                                                                                \
    CONTEXT_FUNCTIONS(X)                                                                             \
    STREAM_FUNCTIONS(X, )                                                                            \
    STREAM_FUNCTIONS(X, _ptsz)                                                                       \
    COPY_FUNCTIONS(X, , )                                                                            \
    COPY_FUNCTIONS(X, _ptsz, _ptds)

#define NEEDED(X)                                                                                    \
    X(cuStreamQuery, (CUstream stream))                                                              \
    X(cuStreamQuery_ptsz, (CUstream stream))                                                         \
    X(cuEventQuery, (CUevent event))                                                                 \
    X(cuStreamIsCapturing, (CUstream stream, int *status))                                           \
    X(cuStreamIsCapturing_ptsz, (CUstream stream, int *status))                                      \
    X(cuStreamGetCtx, (CUstream stream, CUcontext *context))                                         \
    X(cuThreadExchangeStreamCaptureMode, (int *mode))                                                \
    X(cuPointerGetAttribute, (void *value, int attribute, CUdeviceptr pointer))                      \
    X(cuCtxGetCurrent, (CUcontext * context))                                                        \
    X(cuFuncGetParamInfo, (CUfunction f, size_t index, size_t *offset, size_t *size))                \
    X(cuKernelGetParamInfo, (CUkernel kernel, size_t index, size_t *offset, size_t *size))           \
    X(cuCtxGetDevice, (CUdevice * device))                                                           \
    X(cuDeviceGetCount, (int *count))

#endif
