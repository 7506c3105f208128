/* The stand-in's functions with a stream, in both kinds, and how all are found by name. */

#define IN_BOTH_KINDS(SZ, DS, PT)                                                                    \
    API cuStreamQuery##SZ(CUstream handle)                                                           \
    {                                                                                                \
        TRY(enter_asking(handle));                                                                   \
        CUstream stream = standin_stream(handle, PT);                                                \
        TRY(standin_may_ask(stream));                                                                \
        return leave(standin_end(stream) <= standin_now() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);    \
    }                                                                                                \
    API cuStreamSynchronize##SZ(CUstream handle)                                                     \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        CUstream stream = standin_stream(handle, PT);                                                \
        TRY(standin_may_ask(stream));                                                                \
        return leave(standin_wait(stream->context, standin_end(stream), sleeps(stream->context)));   \
    }                                                                                                \
    API cuStreamIsCapturing##SZ(CUstream handle, int *status)                                        \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        CUstream stream = standin_stream(handle, PT);                                                \
        *status = (int)stream->capture;                                                              \
        return leave(stream->legacy && standin_blocking_capture(stream->context)                     \
                         ? CUDA_ERROR_STREAM_CAPTURE_IMPLICIT                                        \
                         : CUDA_SUCCESS);                                                            \
    }                                                                                                \
    API cuStreamBeginCapture_v2##SZ(CUstream handle, int mode)                                       \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        CUstream stream = standin_stream(handle, PT);                                                \
        if (stream->legacy)                                                                          \
            return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);                                     \
        if (stream->capture)                                                                         \
            return leave(CUDA_ERROR_ILLEGAL_STATE);                                                  \
        stream->capture = CAPTURE_ACTIVE;                                                            \
        stream->mode = (enum mode)mode;                                                              \
        stream->capturer = standin_me();                                                             \
        stream->captured = (struct load){ 0, false };                                                \
        stream->capture_number++;                                                                    \
        return leave(CUDA_SUCCESS);                                                                  \
    }                                                                                                \
    API cuStreamEndCapture##SZ(CUstream handle, CUgraph *graph)                                      \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        CUstream stream = standin_stream(handle, PT);                                                \
        *graph = NULL;                                                                               \
        if (!stream->capture)                                                                        \
            return leave(CUDA_ERROR_ILLEGAL_STATE);                                                  \
        if (stream->mode != MODE_RELAXED && stream->capturer != standin_me())                        \
            return leave(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);                                    \
        const bool good = stream->capture == CAPTURE_ACTIVE;                                         \
        stream->capture = CAPTURE_NONE;                                                              \
        if (!good)                                                                                   \
            return leave(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);                                     \
        *graph = malloc(sizeof **graph);                                                             \
        if (*graph)                                                                                  \
            (*graph)->load = stream->captured;                                                       \
        return leave(*graph ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);                              \
    }                                                                                                \
    API cuEventRecord##SZ(CUevent event, CUstream handle)                                            \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        CUstream stream = standin_stream(handle, PT);                                                \
        TRY(standin_give(stream, (struct load){ 0, false }));                                        \
        standin_event(event)->captured_in = stream->capture ? stream : NULL;                         \
        event->capture_number = stream->capture_number;                                              \
        event->end = stream->end;                                                                    \
        return leave(CUDA_SUCCESS);                                                                  \
    }                                                                                                \
    API cuLaunchKernel##SZ(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,         \
                           unsigned by, unsigned bz, unsigned shared, CUstream handle,               \
                           void **params, void **extra)                                              \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        if (!f || !gx || !gy || !gz || !bx || !by || !bz || shared || extra)                         \
            return leave(CUDA_ERROR_INVALID_VALUE);                                                  \
        return leave(standin_give(standin_stream(handle, PT), load_of(f, params)));                  \
    }                                                                                                \
    API cuGraphLaunch##SZ(CUgraphExec exec, CUstream handle)                                         \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        return leave(standin_give(standin_stream(handle, PT), exec->load));                          \
    }                                                                                                \
    API cuMemcpyDtoHAsync_v2##SZ(void *to, CUdeviceptr from, size_t bytes, CUstream handle)          \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        return copy(to, (const void *)(uintptr_t)from, bytes, standin_stream(handle, PT),            \
                    !block_of((uintptr_t)to));                                                       \
    }                                                                                                \
    API cuMemcpyHtoD_v2##DS(CUdeviceptr to, const void *from, size_t bytes)                          \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        TRY(standin_unsafe());                                                                       \
        return copy((void *)(uintptr_t)to, from, bytes, standin_stream(NULL, PT), true);             \
    }                                                                                                \
    API cuMemcpyDtoH_v2##DS(void *to, CUdeviceptr from, size_t bytes)                                \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        TRY(standin_unsafe());                                                                       \
        return copy(to, (const void *)(uintptr_t)from, bytes, standin_stream(NULL, PT), true);       \
    }                                                                                                \
    API cuMemcpy##DS(CUdeviceptr to, CUdeviceptr from, size_t bytes)                                 \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        TRY(standin_unsafe());                                                                       \
        return copy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes,                     \
                    standin_stream(NULL, PT), is_host(to) || is_host(from));                         \
    }                                                                                                \
    API cuMemcpy2D_v2##DS(const CUcopy2D *plan)                                                      \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        TRY(standin_unsafe());                                                                       \
        return copy_rows(plan, standin_stream(NULL, PT),                                             \
                         plan->from.type == CU_MEMORYTYPE_HOST || plan->to.type == CU_MEMORYTYPE_HOST);\
    }                                                                                                \
    API cuMemcpy2DAsync_v2##SZ(const CUcopy2D *plan, CUstream handle)                                \
    {                                                                                                \
        TRY(enter_current());                                                                        \
        return copy_rows(plan, standin_stream(handle, PT),                                           \
                         plan->to.type == CU_MEMORYTYPE_HOST && !block_of((uintptr_t)plan->to.host));\
    }

IN_BOTH_KINDS(, , false)
IN_BOTH_KINDS(_ptsz, _ptds, true)

API cuGetErrorName(CUresult error, const char **name)
{
    *name = error == CUDA_SUCCESS ? "CUDA_SUCCESS" : "CUDA_ERROR";
    return CUDA_SUCCESS;
}

API cuGetProcAddress(const char *symbol, void **function, int version, unsigned long long flags);
API cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags,
                        int *status);

/* Newest first: the first that a program's version knows is what it gets. */
static const struct {
    const char *symbol;
    int version;
    bool per_thread;
    void *function;
} symbols[] = {
#define ONE(name, version) { #name, version, false, (void *)name },
#define CHANGED(name, ending, version) { #name, version, false, (void *)name##ending },
#define BOTH(name, version) { #name, version, true, (void *)name##_ptsz }, ONE(name, version)
#define BOTH_CHANGED(name, ending, kind, version)                                                    \
    { #name, version, true, (void *)name##ending##kind }, CHANGED(name, ending, version)
    ONE(cuInit, 2000)
    ONE(cuDriverGetVersion, 2020)
    ONE(cuDeviceGetCount, 2000)
    ONE(cuDeviceGet, 2000)
    CHANGED(cuDevicePrimaryCtxSetFlags, _v2, 11000)
    ONE(cuDevicePrimaryCtxGetState, 7000)
    ONE(cuDevicePrimaryCtxRetain, 7000)
    CHANGED(cuDevicePrimaryCtxRelease, _v2, 11000)
    CHANGED(cuCtxCreate, _v2, 3020)
    CHANGED(cuCtxDestroy, _v2, 4000)
    ONE(cuCtxGetCurrent, 4000)
    ONE(cuCtxSetCurrent, 4000)
    ONE(cuCtxGetFlags, 7000)
    ONE(cuCtxSetFlags, 12010)
    ONE(cuCtxGetDevice, 2000)
    CHANGED(cuCtxSynchronize, _v2, 13000)
    ONE(cuCtxSynchronize, 2000)
    ONE(cuStreamCreate, 2000)
    CHANGED(cuStreamDestroy, _v2, 4000)
    ONE(cuStreamGetCtx, 9020)
    BOTH(cuStreamSynchronize, 7000)
    BOTH(cuStreamQuery, 7000)
    BOTH(cuStreamIsCapturing, 10000)
    BOTH_CHANGED(cuStreamBeginCapture, _v2, _ptsz, 10010)
    BOTH(cuStreamEndCapture, 10000)
    ONE(cuThreadExchangeStreamCaptureMode, 10010)
    ONE(cuEventCreate, 2000)
    CHANGED(cuEventDestroy, _v2, 4000)
    ONE(cuEventQuery, 2000)
    ONE(cuEventSynchronize, 2000)
    BOTH(cuEventRecord, 7000)
    ONE(cuModuleLoadData, 2000)
    ONE(cuModuleGetFunction, 2000)
    BOTH(cuLaunchKernel, 7000)
    ONE(cuGraphInstantiateWithFlags, 11040)
    ONE(cuGraphDestroy, 10000)
    ONE(cuGraphExecDestroy, 10000)
    BOTH(cuGraphLaunch, 10000)
    CHANGED(cuMemAlloc, _v2, 3020)
    CHANGED(cuMemFree, _v2, 3020)
    CHANGED(cuMemAllocHost, _v2, 3020)
    ONE(cuMemFreeHost, 2000)
    CHANGED(cuMemHostRegister, _v2, 6050)
    ONE(cuMemHostUnregister, 4000)
    ONE(cuModuleUnload, 2000)
    ONE(cuPointerGetAttribute, 4000)
    BOTH_CHANGED(cuMemcpyHtoD, _v2, _ptds, 7000)
    BOTH_CHANGED(cuMemcpyDtoH, _v2, _ptds, 7000)
    BOTH_CHANGED(cuMemcpyDtoHAsync, _v2, _ptsz, 7000)
    { "cuMemcpy", 7000, true, (void *)cuMemcpy_ptds },
    ONE(cuMemcpy, 4000)
    BOTH_CHANGED(cuMemcpy2D, _v2, _ptds, 7000)
    BOTH_CHANGED(cuMemcpy2DAsync, _v2, _ptsz, 7000)
    ONE(cuGetErrorName, 6000)
    CHANGED(cuGetProcAddress, _v2, 12000)
    ONE(cuGetProcAddress, 11030)
};

enum { FLAG_PER_THREAD = 2, STATUS_FOUND = 0, STATUS_NO_SYMBOL = 1, STATUS_TOO_NEW = 2 };

API cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags,
                        int *status)
{
    if (!symbol || !function)
        return CUDA_ERROR_INVALID_VALUE;
    int found = STATUS_NO_SYMBOL;
    *function = NULL;
    for (size_t i = 0; found != STATUS_FOUND && i < sizeof symbols / sizeof *symbols; i++)
        if (!strcmp(symbols[i].symbol, symbol) && (!symbols[i].per_thread || flags & FLAG_PER_THREAD)) {
            found = symbols[i].version <= version ? STATUS_FOUND : STATUS_TOO_NEW;
            *function = found == STATUS_FOUND ? symbols[i].function : NULL;
        }
    if (status)
        *status = found;
    return CUDA_SUCCESS;
}

API cuGetProcAddress(const char *symbol, void **function, int version, unsigned long long flags)
{
    CUresult result = cuGetProcAddress_v2(symbol, function, version, flags, NULL);
    return result == CUDA_SUCCESS && !*function ? CUDA_ERROR_NOT_FOUND : result;
}
