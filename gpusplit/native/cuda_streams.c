#define _GNU_SOURCE
#include "cuda_streams.h"

#include <pthread.h>

#include "cuda_driver.h"
#include "engine.h"
#include "settings.h"

pthread_rwlock_t capture_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
atomic_int captures;

/* A child has no driver, but may still destroy what its parent had: nobody is there to let go. */
void capture_after_fork(void)
{
    capture_lock = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
}

void capture_begins(void)
{
    pthread_rwlock_wrlock(&capture_lock);
    atomic_fetch_add(&captures, 1);
    pthread_rwlock_unlock(&capture_lock);
}

int capture_status(is_capturing_fn *is, CUstream stream)
{
    int status = 0;
    return is && is(stream, &status) == CUDA_SUCCESS ? status : 0;
}

void capture_ends(void)
{
    /* One that was begun in a way that nobody here knows must not count below zero. */
    int open = atomic_load(&captures);
    while (open > 0 && !atomic_compare_exchange_weak(&captures, &open, open - 1))
        ;
}

void relaxed(bool begin)
{
    static __thread int before __attribute__((tls_model("initial-exec"))) = -1;
    int mode = begin ? CU_STREAM_CAPTURE_MODE_RELAXED : before;
    if (mode < 0 || !real_cuThreadExchangeStreamCaptureMode)
        return;
    before = real_cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS && begin ? mode : -1;
}

static __thread char mine __attribute__((tls_model("initial-exec"))); /* its address names a thread */

uintptr_t current_context(void)
{
    CUcontext context = NULL;
    return real_cuCtxGetCurrent && real_cuCtxGetCurrent(&context) == CUDA_SUCCESS ? (uintptr_t)context
                                                                                  : 0;
}

struct work *work_on(CUstream stream, bool per_thread)
{
    const uintptr_t value = (uintptr_t)stream;
    struct work *w;
    if (value > (uintptr_t)STREAM_PER_THREAD) {
        w = work_of(value);
        if (w && !atomic_load_explicit(&w->context, memory_order_relaxed)) {
            CUcontext context = NULL;
            if (real_cuStreamGetCtx && !atomic_load(&captures))
                real_cuStreamGetCtx(stream, &context);
            atomic_store(&w->context, (uintptr_t)context);
        }
        return w;
    }
    const uintptr_t context = current_context();
    if (!context)
        return NULL;
    if (stream == STREAM_PER_THREAD || (value == 0 && per_thread))
        w = work_of(engine_mix(context, (uintptr_t)&mine) << 2 | PER_THREAD_BIT);
    else
        w = work_of(context | LEGACY_BIT);
    if (w)
        atomic_store_explicit(&w->context, context, memory_order_relaxed);
    return w;
}

struct feeding contexts;

void given(CUstream stream, bool per_thread, uint64_t key, uint64_t arguments)
{
    feeding_fed(&contexts);
    struct work *w = settings()->sleeps && !atomic_load(&captures) ? work_on(stream, per_thread) : NULL;
    if (w)
        work_given(w, key, arguments, 0);
}

struct moment now_on(CUstream stream, bool per_thread)
{
    struct work *w = settings()->sleeps ? work_on(stream, per_thread) : NULL;
    return w ? work_until_now(w) : (struct moment){ .work = NULL };
}

bool capturing(CUstream stream, bool per_thread)
{
    is_capturing_fn *is = per_thread ? real_cuStreamIsCapturing_ptsz : real_cuStreamIsCapturing;
    int status = 0;
    return atomic_load(&captures) || !is || is(stream, &status) != CUDA_SUCCESS || status != 0;
}
