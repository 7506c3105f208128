/* An OpenCL layer that keeps commands until they are flushed, as NVIDIA's driver may and PoCL never does.
 * OpenCL lets it: a command need not begin before its queue is flushed, by clFlush, by a call that waits for it
 * or for its queue, or by the queue's release (5.13).  Whoever waits for one that nobody flushes hangs.
 *
 * What was given to a queue since it was last flushed waits for an event of ours, which the next flush sets. */
#include "test_layer.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Queues that are not flushed, and what their commands wait for. */
static struct {
    cl_command_queue queue;
    cl_event flushed;
} waiting[MOST];
static unsigned n_waiting;
/* Queues that a thread waits for.  What others give to them meanwhile the driver below may make it wait for as
 * well, and so that is not kept. */
static cl_command_queue waited_for[MOST];
static unsigned n_waited_for;

static int is_waited_for(cl_command_queue queue)
{
    for (unsigned i = 0; i < n_waited_for; i++)
        if (waited_for[i] == queue)
            return 1;
    return 0;
}

/* What a command of this queue waits for, retained; NULL: for nothing. */
static cl_event to_be_flushed(cl_command_queue queue)
{
    cl_context context;
    cl_event found = NULL;
    if (!queue || below.clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL))
        return NULL;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < n_waiting && !found; i++)
        if (waiting[i].queue == queue)
            found = waiting[i].flushed;
    if (!found && n_waiting < MOST && !is_waited_for(queue) && (found = below.clCreateUserEvent(context, NULL))) {
        waiting[n_waiting].queue = queue;
        waiting[n_waiting++].flushed = found;
    }
    if (found)
        below.clRetainEvent(found);
    pthread_mutex_unlock(&lock);
    return found;
}

static int out_of_order(cl_command_queue queue)
{
    cl_command_queue_properties properties = 0;
    return queue &&
           !below.clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL) &&
           properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
}

static void flush(cl_command_queue queue)
{
    cl_event flushed = NULL;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < n_waiting && !flushed; i++)
        if (waiting[i].queue == queue) {
            flushed = waiting[i].flushed;
            waiting[i] = waiting[--n_waiting];
        }
    pthread_mutex_unlock(&lock);
    if (!flushed)
        return;
    below.clSetUserEventStatus(flushed, CL_COMPLETE);
    below.clReleaseEvent(flushed);
}

static void wait_begins(cl_command_queue queue)
{
    pthread_mutex_lock(&lock);
    if (n_waited_for < MOST)
        waited_for[n_waited_for++] = queue;
    pthread_mutex_unlock(&lock);
    flush(queue);
}

static void wait_ends(cl_command_queue queue)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = n_waited_for; i-- > 0;)
        if (waited_for[i] == queue) {
            waited_for[i] = waited_for[--n_waited_for];
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* The command's wait list, with our event: to be freed. */
struct list {
    cl_uint n;
    cl_event *events, flushed;
};

static struct list list_of(cl_command_queue queue, cl_uint n, const cl_event *events)
{
    const int sound = !n == !events; /* else the driver is to refuse it */
    struct list list = { n, (cl_event *)events, sound ? to_be_flushed(queue) : NULL };
    if (!list.flushed)
        return list;
    list.events = malloc((n + 1) * sizeof *list.events);
    if (n)
        memcpy(list.events, events, n * sizeof *events);
    list.events[list.n++] = list.flushed;
    return list;
}

static void list_free(struct list *list)
{
    if (!list->flushed)
        return;
    below.clReleaseEvent(list->flushed);
    free(list->events);
}

#define WAIT_LIST cl_uint n, const cl_event *events, cl_event *event
#define GIVEN_LIST list.n, list.n ? list.events : events, event

/* A command; at once: whether it is flushed in the call. */
#define COMMAND(name, result, parameters, at_once, call)                                             \
    static result CL_API_CALL our_##name parameters                                                       \
    {                                                                                                \
        struct list list = { n, (cl_event *)events, NULL };                                          \
        if (at_once)                                                                                 \
            wait_begins(queue);                                                                      \
        else                                                                                         \
            list = list_of(queue, n, events);                                                        \
        result done = below.name call;                                                               \
        if (at_once)                                                                                 \
            wait_ends(queue);                                                                        \
        list_free(&list);                                                                            \
        return done;                                                                                 \
    }

COMMAND(clEnqueueNDRangeKernel, cl_int,
        (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
         const size_t *global, const size_t *local, WAIT_LIST),
        0, (queue, kernel, dimensions, offset, global, local, GIVEN_LIST))
COMMAND(clEnqueueTask, cl_int, (cl_command_queue queue, cl_kernel kernel, WAIT_LIST), 0,
        (queue, kernel, GIVEN_LIST))
COMMAND(clEnqueueReadBuffer, cl_int,
        (cl_command_queue queue, cl_mem memory, cl_bool blocks, size_t at, size_t size, void *to, WAIT_LIST),
        blocks, (queue, memory, blocks, at, size, to, GIVEN_LIST))
COMMAND(clEnqueueWriteBuffer, cl_int,
        (cl_command_queue queue, cl_mem memory, cl_bool blocks, size_t at, size_t size, const void *from,
         WAIT_LIST),
        blocks, (queue, memory, blocks, at, size, from, GIVEN_LIST))
COMMAND(clEnqueueReadBufferRect, cl_int,
        (cl_command_queue queue, cl_mem memory, cl_bool blocks, const size_t *origin, const size_t *there,
         const size_t *region, size_t row, size_t slice, size_t to_row, size_t to_slice, void *to, WAIT_LIST),
        blocks,
        (queue, memory, blocks, origin, there, region, row, slice, to_row, to_slice, to, GIVEN_LIST))
COMMAND(clEnqueueWriteBufferRect, cl_int,
        (cl_command_queue queue, cl_mem memory, cl_bool blocks, const size_t *origin, const size_t *there,
         const size_t *region, size_t row, size_t slice, size_t from_row, size_t from_slice,
         const void *from, WAIT_LIST),
        blocks,
        (queue, memory, blocks, origin, there, region, row, slice, from_row, from_slice, from, GIVEN_LIST))
COMMAND(clEnqueueCopyBuffer, cl_int,
        (cl_command_queue queue, cl_mem from, cl_mem to, size_t at, size_t there, size_t size, WAIT_LIST), 0,
        (queue, from, to, at, there, size, GIVEN_LIST))
COMMAND(clEnqueueCopyBufferRect, cl_int,
        (cl_command_queue queue, cl_mem from, cl_mem to, const size_t *origin, const size_t *there,
         const size_t *region, size_t row, size_t slice, size_t to_row, size_t to_slice, WAIT_LIST),
        0, (queue, from, to, origin, there, region, row, slice, to_row, to_slice, GIVEN_LIST))
COMMAND(clEnqueueFillBuffer, cl_int,
        (cl_command_queue queue, cl_mem memory, const void *pattern, size_t width, size_t at, size_t size,
         WAIT_LIST),
        0, (queue, memory, pattern, width, at, size, GIVEN_LIST))
COMMAND(clEnqueueMapBuffer, void *,
        (cl_command_queue queue, cl_mem memory, cl_bool blocks, cl_map_flags flags, size_t at, size_t size,
         WAIT_LIST, cl_int *error),
        blocks, (queue, memory, blocks, flags, at, size, GIVEN_LIST, error))
COMMAND(clEnqueueUnmapMemObject, cl_int, (cl_command_queue queue, cl_mem memory, void *mapped, WAIT_LIST), 0,
        (queue, memory, mapped, GIVEN_LIST))

/* Out of order these wait for all before, which waits for us, where they have no list. */
#define ORDER(name)                                                                                  \
    static cl_int CL_API_CALL our_##name(cl_command_queue queue, WAIT_LIST)                          \
    {                                                                                                \
        struct list list = { n, (cl_event *)events, NULL };                                          \
        if (n || !out_of_order(queue))                                                               \
            list = list_of(queue, n, events);                                                        \
        const cl_int done = below.name(queue, GIVEN_LIST);                                           \
        list_free(&list);                                                                            \
        return done;                                                                                 \
    }
ORDER(clEnqueueMarkerWithWaitList)
ORDER(clEnqueueBarrierWithWaitList)

static cl_int CL_API_CALL our_clFlush(cl_command_queue queue)
{
    flush(queue);
    return below.clFlush(queue);
}

static cl_int CL_API_CALL our_clFinish(cl_command_queue queue)
{
    wait_begins(queue);
    const cl_int result = below.clFinish(queue);
    wait_ends(queue);
    return result;
}

static cl_int CL_API_CALL our_clReleaseCommandQueue(cl_command_queue queue)
{
    flush(queue);
    return below.clReleaseCommandQueue(queue);
}

static cl_int CL_API_CALL our_clWaitForEvents(cl_uint n, const cl_event *events)
{
    cl_command_queue queue;
    for (cl_uint i = 0; events && i < n; i++)
        if (events[i] && !below.clGetEventInfo(events[i], CL_EVENT_COMMAND_QUEUE, sizeof queue, &queue, NULL))
            flush(queue);
    return below.clWaitForEvents(n, events);
}

static void take_places(void)
{
    ours.clEnqueueNDRangeKernel = our_clEnqueueNDRangeKernel;
    ours.clEnqueueTask = our_clEnqueueTask;
    ours.clEnqueueReadBuffer = our_clEnqueueReadBuffer;
    ours.clEnqueueWriteBuffer = our_clEnqueueWriteBuffer;
    ours.clEnqueueReadBufferRect = our_clEnqueueReadBufferRect;
    ours.clEnqueueWriteBufferRect = our_clEnqueueWriteBufferRect;
    ours.clEnqueueCopyBuffer = our_clEnqueueCopyBuffer;
    ours.clEnqueueCopyBufferRect = our_clEnqueueCopyBufferRect;
    ours.clEnqueueFillBuffer = our_clEnqueueFillBuffer;
    ours.clEnqueueMapBuffer = our_clEnqueueMapBuffer;
    ours.clEnqueueUnmapMemObject = our_clEnqueueUnmapMemObject;
    ours.clEnqueueMarkerWithWaitList = our_clEnqueueMarkerWithWaitList;
    ours.clEnqueueBarrierWithWaitList = our_clEnqueueBarrierWithWaitList;
    ours.clFlush = our_clFlush;
    ours.clFinish = our_clFinish;
    ours.clReleaseCommandQueue = our_clReleaseCommandQueue;
    ours.clWaitForEvents = our_clWaitForEvents;
}
