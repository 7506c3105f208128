#define _GNU_SOURCE
#include "cuda_waits.h"

#include "cuda_driver.h"
#include "cuda_flags.h"
#include "cuda_streams.h"
#include "settings.h"

WAIT_FUNCTIONS(EXPORTED)

enum answer ask(void *what)
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

/* A copy after shorter work than that is the driver's alone, if it sleeps for the copy itself anyway: the
 * thread would be woken twice. */
#define SHORT_BEFORE_COPY_NS 200000

/* Sleeps until what the driver is to wait for is about to be over. */
static void before(struct wait *w, struct asked *what, enum then then)
{
    const bool may_spin = then == THEN_SHORT_COPY && flags_can_spin();
    w->asked = w->guessed = w->spins = false;
    w->report = report_begin();
    if (!settings()->sleeps || !w->until.work || atomic_load(&captures) ||
        !work_left(&w->until, &w->key, &w->begin) || !feeding_sleeps(w->feeding))
        return;
    if (then != THEN_NOTHING && !may_spin && engine_expects(w->key) < SHORT_BEFORE_COPY_NS) {
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
    w->spins = may_spin && w->waited.answer == ANSWER_DONE && flags_spin();
}

CUresult after(struct wait *w, CUresult result, bool learns)
{
    if (w->spins)
        flags_block();
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

void before_stream(struct wait *w, CUstream stream, bool per_thread, enum then then)
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
    before(w, &a, then);
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
    before(&w, &a, THEN_NOTHING);
    return after(&w, real_cuEventSynchronize(event), true);
}
