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
#define STREAM_FUNCTIONS(X, SZ, DS)                                                                  \
    X(cuStreamSynchronize##SZ, (CUstream stream))                                                    \
    X(cuEventRecord##SZ, (CUevent event, CUstream stream))                                           \
    X(cuEventRecordWithFlags##SZ, (CUevent event, CUstream stream, unsigned flags))                  \
    X(cuLaunchKernel##SZ, LAUNCH)                                                                    \
    X(cuLaunchKernelEx##SZ,                                                                          \
      (const CUlaunchConfig *config, CUfunction f, void **params, void **extra))                     \
    X(cuLaunchCooperativeKernel##SZ, LAUNCH_COOPERATIVE)                                             \
    X(cuGraphLaunch##SZ, (CUgraphExec graph, CUstream stream))                                       \
    X(cuMemcpyAsync##SZ, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))          \
    X(cuMemcpyHtoDAsync_v2##SZ, (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))   \
    X(cuMemcpyDtoHAsync_v2##SZ, (void *to, CUdeviceptr from, size_t bytes, CUstream stream))         \
    X(cuMemcpyDtoDAsync_v2##SZ, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream))   \
    X(cuStreamBeginCapture##SZ, (CUstream stream))                                                   \
    X(cuStreamBeginCapture_v2##SZ, (CUstream stream, int mode))                                      \
    X(cuStreamBeginCaptureToGraph##SZ,                                                               \
      (CUstream stream, CUgraph graph, const void *after_nodes, const void *edges, size_t count,     \
       int mode))                                                                                    \
    X(cuStreamEndCapture##SZ, (CUstream stream, CUgraph *graph))                                     \
    X(cuMemcpyDtoH_v2##DS, (void *to, CUdeviceptr from, size_t bytes))

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
    X(cuModuleUnload, (CUmodule module))                                                             \
    X(cuLibraryUnload, (CUlibrary library))

/* That wait for something else than a stream. */
#define WAIT_FUNCTIONS(X)                                                                            \
    X(cuCtxSynchronize, (void))                                                                      \
    X(cuCtxSynchronize_v2, (CUcontext context))                                                      \
    X(cuEventSynchronize, (CUevent event))

#define WRAPPED(X)                                                                                   \
    FINDING_FUNCTIONS(X)                                                                             \
    FLAG_FUNCTIONS(X)                                                                                \
    LIFE_FUNCTIONS(X)                                                                                \
    WAIT_FUNCTIONS(X)                                                                                \
    STREAM_FUNCTIONS(X, , )                                                                          \
    STREAM_FUNCTIONS(X, _ptsz, _ptds)

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
