/* OpenCL's waits.  Drivers spin in clFinish, clWaitForEvents and blocking transfers; and OpenCL has no
 * flag against it, so that here we ask until the work is over. */
#include "opencl.h"

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "events.h"
#include "history.h"
#include "launch.h"
#include "options.h"
#include "queues.h"
#include "records.h"
#include "report.h"
#include "scalars.h"
#include "settings.h"
#include "work.h"

/* Queues and events are known to work.c by the handle that the program holds; CUDA's are others. */
static bool follows(void)
{
    return settings()->sleeps || options()->measures;
}

static struct work *work_on(handle queue)
{
    return follows() ? work_of((uintptr_t)queue) : NULL;
}

/* A command was given to a queue, at `begin` (ns; 0: now); its event is known by where it stands there.
 * Returns the name of what is waited for with it. */
static uint64_t given(handle queue, uint64_t key, uint64_t arguments, size_t items, handle *event,
                      uint64_t begin)
{
    struct work *w = work_on(queue);
    if (!w)
        return 0;
    const uint64_t together = options()->measures ? work_items(w, items) : 0;
    work_given(w, key | 1, arguments, begin);
    if (event)
        event_recorded((uintptr_t)*event, work_until_now(w));
    return together;
}

void command_given(handle queue, unsigned place, handle *event)
{
    given(queue, engine_mix(place, 0x636f6d6d616e64u), 0, 0, event, 0);
}

/* Waits. */

static enum answer ask(void *event)
{
    cl_int status;
    if (next_clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL) !=
        CL_SUCCESS)
        return ANSWER_NONE;
    return status > 0 ? ANSWER_BUSY : status == 0 ? ANSWER_DONE : ANSWER_NONE;
}

/* A wait for something that no queue here knows, as a user event: such waits have a name together. */
static void wait_for_other(handle event)
{
    static const struct key key = { 0x6f74686572u, 0x6f74686572u };
    if (ask(event) != ANSWER_BUSY)
        return;
    const uint64_t begin = engine_now();
    struct waited w = engine_wait(key, begin, ask, event);
    engine_nap(begin, ask, event, &w);
    if (w.answer == ANSWER_DONE)
        engine_learn(key, begin, engine_now(), &w);
}

/* What is before `until` was over at `end`.  Of what was over before anybody asked (not busy) that is only the
 * longest that it can have taken. */
static void over(const struct moment *until, const struct key *key, uint64_t begin, uint64_t end, bool busy)
{
    const double seconds = (double)(end - begin) * 1e-9;
    uint64_t items;
    const uint64_t together = work_together(until, &items);
    if (busy)
        history_took(key->rough, seconds);
    history_took_together(together, items, seconds);
    work_over(until, end);
}

/* Sleeps until `event`, which is `until` in its queue, is over; the driver's own call comes after. */
static void wait_for(handle event, const struct moment *until)
{
    struct key key;
    uint64_t begin;
    if (!work_left(until, &key, &begin)) {
        wait_for_other(event);
        return;
    }
    struct waited w = engine_wait(key, begin, ask, event);
    engine_nap(begin, ask, event, &w);
    if (w.answer == ANSWER_DONE) {
        const uint64_t end = engine_now();
        engine_learn(key, begin, end, &w);
        over(until, &key, begin, end, w.busy || w.naps);
    }
}

/* Sleeps until everything is over that is in a queue now. */
static void wait_for_queue(handle queue)
{
    struct work *w = settings()->sleeps ? work_on(queue) : NULL;
    struct key key;
    uint64_t begin;
    if (!w)
        return;
    struct moment until = work_until_now(w);
    if (!work_left(&until, &key, &begin))
        return;
    handle last = may_split() ? queue_end_of(queue) : NULL;
    /* A marker has to be flushed: nobody else will, and what is not need not begin. */
    if (last || (next_clEnqueueMarker(queue, &last) == CL_SUCCESS && next_clFlush(queue) == CL_SUCCESS))
        wait_for(last, &until);
    if (last)
        next_clReleaseEvent(last);
}

/* Sleeps until an event is over, wherever it comes from. */
static void wait_for_event(handle event)
{
    struct moment until;
    struct feeding *feeding;
    if (event_moment((uintptr_t)event, &until, &feeding))
        wait_for(event, &until);
    else
        wait_for_other(event);
}

/* Whether the driver takes such a list: else it is to say so at once, not when some of it are over. */
static bool are_events(cl_uint n, const handle *events)
{
    handle first = NULL, context = NULL;
    for (cl_uint i = 0; events && i < n; i++) {
        if (!events[i] ||
            (n > 1 && next_clGetEventInfo(events[i], CL_EVENT_CONTEXT, sizeof context, &context, NULL)) ||
            (i > 0 && context != first))
            return false;
        first = context;
    }
    return events;
}

/* Programs look again and again whether something is over, by waiting for it.  Then nobody needs a flush, which costs
 * more than all else here; what is over with it is noted. */
static bool all_over(cl_uint n, const handle *events)
{
    for (cl_uint i = 0; i < n; i++)
        if (!events || ask(events[i]) != ANSWER_DONE)
            return false;
    for (cl_uint i = 0; i < n; i++) {
        struct moment until;
        struct feeding *feeding;
        struct key key;
        uint64_t begin;
        if (event_moment((uintptr_t)events[i], &until, &feeding) && work_left(&until, &key, &begin))
            over(&until, &key, begin, engine_now(), false);
    }
    return true;
}

/* Has the device begin with all that is waited for, as the driver would: one may wait for another's queue.  False
 * if the driver is to say what is wrong. */
static bool flush(cl_uint n, const handle *events)
{
    bool sound = are_events(n, events);
    for (cl_uint i = 0; sound && i < n; i++) {
        handle queue = NULL; /* a user event has none */
        sound = next_clGetEventInfo(events[i], CL_EVENT_COMMAND_QUEUE, sizeof queue, &queue, NULL) == CL_SUCCESS &&
                (!queue || next_clFlush(queue) == CL_SUCCESS);
    }
    return sound;
}

/* queue: has to be flushed as well, if what is waited for is not over; NULL: none. */
static void wait_for_events(handle queue, cl_uint n, const handle *events)
{
    if (!settings()->sleeps || all_over(n, events) || (queue && next_clFlush(queue) != CL_SUCCESS) ||
        !flush(n, events))
        return;
    for (cl_uint i = 0; i < n; i++)
        wait_for_event(events[i]);
}

static bool in_order(handle queue)
{
    cl_bitfield properties = 0;
    return next_clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL) ==
               CL_SUCCESS &&
           !(properties & CL_QUEUE_OUT_OF_ORDER);
}

/* A blocking transfer waits for its list, and for what is before it only where the queue is in order.  What
 * is before may wait for an event that the program sets after the call; and a call that the driver refuses,
 * which only the driver knows, is to be back at once.  Then the wait is the driver's. */
static void before_transfer(handle queue, cl_uint n_wait, const handle *wait_list)
{
    if (!settings()->sleeps || events_unset())
        return;
    /* What is in the list may wait for what is before on this queue, which the transfer will flush. */
    if (n_wait)
        wait_for_events(queue, n_wait, wait_list);
    if (in_order(queue))
        wait_for_queue(queue);
}

/* A wait of the driver's, measured for the policies that go by what launches take: of what was not over
 * when it began. */
struct measured {
    struct moment until;
    struct key key;
    uint64_t begin;
    bool known, busy;
};

static struct measured measure_event(handle event)
{
    struct measured m = { .known = false };
    struct feeding *feeding;
    if (!event || settings()->sleeps || !options()->measures ||
        !event_moment((uintptr_t)event, &m.until, &feeding))
        return m;
    m.known = work_left(&m.until, &m.key, &m.begin);
    m.busy = m.known && ask(event) == ANSWER_BUSY;
    return m;
}

static struct measured measure_queue(handle queue)
{
    struct measured m = { .known = false };
    struct work *w = !settings()->sleeps && options()->measures ? work_on(queue) : NULL;
    handle marker = NULL;
    if (!w)
        return m;
    m.until = work_until_now(w);
    if (!work_left(&m.until, &m.key, &m.begin) || next_clEnqueueMarker(queue, &marker) != CL_SUCCESS)
        return m;
    m.known = true;
    m.busy = next_clFlush(queue) == CL_SUCCESS && ask(marker) == ANSWER_BUSY;
    next_clReleaseEvent(marker);
    return m;
}

/* succeeded: the driver waited; a call that it refused tells nothing. */
static void measured(const struct measured *m, bool succeeded)
{
    if (!m->known || !succeeded)
        return;
    over(&m->until, &m->key, m->begin, engine_now(), m->busy);
}

cl_int our_clFinish(handle queue)
{
    const struct report report = report_begin();
    wait_for_queue(queue);
    const struct measured m = measure_queue(queue);
    cl_int result = next_clFinish(queue);
    measured(&m, result == CL_SUCCESS);
    report_end(&report);
    return result;
}

cl_int our_clWaitForEvents(cl_uint n, const handle *events)
{
    const struct report report = report_begin();
    wait_for_events(NULL, n, events);
    const bool measures = !settings()->sleeps && options()->measures && flush(n, events);
    for (cl_uint i = 0; measures && i < n; i++) {
        const struct measured m = measure_event(events[i]);
        if (m.known)
            measured(&m, next_clWaitForEvents(1, &events[i]) == CL_SUCCESS);
    }
    cl_int result = next_clWaitForEvents(n, events);
    report_end(&report);
    return result;
}

/* Handles are given to other objects once these are gone; an event may still have other holders,
 * and is then waited for by the driver. */
cl_int our_clReleaseEvent(handle event)
{
    if (follows())
        event_forget((uintptr_t)event);
    event_released(event);
    return next_clReleaseEvent(event);
}

/* Commands. */

cl_int our_clEnqueueNDRangeKernel(handle queue, handle kernel, cl_uint dimensions, const size_t *offset,
                                  const size_t *global, const size_t *local, WAIT_LIST)
{
    struct sent sent = { 1, 0 };
    const bool splits = splitting() || (recording() && may_split());
    const uint64_t work = splits || follows() ? scalars_name(kernel) : 0;
    const cl_int result = launch(work, queue, kernel, dimensions, offset, global, local, GIVEN_LIST,
                                 splits ? &sent : NULL);
    if (result != CL_SUCCESS || !follows())
        return result;
    uint64_t key = work;
    size_t items = 1;
    for (cl_uint d = 0; global && d < dimensions; d++) {
        key = engine_mix(engine_mix(key, global[d]), local ? local[d] : 0);
        items *= global[d];
    }
    key = sent.slices > 1 ? engine_mix(key, sent.slices) : key;
    /* Part of it may be over when the call is back, and how long the call takes says little of the rest. */
    const uint64_t together = given(queue, key, scalars_of(kernel), items, event, sent.since);
    if (splits)
        history_launched(work_alone(key | 1), work, items, sent.slices, together);
    return result;
}

static struct measured measure_transfer(handle queue)
{
    const bool measures = !settings()->sleeps && options()->measures && in_order(queue);
    return measures ? measure_queue(queue) : (struct measured){ .known = false };
}

#define SUCCEEDED(done) _Generic((done), cl_int: !(done), void *: !!(done))

/* A transfer has its place in the queue like any command; one that blocks sleeps before the driver spins. */
#define TRANSFER(name, result, parameters, call)                                                     \
    result our_##name parameters                                                                     \
    {                                                                                                \
        if (blocking) {                                                                              \
            const struct report report = report_begin();                                             \
            struct queue *blocked = may_split() ? queue_block(queue) : NULL;                         \
            before_transfer(queue, n_wait, wait_list);                                               \
            const struct measured m = measure_transfer(queue);                                     \
            result done = next_##name call;                                                          \
            measured(&m, SUCCEEDED(done));                                                           \
            queue_unblock(blocked);                                                                  \
            report_end(&report);                                                                     \
            return done;                                                                             \
        }                                                                                            \
        struct queue *entered = may_split() ? queue_enter(queue) : NULL;                             \
        result done = next_##name call;                                                              \
        queue_leave(entered);                                                                        \
        command_given(queue, (unsigned)(uintptr_t)&next_##name, event);                              \
        return done;                                                                                 \
    }
TRANSFER(clEnqueueReadBuffer, cl_int,
         (handle queue, handle memory, cl_uint blocking, size_t offset, size_t size, void *to, WAIT_LIST),
         (queue, memory, blocking, offset, size, to, GIVEN_LIST))
TRANSFER(clEnqueueWriteBuffer, cl_int,
         (handle queue, handle memory, cl_uint blocking, size_t offset, size_t size, const void *from,
          WAIT_LIST),
         (queue, memory, blocking, offset, size, from, GIVEN_LIST))
TRANSFER(clEnqueueReadImage, cl_int,
         (handle queue, handle image, cl_uint blocking, const size_t *origin, const size_t *region,
          size_t row, size_t slice, void *to, WAIT_LIST),
         (queue, image, blocking, origin, region, row, slice, to, GIVEN_LIST))
TRANSFER(clEnqueueWriteImage, cl_int,
         (handle queue, handle image, cl_uint blocking, const size_t *origin, const size_t *region,
          size_t row, size_t slice, const void *from, WAIT_LIST),
         (queue, image, blocking, origin, region, row, slice, from, GIVEN_LIST))
TRANSFER(clEnqueueMapBuffer, void *,
         (handle queue, handle memory, cl_uint blocking, cl_bitfield flags, size_t offset, size_t size,
          WAIT_LIST, cl_int *error),
         (queue, memory, blocking, flags, offset, size, GIVEN_LIST, error))
TRANSFER(clEnqueueMapImage, void *,
         (handle queue, handle image, cl_uint blocking, cl_bitfield flags, const size_t *origin,
          const size_t *region, size_t *row, size_t *slice, WAIT_LIST, cl_int *error),
         (queue, image, blocking, flags, origin, region, row, slice, GIVEN_LIST, error))
TRANSFER(clEnqueueReadBufferRect, cl_int,
         (handle queue, handle memory, cl_uint blocking, const size_t *origin, const size_t *to_origin,
          const size_t *region, size_t row, size_t slice, size_t to_row, size_t to_slice, void *to,
          WAIT_LIST),
         (queue, memory, blocking, origin, to_origin, region, row, slice, to_row, to_slice, to,
          GIVEN_LIST))
TRANSFER(clEnqueueWriteBufferRect, cl_int,
         (handle queue, handle memory, cl_uint blocking, const size_t *origin, const size_t *from_origin,
          const size_t *region, size_t row, size_t slice, size_t from_row, size_t from_slice,
          const void *from, WAIT_LIST),
         (queue, memory, blocking, origin, from_origin, region, row, slice, from_row, from_slice, from,
          GIVEN_LIST))
TRANSFER(clEnqueueSVMMemcpy, cl_int,
         (handle queue, cl_uint blocking, void *to, const void *from, size_t size, WAIT_LIST),
         (queue, blocking, to, from, size, GIVEN_LIST))
TRANSFER(clEnqueueSVMMap, cl_int,
         (handle queue, cl_uint blocking, cl_bitfield flags, void *memory, size_t size, WAIT_LIST),
         (queue, blocking, flags, memory, size, GIVEN_LIST))
