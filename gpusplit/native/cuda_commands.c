#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdint.h>

#include "cuda_arguments.h"
#include "cuda_driver.h"
#include "cuda_streams.h"
#include "cuda_waits.h"
#include "engine.h"
#include "settings.h"
#include "work.h"

STREAM_FUNCTIONS(EXPORTED, )
STREAM_FUNCTIONS(EXPORTED, _ptsz)

/* What streams are given.  Keys are odd, so that no number of the same commands adds up to none. */

static uint64_t key_of_launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned threads)
{
    uint64_t grid = (uint64_t)gx << 32 | gy;
    return engine_mix(engine_mix((uintptr_t)f, grid), (uint64_t)gz << 32 | threads) | 1;
}

enum { GRAPH = 0x67726170 };

static void event_on(CUevent event, CUstream stream, bool per_thread)
{
    if (!settings()->sleeps)
        return;
    struct work *w = atomic_load(&captures) ? NULL : work_on(stream, per_thread);
    if (w)
        event_recorded((uintptr_t)event, work_until_now(w));
    else
        event_forget((uintptr_t)event);
}

/* A capture that could not be begun is none. */
static CUresult begun(CUresult result)
{
    if (result != CUDA_SUCCESS)
        capture_ends();
    return result;
}

/* The functions with a stream, in both kinds (PT: whether stream 0 is the thread's own). */

#define GIVES(name, parameters, call, stream, PT, ...)                                               \
    CUresult our_##name parameters                                                                   \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        given(stream, PT, __VA_ARGS__);                                                              \
        return real_##name call;                                                                     \
    }

#define STREAM_WRAPPERS(SZ, PT)                                                                      \
    CUresult our_cuStreamSynchronize##SZ(CUstream stream)                                            \
    {                                                                                                \
        if (!HAVE(cuStreamSynchronize##SZ))                                                          \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        struct wait w;                                                                               \
        before_stream(&w, stream, PT, THEN_NOTHING);                                                 \
        return after(&w, real_cuStreamSynchronize##SZ(stream), true);                                \
    }                                                                                                \
    CUresult our_cuEventRecord##SZ(CUevent event, CUstream stream)                                   \
    {                                                                                                \
        if (!HAVE(cuEventRecord##SZ))                                                                \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        event_on(event, stream, PT);                                                                 \
        return real_cuEventRecord##SZ(event, stream);                                                \
    }                                                                                                \
    CUresult our_cuEventRecordWithFlags##SZ(CUevent event, CUstream stream, unsigned flags)          \
    {                                                                                                \
        if (!HAVE(cuEventRecordWithFlags##SZ))                                                       \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        event_on(event, stream, PT);                                                                 \
        return real_cuEventRecordWithFlags##SZ(event, stream, flags);                                \
    }                                                                                                \
    GIVES(cuLaunchKernel##SZ, LAUNCH, (f, gx, gy, gz, bx, by, bz, shared, stream, params, extra),    \
          stream, PT, key_of_launch(f, gx, gy, gz, bx * by * bz), arguments_of(f, params))           \
    GIVES(cuLaunchKernelEx##SZ,                                                                      \
          (const CUlaunchConfig *config, CUfunction f, void **params, void **extra),                 \
          (config, f, params, extra), config ? config->stream : NULL, PT,                            \
          config ? key_of_launch(f, config->grid[0], config->grid[1], config->grid[2],               \
                                 config->block[0] * config->block[1] * config->block[2])             \
                 : 1,                                                                                \
          arguments_of(f, params))                                                                   \
    GIVES(cuLaunchCooperativeKernel##SZ, LAUNCH_COOPERATIVE,                                         \
          (f, gx, gy, gz, bx, by, bz, shared, stream, params), stream, PT,                           \
          key_of_launch(f, gx, gy, gz, bx * by * bz), arguments_of(f, params))                       \
    GIVES(cuGraphLaunch##SZ, (CUgraphExec graph, CUstream stream), (graph, stream), stream, PT,      \
          engine_mix((uintptr_t)graph, GRAPH) | 1, 0)                                                \
    CUresult our_cuStreamBeginCapture##SZ(CUstream stream)                                           \
    {                                                                                                \
        if (!HAVE(cuStreamBeginCapture##SZ))                                                         \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        capture_begins();                                                                            \
        return begun(real_cuStreamBeginCapture##SZ(stream));                                         \
    }                                                                                                \
    CUresult our_cuStreamBeginCapture_v2##SZ(CUstream stream, int mode)                              \
    {                                                                                                \
        if (!HAVE(cuStreamBeginCapture_v2##SZ))                                                      \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        capture_begins();                                                                            \
        return begun(real_cuStreamBeginCapture_v2##SZ(stream, mode));                                \
    }                                                                                                \
    CUresult our_cuStreamBeginCaptureToGraph##SZ(CUstream stream, CUgraph graph,                     \
                                                 const void *after_nodes, const void *edges,         \
                                                 size_t count, int mode)                             \
    {                                                                                                \
        if (!HAVE(cuStreamBeginCaptureToGraph##SZ))                                                  \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        capture_begins();                                                                            \
        return begun(real_cuStreamBeginCaptureToGraph##SZ(stream, graph, after_nodes, edges, count,  \
                                                          mode));                                    \
    }                                                                                                \
    CUresult our_cuStreamEndCapture##SZ(CUstream stream, CUgraph *graph)                             \
    {                                                                                                \
        if (!HAVE(cuStreamEndCapture##SZ))                                                           \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        /* It ends with most errors, too, but not with those of asking the wrong stream. */          \
        const int was = capture_status(real_cuStreamIsCapturing##SZ, stream);                        \
        CUresult result = real_cuStreamEndCapture##SZ(stream, graph);                                \
        if (was && !capture_status(real_cuStreamIsCapturing##SZ, stream))                            \
            capture_ends();                                                                          \
        return result;                                                                               \
    }

STREAM_WRAPPERS(, false)
STREAM_WRAPPERS(_ptsz, true)
