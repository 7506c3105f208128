#include "events.h"

#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "options.h"

struct stand {
    struct object object;
    unsigned n_first, n_last;
    handle first[MOST_LANES], last[MOST_LANES];
};

static void stand_end(void *given)
{
    struct stand *stand = given;
    for (unsigned i = 0; i < stand->n_first; i++)
        next_clReleaseEvent(stand->first[i]);
    for (unsigned i = 0; i < stand->n_last; i++)
        next_clReleaseEvent(stand->last[i]);
    free(stand);
}

void event_stands(handle event, const handle *first, unsigned n_first, const handle *last, unsigned n_last)
{
    struct stand *stand = calloc(1, sizeof *stand);
    if (!stand)
        return;
    stand->n_first = n_first;
    stand->n_last = n_last;
    for (unsigned i = 0; i < n_first; i++)
        next_clRetainEvent(stand->first[i] = first[i]);
    for (unsigned i = 0; i < n_last; i++)
        next_clRetainEvent(stand->last[i] = last[i]);
    object_keep(&stand->object, KIND_EVENT, event, stand_end);
}

void event_released(handle event)
{
    if (splitting())
        object_released(KIND_EVENT, event);
}

cl_int our_clRetainEvent(handle event)
{
    const cl_int result = next_clRetainEvent(event);
    if (result == CL_SUCCESS && splitting())
        object_retained(KIND_EVENT, event);
    return result;
}

/* The barrier waits; the launch runs as soon as one of its slices does. */
static cl_int status(const struct stand *stand, cl_int of_barrier)
{
    for (unsigned i = 0; of_barrier > CL_RUNNING && i < stand->n_first; i++)
        if (event_status(stand->first[i]) <= CL_RUNNING)
            return CL_RUNNING;
    return of_barrier;
}

cl_int our_clGetEventInfo(handle event, ANSWER)
{
    const cl_int result = next_clGetEventInfo(event, what, size, value, size_ret);
    cl_int told;
    if (result != CL_SUCCESS || !value || size < sizeof told ||
        (what != CL_EVENT_COMMAND_TYPE && what != CL_EVENT_COMMAND_EXECUTION_STATUS))
        return result;
    struct stand *stand = object_get(KIND_EVENT, event);
    if (stand) {
        memcpy(&told, value, sizeof told);
        told = what == CL_EVENT_COMMAND_TYPE ? CL_COMMAND_NDRANGE_KERNEL : status(stand, told);
        memcpy(value, &told, sizeof told);
        object_drop(stand);
    }
    return result;
}

/* The start of the launch is that of its first slice, and its end that of its last. */
cl_int our_clGetEventProfilingInfo(handle event, ANSWER)
{
    /* First, so that an event without times says what it always does. */
    const cl_int result = next_clGetEventProfilingInfo(event, what, size, value, size_ret);
    struct stand *stand = result == CL_SUCCESS && value ? object_get(KIND_EVENT, event) : NULL;
    if (!stand)
        return result;
    const int ends = what == CL_PROFILING_COMMAND_END || what == CL_PROFILING_COMMAND_COMPLETE;
    const handle *events = ends ? stand->last : stand->first;
    const unsigned n = ends ? stand->n_last : stand->n_first;
    uint64_t all = 0, one;
    cl_int found = n ? CL_SUCCESS : CL_PROFILING_INFO_NOT_AVAILABLE;
    for (unsigned i = 0; i < n && found == CL_SUCCESS; i++) {
        found = next_clGetEventProfilingInfo(events[i], what, sizeof one, &one, NULL);
        if (i == 0 || (ends ? one > all : one < all))
            all = one;
    }
    if (found == CL_SUCCESS)
        memcpy(value, &all, sizeof all);
    object_drop(stand);
    return found;
}
