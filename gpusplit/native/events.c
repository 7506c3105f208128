#include "events.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* What is known of a launch's ends.  Slices may be sent when the program has the event already. */
struct end {
    unsigned n;
    handle slices[MOST_LANES];
};

struct stand {
    struct object object;
    struct end first, last;
    bool later; /* no slice was sent when the call came back */
};

/* Of all stands' ends; nobody calls the driver under it, but to retain. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void end_free(struct end *end)
{
    for (unsigned i = 0; i < end->n; i++)
        next_clReleaseEvent(end->slices[i]);
}

static struct end end_get(const struct end *end)
{
    pthread_mutex_lock(&lock);
    const struct end found = *end;
    for (unsigned i = 0; i < found.n; i++)
        next_clRetainEvent(found.slices[i]);
    pthread_mutex_unlock(&lock);
    return found;
}

static void end_set(struct end *end, const handle *slices, unsigned n)
{
    pthread_mutex_lock(&lock);
    struct end before = *end;
    for (unsigned i = 0; i < n; i++)
        next_clRetainEvent(end->slices[i] = slices[i]);
    end->n = n;
    pthread_mutex_unlock(&lock);
    end_free(&before);
}

static void stand_free(void *given)
{
    struct stand *stand = given;
    end_free(&stand->first);
    end_free(&stand->last);
    free(stand);
}

struct stand *event_stands(handle event)
{
    struct stand *stand = calloc(1, sizeof *stand);
    if (!stand)
        return NULL;
    object_keep(&stand->object, KIND_EVENT, event, stand_free);
    return object_get(KIND_EVENT, event);
}

void stand_begins(struct stand *stand, const handle *slices, unsigned n)
{
    stand->later = stand->later || n == 0;
    end_set(&stand->first, slices, n);
}

void stand_ends(struct stand *stand, const handle *slices, unsigned n)
{
    end_set(&stand->last, slices, n);
}

/* The program's own events that it has not set yet. */
static atomic_int unset;

bool events_unset(void)
{
    return atomic_load_explicit(&unset, memory_order_relaxed) > 0;
}

handle our_clCreateUserEvent(handle context, cl_int *error)
{
    handle event = next_clCreateUserEvent(context, error);
    if (event)
        atomic_fetch_add(&unset, 1);
    return event;
}

cl_int our_clSetUserEventStatus(handle event, cl_int status)
{
    const cl_int result = next_clSetUserEventStatus(event, status);
    if (result == CL_SUCCESS)
        atomic_fetch_sub(&unset, 1);
    return result;
}

/* One that nobody holds can never be set. */
static void forget_unset(handle event)
{
    cl_uint type, holders;
    if (event && !next_clGetEventInfo(event, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL) &&
        type == CL_COMMAND_USER && event_status(event) > CL_COMPLETE &&
        !next_clGetEventInfo(event, CL_EVENT_REFERENCE_COUNT, sizeof holders, &holders, NULL) && holders == 1)
        atomic_fetch_sub(&unset, 1);
}

void event_released(handle event)
{
    if (events_unset())
        forget_unset(event);
    if (followed())
        object_released(KIND_EVENT, event);
}

static atomic_bool calls_back;

bool events_call_back(void)
{
    return atomic_load_explicit(&calls_back, memory_order_relaxed);
}

cl_int our_clSetEventCallback(handle event, cl_int type, void (*notify)(handle, cl_int, void *), void *what)
{
    atomic_store(&calls_back, true);
    return next_clSetEventCallback(event, type, notify, what);
}

cl_int our_clRetainEvent(handle event)
{
    const cl_int result = next_clRetainEvent(event);
    if (result == CL_SUCCESS && followed())
        object_retained(KIND_EVENT, event);
    return result;
}

/* The barrier waits; the launch runs as soon as one of its slices does. */
static cl_int status(const struct stand *stand, cl_int of_barrier)
{
    if (of_barrier <= CL_RUNNING)
        return of_barrier;
    struct end first = end_get(&stand->first);
    for (unsigned i = 0; of_barrier > CL_RUNNING && i < first.n; i++)
        if (event_status(first.slices[i]) <= CL_RUNNING)
            of_barrier = CL_RUNNING;
    end_free(&first);
    return of_barrier;
}

cl_int our_clGetEventInfo(handle event, ANSWER)
{
    const cl_int result = next_clGetEventInfo(event, what, size, value, size_ret);
    cl_int told;
    if (result != CL_SUCCESS || !value || size < sizeof told ||
        (what != CL_EVENT_COMMAND_TYPE && what != CL_EVENT_COMMAND_EXECUTION_STATUS))
        return result;
    struct stand *stand = followed() ? object_get(KIND_EVENT, event) : NULL;
    if (stand) {
        memcpy(&told, value, sizeof told);
        told = what == CL_EVENT_COMMAND_TYPE ? CL_COMMAND_NDRANGE_KERNEL : status(stand, told);
        memcpy(value, &told, sizeof told);
        object_drop(stand);
    }
    return result;
}

/* The start of the launch is that of its first slice, and its end that of its last.  It was given to the
 * queue when the first slice was, or the barrier, where that came first: the times of commands on several
 * queues of NVIDIA's are not to be mixed. */
cl_int our_clGetEventProfilingInfo(handle event, ANSWER)
{
    /* First, so that an event without times says what it always does. */
    const cl_int result = next_clGetEventProfilingInfo(event, what, size, value, size_ret);
    struct stand *stand = result == CL_SUCCESS && value && followed() ? object_get(KIND_EVENT, event) : NULL;
    if (!stand)
        return result;
    const bool ends = what == CL_PROFILING_COMMAND_END || what == CL_PROFILING_COMMAND_COMPLETE;
    const bool ran = ends || what == CL_PROFILING_COMMAND_START, slices = ran || !stand->later;
    struct end end = end_get(ends ? &stand->last : &stand->first);
    uint64_t all = 0, one;
    cl_int found = end.n ? CL_SUCCESS : CL_PROFILING_INFO_NOT_AVAILABLE;
    if (!slices)
        memcpy(&all, value, sizeof all);
    for (unsigned i = 0; i < end.n && found == CL_SUCCESS; i++) {
        found = next_clGetEventProfilingInfo(end.slices[i], what, sizeof one, &one, NULL);
        if ((i == 0 && slices) || (ends ? one > all : one < all))
            all = one;
    }
    if (found == CL_SUCCESS)
        memcpy(value, &all, sizeof all);
    end_free(&end);
    object_drop(stand);
    return found;
}
