/* How streams, events, contexts and functions come and go. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "cuda_arguments.h"
#include "cuda_driver.h"
#include "cuda_flags.h"
#include "cuda_streams.h"
#include "work.h"

LIFE_FUNCTIONS(EXPORTED)

/* An event waits by its own flag, not by its context's; where the program did not set it, it stays unset: the
 * GPU would interrupt the CPU, and wake a thread of the driver's, each time that the event is reached, whether
 * anybody waits for it or not. */
CUresult our_cuEventCreate(CUevent *event, unsigned flags)
{
    if (!HAVE(cuEventCreate))
        return CUDA_ERROR_NOT_INITIALIZED;
    CUresult result = real_cuEventCreate(event, flags);
    if (result == CUDA_SUCCESS && flags & CU_EVENT_BLOCKING_SYNC)
        event_blocks((uintptr_t)*event);
    return result;
}

/* What is gone. */

CUresult our_cuEventDestroy_v2(CUevent event)
{
    if (!HAVE(cuEventDestroy_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    event_forget((uintptr_t)event);
    return real_cuEventDestroy_v2(event);
}

CUresult our_cuStreamDestroy_v2(CUstream stream)
{
    if (!HAVE(cuStreamDestroy_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    const int captured = atomic_load(&captures) ? capture_status(real_cuStreamIsCapturing, stream) : 0;
    pthread_rwlock_wrlock(&capture_lock); /* who asks now has done so when the stream goes */
    if ((uintptr_t)stream > (uintptr_t)STREAM_PER_THREAD)
        work_forget((uintptr_t)stream);
    pthread_rwlock_unlock(&capture_lock);
    CUresult result = real_cuStreamDestroy_v2(stream);
    if (captured && result == CUDA_SUCCESS)
        capture_ends();
    return result;
}

/* With a context go its streams and functions, whose handles may come back as others'. */
static void forget_context(CUcontext context)
{
    arguments_forget();
    pthread_rwlock_wrlock(&capture_lock);
    work_forget_context((uintptr_t)context);
    pthread_rwlock_unlock(&capture_lock);
}

CUresult our_cuCtxDestroy_v2(CUcontext context)
{
    if (!HAVE(cuCtxDestroy_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    if (context) {
        forget_context(context);
        flags_forget((uintptr_t)context);
    }
    return real_cuCtxDestroy_v2(context);
}

#define GIVES_ONE(name, parameters, call, note)                                                      \
    CUresult our_##name parameters                                                                   \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        CUresult result = real_##name call;                                                          \
        if (result == CUDA_SUCCESS)                                                                  \
            note;                                                                                    \
        return result;                                                                               \
    }
GIVES_ONE(cuModuleGetFunction, (CUfunction * f, CUmodule module, const char *name), (f, module, name),
          arguments_function(*f))
GIVES_ONE(cuKernelGetFunction, (CUfunction * f, CUkernel kernel), (f, kernel), arguments_function(*f))
GIVES_ONE(cuLibraryGetKernel, (CUkernel * kernel, CUlibrary library, const char *name),
          (kernel, library, name), arguments_kernel(*kernel))

CUresult our_cuLibraryUnload(CUlibrary library)
{
    if (!HAVE(cuLibraryUnload))
        return CUDA_ERROR_NOT_INITIALIZED;
    arguments_forget();
    return real_cuLibraryUnload(library);
}

/* Which context a device's own is nobody says without making it: all are forgotten, which costs each
 * stream one guess. */
#define ENDS_PRIMARY(name)                                                                           \
    CUresult our_##name(CUdevice device)                                                             \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        CUresult result = real_##name(device);                                                       \
        unsigned flags = 0;                                                                          \
        int active = 0;                                                                              \
        if (!real_cuDevicePrimaryCtxGetState ||                                                      \
            real_cuDevicePrimaryCtxGetState(device, &flags, &active) != CUDA_SUCCESS || !active)     \
            forget_context(NULL);                                                                    \
        return result;                                                                               \
    }
ENDS_PRIMARY(cuDevicePrimaryCtxRelease)
ENDS_PRIMARY(cuDevicePrimaryCtxRelease_v2)
ENDS_PRIMARY(cuDevicePrimaryCtxReset)
ENDS_PRIMARY(cuDevicePrimaryCtxReset_v2)
