#define _GNU_SOURCE
#include "queues.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "uses.h"

void queue_tidy(struct queue *queue)
{
    struct flight *gone = NULL;
    pthread_mutex_lock(&queue->lock);
    for (struct flight **at = &queue->first; *at;) {
        struct flight *flight = *at;
        if (!flight_over(flight)) {
            if (!queue->out_of_order)
                break; /* then later ones are not over either */
            at = &flight->next;
            continue;
        }
        *at = flight->next;
        if (!flight->next)
            queue->last = at;
        flight->next = gone;
        gone = flight;
    }
    pthread_mutex_unlock(&queue->lock);
    while (gone) {
        struct flight *next = gone->next;
        flight_free(gone);
        gone = next;
    }
}

unsigned queue_in_flight(struct queue *queue, unsigned most, bool *unsent)
{
    const struct flight *flight;
    unsigned n = 0;
    pthread_mutex_lock(&queue->lock);
    /* In order, whatever is sent before the newest is sent: a program may have thousands on their way. */
    flight = queue->first && !queue->out_of_order ? queue->newest : NULL;
    *unsent = flight && flight->n_sent < flight->n_parts;
    for (flight = queue->first; flight && (n < most || queue->out_of_order); flight = flight->next) {
        n += flight->n_sent - flight->n_done;
        *unsent = *unsent || flight->n_sent < flight->n_parts;
    }
    pthread_mutex_unlock(&queue->lock);
    return n;
}

void queue_flies(struct queue *queue, struct flight *flight)
{
    pthread_mutex_lock(&queue->lock);
    *queue->last = flight;
    queue->last = &flight->next;
    queue->newest = flight;
    pthread_mutex_unlock(&queue->lock);
}

/* Queues as the program makes them. */

static void queue_end(void *given)
{
    struct queue *queue = given;
    for (unsigned i = 0; i < queue->n_companions; i++)
        next_clReleaseCommandQueue(queue->companions[i]);
    if (queue->launch)
        next_clReleaseEvent(queue->launch);
    if (queue->nothing)
        next_clReleaseEvent(queue->nothing);
    flights_orphan(queue->first);
    pthread_mutex_destroy(&queue->lock);
    pthread_mutex_destroy(&queue->gate);
    free(queue);
}

static void made(handle handle_of, bool plain)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return;
    queue->plain = plain;
    queue->last = &queue->first;
    pthread_mutexattr_t again; /* a callback of the driver's may come back to us */
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&queue->gate, &again);
    pthread_mutexattr_destroy(&again);
    pthread_mutex_init(&queue->lock, NULL);
    object_keep(&queue->object, KIND_QUEUE, handle_of, queue_end);
}

handle our_clCreateCommandQueue(handle context, handle device, cl_bitfield properties, cl_int *error)
{
    handle queue = next_clCreateCommandQueue(context, device, properties, error);
    if (queue && may_split())
        made(queue, !(properties & ~(cl_bitfield)(CL_QUEUE_OUT_OF_ORDER | CL_QUEUE_PROFILING)));
    return queue;
}

handle our_clCreateCommandQueueWithProperties(handle context, handle device,
                                              const cl_bitfield *properties, cl_int *error)
{
    handle queue = next_clCreateCommandQueueWithProperties(context, device, properties, error);
    bool plain = true; /* priorities and the like would be a companion's, too */
    for (const cl_bitfield *p = properties; p && *p; p += 2)
        plain = plain && p[0] == CL_QUEUE_PROPERTIES &&
                !(p[1] & ~(cl_bitfield)(CL_QUEUE_OUT_OF_ORDER | CL_QUEUE_PROFILING));
    if (queue && may_split())
        made(queue, plain);
    return queue;
}

cl_int our_clRetainCommandQueue(handle queue)
{
    const cl_int result = next_clRetainCommandQueue(queue);
    if (result == CL_SUCCESS && followed())
        object_retained(KIND_QUEUE, queue);
    return result;
}

cl_int our_clReleaseCommandQueue(handle given)
{
    struct queue *queue = may_split() ? queue_enter(given) : NULL;
    if (queue) {
        queue_tidy(queue);
        queue_leave(queue);
        object_released(KIND_QUEUE, given);
        uses_tidy();
        flights_orphan(NULL);
    }
    return next_clReleaseCommandQueue(given);
}

cl_int our_clSetCommandQueueProperty(handle given, cl_bitfield properties, cl_uint enable,
                                     cl_bitfield *old)
{
    struct queue *queue = may_split() ? queue_enter(given) : NULL;
    const cl_int result = next_clSetCommandQueueProperty(given, properties, enable, old);
    if (queue) {
        queue->plain = false;
        queue_leave(queue);
    }
    return result;
}

/* Who may enqueue. */

struct queue *queue_lock(handle given)
{
    struct queue *queue = object_get(KIND_QUEUE, given);
    if (!queue)
        return NULL;
    pthread_mutex_lock(&queue->gate);
    if (queue->enqueueing)
        queue->between(queue);
    return queue;
}

struct queue *queue_enter(handle given)
{
    struct queue *queue = queue_lock(given);
    if (queue)
        queue->ends_with_launch = false;
    return queue;
}

void queue_ends_with(struct queue *queue, handle event)
{
    next_clRetainEvent(event);
    if (queue->launch)
        next_clReleaseEvent(queue->launch);
    queue->launch = event;
    queue->ends_with_launch = true;
}

handle queue_end_of(handle given)
{
    struct queue *queue = object_get(KIND_QUEUE, given);
    handle event = NULL;
    if (!queue)
        return NULL;
    pthread_mutex_lock(&queue->gate);
    if (queue->ends_with_launch && !queue->enqueueing)
        next_clRetainEvent(event = queue->launch);
    queue_leave(queue);
    return event;
}

bool queue_idle(const struct queue *queue)
{
    /* To ask is no synchronization point of OpenCL's, to wait is. */
    return queue->ends_with_launch && event_status(queue->launch) == CL_COMPLETE &&
           next_clWaitForEvents(1, &queue->launch) == CL_SUCCESS;
}

void queue_leave(struct queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_unlock(&queue->gate);
    object_drop(queue);
}

struct queue *queue_block(handle given)
{
    struct queue *queue = queue_enter(given);
    if (queue) {
        atomic_fetch_add(&queue->blocked, 1);
        pthread_mutex_unlock(&queue->gate);
    }
    return queue;
}

void queue_unblock(struct queue *queue)
{
    if (!queue)
        return;
    atomic_fetch_sub(&queue->blocked, 1);
    object_drop(queue);
}

void queue_ask(struct queue *queue)
{
    cl_bitfield properties = 0;
    handle device = NULL, of = queue->object.handle;
    if (queue->known)
        return;
    queue->known = true;
    if (next_clGetCommandQueueInfo(of, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL) ||
        next_clGetCommandQueueInfo(of, CL_QUEUE_CONTEXT, sizeof queue->context, &queue->context, NULL) ||
        next_clGetCommandQueueInfo(of, CL_QUEUE_DEVICE, sizeof device, &device, NULL)) {
        queue->plain = false;
        return;
    }
    queue->out_of_order = properties & CL_QUEUE_OUT_OF_ORDER;
    queue->profiled = properties & CL_QUEUE_PROFILING;
    device_ask(&queue->device, device);
}

unsigned queue_companions(struct queue *queue, unsigned wanted)
{
    const cl_bitfield properties = (queue->profiled ? CL_QUEUE_PROFILING : 0) |
                                   (queue->out_of_order ? CL_QUEUE_OUT_OF_ORDER : 0);
    cl_int error;
    while (queue->n_companions < wanted) {
        handle one = next_clCreateCommandQueue(queue->context, queue->device.handle, properties, &error);
        if (!one)
            break;
        queue->companions[queue->n_companions++] = one;
    }
    /* The first command of a companion.  It is no user event: for these NVIDIA's driver spins. */
    if (queue->out_of_order && queue->n_companions && !queue->nothing &&
        (next_clEnqueueMarkerWithWaitList(queue->companions[0], 0, NULL, &queue->nothing) != CL_SUCCESS ||
         next_clFlush(queue->companions[0]) != CL_SUCCESS))
        return 0;
    return queue->n_companions < wanted ? queue->n_companions : wanted;
}
