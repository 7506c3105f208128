#define _GNU_SOURCE
#include "queues.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "uses.h"

/* Launches whose queue is gone, though they were not over (PoCL aborts if a command fails whose event
 * nobody holds). */
static struct span *orphans;
static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;

static bool over(const struct span *span)
{
    for (unsigned i = 0; i < span->n_last; i++)
        if (event_status(span->last[i]) > CL_COMPLETE)
            return false;
    for (unsigned i = 0; i < span->n_kept; i++)
        if (event_status(span->kept[i]) > CL_COMPLETE)
            return false;
    return true;
}

static void span_free(struct span *span)
{
    for (unsigned i = 0; i < span->n_last; i++)
        next_clReleaseEvent(span->last[i]);
    for (unsigned i = 0; i < span->n_kept; i++)
        next_clReleaseEvent(span->kept[i]);
    free(span->kept);
    free(span);
}

static void tidy_orphans(struct span *more)
{
    pthread_mutex_lock(&orphans_lock);
    while (more) {
        struct span *next = more->next;
        more->next = orphans;
        orphans = more;
        more = next;
    }
    for (struct span **at = &orphans; *at;) {
        struct span *span = *at;
        if (!over(span) && span->n_kept) {
            at = &span->next;
            continue;
        }
        *at = span->next;
        span_free(span);
    }
    pthread_mutex_unlock(&orphans_lock);
}

void queue_tidy(struct queue *queue)
{
    while (queue->first && over(queue->first)) {
        struct span *span = queue->first;
        queue->first = span->next;
        if (!queue->first)
            queue->last = &queue->first;
        queue->in_flight -= span->slices;
        span_free(span);
    }
}

void queue_span(struct queue *queue, const handle *last, unsigned n_last, const handle *kept,
                unsigned n_kept, unsigned slices)
{
    struct span *span = calloc(1, sizeof *span);
    handle *copy = n_kept ? malloc(n_kept * sizeof *copy) : NULL;
    if (!span || (n_kept && !copy)) { /* then they are held for ever, which harms least */
        free(span);
        free(copy);
        return;
    }
    if (n_kept)
        memcpy(copy, kept, n_kept * sizeof *copy);
    memcpy(span->last, last, n_last * sizeof *last);
    span->slices = slices;
    span->n_last = n_last;
    span->n_kept = n_kept;
    span->kept = copy;
    *queue->last = span;
    queue->last = &span->next;
    queue->in_flight += slices;
}

/* Queues as the program makes them. */

static void queue_end(void *given)
{
    struct queue *queue = given;
    for (unsigned i = 0; i < queue->n_companions; i++)
        next_clReleaseCommandQueue(queue->companions[i]);
    tidy_orphans(queue->first);
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
    object_keep(&queue->object, KIND_QUEUE, handle_of, queue_end);
}

handle our_clCreateCommandQueue(handle context, handle device, cl_bitfield properties, cl_int *error)
{
    handle queue = next_clCreateCommandQueue(context, device, properties, error);
    if (queue && splitting())
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
    if (queue && splitting())
        made(queue, plain);
    return queue;
}

cl_int our_clRetainCommandQueue(handle queue)
{
    const cl_int result = next_clRetainCommandQueue(queue);
    if (result == CL_SUCCESS && splitting())
        object_retained(KIND_QUEUE, queue);
    return result;
}

cl_int our_clReleaseCommandQueue(handle given)
{
    struct queue *queue = splitting() ? queue_enter(given) : NULL;
    if (queue) {
        queue_tidy(queue);
        queue_leave(queue);
        object_released(KIND_QUEUE, given);
        uses_tidy();
        tidy_orphans(NULL);
    }
    return next_clReleaseCommandQueue(given);
}

cl_int our_clSetCommandQueueProperty(handle given, cl_bitfield properties, cl_uint enable,
                                     cl_bitfield *old)
{
    struct queue *queue = splitting() ? queue_enter(given) : NULL;
    const cl_int result = next_clSetCommandQueueProperty(given, properties, enable, old);
    if (queue) {
        queue->plain = false;
        queue_leave(queue);
    }
    return result;
}

/* Who may enqueue. */

struct queue *queue_enter(handle given)
{
    struct queue *queue = object_get(KIND_QUEUE, given);
    if (queue)
        pthread_mutex_lock(&queue->gate);
    return queue;
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
    const cl_bitfield properties = queue->profiled ? CL_QUEUE_PROFILING : 0;
    cl_int error;
    while (queue->n_companions < wanted) {
        handle one = next_clCreateCommandQueue(queue->context, queue->device.handle, properties, &error);
        if (!one)
            break;
        queue->companions[queue->n_companions++] = one;
    }
    return queue->n_companions < wanted ? queue->n_companions : wanted;
}
