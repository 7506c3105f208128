#define _GNU_SOURCE
#include "cuda_waits.h"

#include "cuda_driver.h"
#include "cuda_streams.h"
#include "settings.h"

WAIT_FUNCTIONS(EXPORTED)

struct asked {
    CUresult (*query)(CUstream);
    CUresult (*query_event)(CUevent);
    CUevent event;
    bool driver_spins; /* when it is its turn to wait */
    CUstream stream;
    const struct work *work; /* the stream's, as long as it has this handle */
    uintptr_t handle;
    const struct feeding *feeding;
};

static enum answer ask(void *what)
{
    const struct asked *a = what;
    if (a->feeding && feeding_was_fed(a->feeding))
        return ANSWER_NONE;
    if (pthread_rwlock_tryrdlock(&capture_lock))
        return ANSWER_BUSY; /* as far as one can tell: who has it has it for no longer than a question takes */
    CUresult result = CUDA_ERROR_NOT_INITIALIZED;
    if (!atomic_load(&captures) && (!a->work || atomic_load(&a->work->handle) == a->handle))
        result = a->event ? a->query_event(a->event) : a->query(a->stream);
    pthread_rwlock_unlock(&capture_lock);
    return result == CUDA_ERROR_NOT_READY ? ANSWER_BUSY
           : result == CUDA_SUCCESS       ? ANSWER_DONE
                                          : ANSWER_NONE;
}

/* A copy after shorter work than that is the driver's alone: it sleeps for the copy itself anyway, and
 * would be woken twice. */
#define SHORT_BEFORE_COPY_NS 200000

/* Sleeps until what the driver is to wait for is about to be over. */
static void before(struct wait *w, struct asked *what, bool copies)
{
    w->asked = w->guessed = false;
    w->report = report_begin();
    if (!settings()->sleeps || !w->until.work || atomic_load(&captures) ||
        !work_left(&w->until, &w->key, &w->begin) || !feeding_sleeps(w->feeding))
        return;
    if (copies && engine_expects(w->key) < SHORT_BEFORE_COPY_NS) {
        feeding_wakes(w->feeding);
        w->waited = (struct waited){ .answer = ANSWER_BUSY };
        w->guessed = true;
        return;
    }
    what->feeding = w->feeding;
    relaxed(true);
    w->asked = true;
    w->waited = engine_wait(w->key, w->begin, ask, what);
    if (what->driver_spins)
        engine_nap(w->begin, ask, what, &w->waited);
    feeding_wakes(w->feeding);
    w->guessed = w->waited.answer != ANSWER_NONE;
    w->end = engine_now();
}

CUresult after(struct wait *w, CUresult result, bool learns)
{
    if (w->asked)
        relaxed(false);
    if (w->guessed && result == CUDA_SUCCESS) {
        const bool done = w->waited.answer == ANSWER_DONE;
        const uint64_t end = done ? w->end : engine_now();
        if (done || learns)
            engine_learn(w->key, w->begin, end, &w->waited);
        work_over(&w->until, end);
    }
    report_end(&w->report);
    return result;
}

void before_stream(struct wait *w, CUstream stream, bool per_thread, bool copies)
{
    struct asked a = { .query = per_thread ? real_cuStreamQuery_ptsz : real_cuStreamQuery,
                       .stream = stream };
    w->until = now_on(stream, per_thread);
    if (w->until.work && (!a.query || capturing(stream, per_thread)))
        w->until.work = NULL;
    if ((a.work = w->until.work)) {
        a.handle = atomic_load(&a.work->handle);
        w->feeding = &w->until.work->feeding;
    }
    before(w, &a, copies);
}

CUresult our_cuEventSynchronize(CUevent event)
{
    if (!HAVE(cuEventSynchronize))
        return CUDA_ERROR_NOT_INITIALIZED;
    struct wait w;
    struct asked a = { .query_event = real_cuEventQuery,
                       .event = event,
                       .driver_spins = !event_is_blocking((uintptr_t)event) };
    if (!settings()->sleeps || !a.query_event || !event_moment((uintptr_t)event, &w.until, &w.feeding))
        w.until.work = NULL;
    before(&w, &a, false);
    return after(&w, real_cuEventSynchronize(event), true);
}

/* A whole context: all its streams that have something to do. */

#define MOST_STREAMS 16

struct all {
    uintptr_t context;
    unsigned n;
    bool unknown;
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
                           .feeding = &contexts };
        enum answer answer = ask(&a);
        if (answer != ANSWER_DONE)
            return answer;
        all->n--;
    }
    return ANSWER_DONE;
}

static CUresult synchronize(uintptr_t context, CUresult (*real)(CUcontext), CUresult (*current)(void))
{
    struct all all = { .context = context }, left;
    struct waited waited = { .answer = ANSWER_NONE };
    struct key key = { 0x1d8e4e27c47d124fu, 0x1d8e4e27c47d124fu };
    uint64_t begin = UINT64_MAX, end = 0;
    const struct report report = report_begin();
    if (settings()->sleeps && context && !atomic_load(&captures) && real_cuStreamQuery)
        work_each(add_stream, &all);
    for (unsigned i = 0; i < all.n && !all.unknown; i++) {
        struct key one;
        uint64_t since;
        if (work_left(&all.moments[i], &one, &since)) {
            key.rough += one.rough;
            key.fine += one.fine;
            begin = since < begin ? since : begin;
        }
    }
    left = all;
    const bool asked = begin != UINT64_MAX && feeding_sleeps(&contexts);
    if (asked) {
        relaxed(true);
        waited = engine_wait(key, begin, ask_all, &left);
        feeding_wakes(&contexts);
        end = engine_now();
    }
    CUresult result = current ? current() : real((CUcontext)context);
    if (asked)
        relaxed(false);
    if (waited.answer != ANSWER_NONE && result == CUDA_SUCCESS) {
        if (waited.answer != ANSWER_DONE)
            end = engine_now();
        engine_learn(key, begin, end, &waited);
        for (unsigned i = 0; i < all.n; i++)
            work_over(&all.moments[i], end);
    }
    report_end(&report);
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
