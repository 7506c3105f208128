/* Waits for a whole context: for all its streams that have something to do. */
#define _GNU_SOURCE
#include <stdatomic.h>

#include "cuda_arguments.h"
#include "cuda_driver.h"
#include "cuda_streams.h"
#include "cuda_waits.h"
#include "settings.h"

CONTEXT_FUNCTIONS(EXPORTED)

#define MOST_STREAMS 16

struct all {
    uintptr_t context;
    unsigned n;
    bool unknown;
    const struct feeding *feeding;
    struct moment moments[MOST_STREAMS];
    uintptr_t handles[MOST_STREAMS];
};

static bool add_stream(struct work *work, void *what)
{
    struct all *all = what;
    if (atomic_load_explicit(&work->context, memory_order_relaxed) != all->context)
        return true;
    const uintptr_t handle = atomic_load(&work->handle);
    all->unknown = all->unknown || all->n == MOST_STREAMS || handle & PER_THREAD_BIT;
    if (!all->unknown) {
        all->handles[all->n] = handle;
        all->moments[all->n++] = work_until_now(work);
    }
    return !all->unknown;
}

static enum answer ask_all(void *what)
{
    struct all *all = what;
    while (all->n > 0) {
        const uintptr_t handle = all->handles[all->n - 1];
        struct asked a = { .query = real_cuStreamQuery,
                           .stream = (CUstream)(handle & LEGACY_BIT ? LEGACY_BIT : handle),
                           .work = all->moments[all->n - 1].work,
                           .handle = handle,
                           .feeding = all->feeding };
        enum answer answer = ask(&a);
        if (answer != ANSWER_DONE)
            return answer;
        all->n--;
    }
    return ANSWER_DONE;
}

struct context_wait {
    struct all all;
    struct key key;
    uint64_t begin, end;
    bool left; /* there is something to wait for */
    struct waited waited;
    struct report report;
};

/* What the context has to do.  All contexts' keys are alike: what differs is what was given to them. */
static void look(struct context_wait *w, uintptr_t context)
{
    w->all = (struct all){ .context = context, .feeding = &contexts };
    w->key = (struct key){ 0x1d8e4e27c47d124fu, 0x1d8e4e27c47d124fu };
    w->begin = UINT64_MAX;
    w->waited = (struct waited){ .answer = ANSWER_NONE };
    w->report = report_begin();
    if (settings()->sleeps && context && !atomic_load(&captures) && real_cuStreamQuery)
        work_each(add_stream, &w->all);
    for (unsigned i = 0; i < w->all.n && !w->all.unknown; i++) {
        struct key one;
        uint64_t since;
        if (work_left(&w->all.moments[i], &one, &since)) {
            w->key.rough += one.rough;
            w->key.fine += one.fine;
            w->begin = since < w->begin ? since : w->begin;
        }
    }
    w->left = w->begin != UINT64_MAX;
}

/* Sleeps until all of it is about to be over; returns whether it did, this thread's questions still being none
 * that a capture elsewhere could mind. */
static bool sleep_until_over(struct context_wait *w)
{
    if (!w->left || !feeding_sleeps(&contexts))
        return false;
    struct all left = w->all;
    relaxed(true);
    w->waited = engine_wait(w->key, w->begin, ask_all, &left);
    feeding_wakes(&contexts);
    w->end = engine_now();
    return true;
}

static void learn(struct context_wait *w)
{
    if (w->waited.answer != ANSWER_DONE)
        w->end = engine_now();
    engine_learn(w->key, w->begin, w->end, &w->waited);
    for (unsigned i = 0; i < w->all.n; i++)
        work_over(&w->all.moments[i], w->end);
}

static CUresult synchronize(uintptr_t context, CUresult (*real)(CUcontext), CUresult (*current)(void))
{
    struct context_wait w;
    look(&w, context);
    const bool slept = sleep_until_over(&w);
    CUresult result = current ? current() : real((CUcontext)context);
    if (slept)
        relaxed(false);
    if (w.waited.answer != ANSWER_NONE && result == CUDA_SUCCESS)
        learn(&w);
    report_end(&w.report);
    return result;
}

CUresult our_cuCtxSynchronize(void)
{
    if (!HAVE(cuCtxSynchronize))
        return CUDA_ERROR_NOT_INITIALIZED;
    return synchronize(current_context(), NULL, real_cuCtxSynchronize);
}

CUresult our_cuCtxSynchronize_v2(CUcontext context)
{
    if (!HAVE(cuCtxSynchronize_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    /* Streams without a name of their own are asked through the current context. */
    if ((uintptr_t)context != current_context())
        return real_cuCtxSynchronize_v2(context);
    return synchronize((uintptr_t)context, real_cuCtxSynchronize_v2, NULL);
}

/* Functions that free something wait for what may yet use it: which of them do, and for what, no page of the
 * driver's says for all.  So its own calls tell: one that came back while the context had something to do does
 * not wait, and is left alone for good; so often a call has to have waited before it is slept for. */
#define OFTEN_ENOUGH 2
#define NEVER UINT32_MAX

static void before_free(struct context_wait *w, const _Atomic uint32_t *waited, bool here)
{
    const uint32_t often = atomic_load_explicit(waited, memory_order_relaxed);
    look(w, here && often != NEVER ? current_context() : 0);
    if (often >= OFTEN_ENOUGH && sleep_until_over(w))
        relaxed(false); /* what is freed is freed in the program's own mode */
}

/* How the work stands that was there at first; nothing is known if more came meanwhile. */
static enum answer ask_again(const struct context_wait *w)
{
    struct all left = w->all;
    left.feeding = NULL;
    for (unsigned i = 0; i < left.n; i++)
        if (atomic_load(&left.moments[i].work->sum) != left.moments[i].sum)
            return ANSWER_NONE;
    relaxed(true);
    const enum answer answer = ask_all(&left);
    relaxed(false);
    return answer;
}

static CUresult after_free(struct context_wait *w, _Atomic uint32_t *waited, bool was_busy, CUresult result)
{
    enum answer answer = w->waited.answer;
    if (was_busy && result == CUDA_SUCCESS) {
        answer = ask_again(w);
        const uint32_t often = atomic_load_explicit(waited, memory_order_relaxed);
        if (answer == ANSWER_BUSY)
            atomic_store_explicit(waited, NEVER, memory_order_relaxed);
        else if (answer == ANSWER_DONE && often < OFTEN_ENOUGH)
            atomic_store_explicit(waited, often + 1, memory_order_relaxed);
    }
    if (answer == ANSWER_DONE && result == CUDA_SUCCESS)
        learn(w);
    report_end(&w->report);
    return result;
}

/* Whether the driver's call is about to meet a context that has something to do. */
static bool is_busy(struct context_wait *w)
{
    if (w->left && w->waited.answer == ANSWER_NONE && ask_again(w) == ANSWER_BUSY)
        w->waited = (struct waited){ .answer = ANSWER_BUSY, .busy = engine_now() };
    return w->waited.answer == ANSWER_BUSY;
}

/* here: it belongs to the current context, whose streams are looked at. */
#define FREES(name, parameters, call, here)                                                          \
    CUresult our_##name parameters                                                                   \
    {                                                                                                \
        static _Atomic uint32_t waited;                                                              \
        struct context_wait w;                                                                       \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        before_free(&w, &waited, here);                                                              \
        const bool was_busy = is_busy(&w);                                                           \
        return after_free(&w, &waited, was_busy, real_##name call);                                  \
    }

static bool is_here(uintptr_t memory)
{
    CUcontext context = NULL;
    return memory && settings()->sleeps && !atomic_load(&captures) && real_cuPointerGetAttribute &&
           real_cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, memory) == CUDA_SUCCESS &&
           (uintptr_t)context == current_context();
}

FREES(cuMemFree_v2, (CUdeviceptr memory), (memory), is_here(memory))
FREES(cuMemFreeHost, (void *memory), (memory), is_here((uintptr_t)memory))
FREES(cuMemHostUnregister, (void *memory), (memory), is_here((uintptr_t)memory))
FREES(cuArrayDestroy, (CUarray array), (array), true)
FREES(cuModuleUnload, (CUmodule module), (module), (arguments_forget(), true))
