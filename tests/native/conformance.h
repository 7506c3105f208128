/* What the parts of the conformance program share: the driver, and small helpers. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

/* The driver's functions as the CUDA runtime asks for them, by name and version. */
#define FUNCTIONS(X)                                                                                 \
    X(Init, (unsigned))                                                                              \
    X(DeviceGet, (CUdevice *, int))                                                                  \
    X(DevicePrimaryCtxRetain, (CUcontext *, CUdevice))                                               \
    X(DevicePrimaryCtxRelease, (CUdevice))                                                           \
    X(CtxCreate, (CUcontext *, unsigned, CUdevice))                                                  \
    X(CtxDestroy, (CUcontext))                                                                       \
    X(CtxSetCurrent, (CUcontext))                                                                    \
    X(CtxGetFlags, (unsigned *))                                                                     \
    X(DevicePrimaryCtxGetState, (CUdevice, unsigned *, int *))                                       \
    X(CtxSynchronize, (void))                                                                        \
    X(StreamCreate, (CUstream *, unsigned))                                                          \
    X(StreamDestroy, (CUstream))                                                                     \
    X(StreamSynchronize, (CUstream))                                                                 \
    X(StreamQuery, (CUstream))                                                                       \
    X(StreamIsCapturing, (CUstream, int *))                                                          \
    X(StreamBeginCapture, (CUstream, int))                                                           \
    X(StreamEndCapture, (CUstream, CUgraph *))                                                       \
    X(ThreadExchangeStreamCaptureMode, (int *))                                                      \
    X(EventCreate, (CUevent *, unsigned))                                                            \
    X(EventRecord, (CUevent, CUstream))                                                              \
    X(EventQuery, (CUevent))                                                                         \
    X(EventSynchronize, (CUevent))                                                                   \
    X(EventDestroy, (CUevent))                                                                       \
    X(ModuleLoadData, (void **, const void *))                                                       \
    X(ModuleGetFunction, (CUfunction *, void *, const char *))                                       \
    X(LaunchKernel, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,         \
                     unsigned, CUstream, void **, void **))                                          \
    X(GraphInstantiateWithFlags, (CUgraphExec *, CUgraph, unsigned long long))                       \
    X(GraphLaunch, (CUgraphExec, CUstream))                                                          \
    X(GraphDestroy, (CUgraph))                                                                       \
    X(GraphExecDestroy, (CUgraphExec))                                                               \
    X(MemAlloc, (CUdeviceptr *, size_t))                                                             \
    X(MemFree, (CUdeviceptr))                                                                        \
    X(MemAllocHost, (void **, size_t))                                                               \
    X(MemFreeHost, (void *))                                                                         \
    X(MemHostRegister, (void *, size_t, unsigned))                                                   \
    X(MemHostUnregister, (void *))                                                                   \
    X(ModuleUnload, (void *))                                                                        \
    X(MemcpyHtoD, (CUdeviceptr, const void *, size_t))                                               \
    X(MemcpyDtoH, (void *, CUdeviceptr, size_t))                                                     \
    X(MemcpyDtoHAsync, (void *, CUdeviceptr, size_t, CUstream))                                      \
    X(Memcpy, (CUdeviceptr, CUdeviceptr, size_t))                                                    \
    X(Memcpy2D, (const CUcopy2D *))                                                                  \
    X(Memcpy2DAsync, (const CUcopy2D *, CUstream))

struct driver {
#define MEMBER(name, parameters) CUresult(*name) parameters;
    FUNCTIONS(MEMBER)
};

/* Stream 0 is everybody's, or (pt) each thread's own. */
extern struct driver cu, pt;

#define MS ((uint64_t)1000000)
#define CU_STREAM_NON_BLOCKING 1

/* The wait of a kernel that was waited for so often is predicted. */
#define OFTEN 4

/* Prints one fact. */
__attribute__((format(printf, 2, 3))) void fact(const char *name, const char *format, ...);
#define SAY(name, value) fact(name, "%d", (int)(value))

/* Ends the program where a call fails that must not. */
void must(CUresult result, const char *what);
#define MUST(call) must(call, #call)

void use_device(void);
void load_kernels(void);
extern CUcontext context;
extern unsigned grid; /* of all kernels: with another one nothing is known of them */

uint64_t now(void);
void sleep_ns(uint64_t ns);
CUstream new_stream(unsigned flags);
CUresult launch_by(const struct driver *driver, const char *kernel, CUstream stream, uint64_t ns);
void spin(CUstream stream, uint64_t ns);
void spin_as_said(CUstream stream, uint64_t ns);

void waits(void);
void threads(void);
void captures(void);
void lifetimes(void);
void errors(void);
void cost(uint64_t ns, int n, bool each_new); /* each_new: of work that is never the same */
/* And for a short time; of one kernel and grid. */
void in_turn(uint64_t ns, int n, void (*launch)(CUstream stream, uint64_t ns));
void frees(void);
_Noreturn void on_and_on(uint64_t ns, int n); /* a line after each n waits */
void forks_beside_waits(int n);
void contexts_end_beside_waits(int n);

#endif
