#define _GNU_SOURCE
#include "lanes.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

/* So many slices of a lane travel together at most. */
#define BATCH 16
/* Markers that are tried, should a command come each time. */
#define MOST_MARKERS 8
/* So long a launch may take to begin before its slices are all sent at once, ns. */
#define PATIENCE 200000000

unsigned lanes_wanted(const struct options *o, const struct queue *queue, const struct cut *cut)
{
    if (queue->out_of_order)
        return 1;
    return o->more_lanes && queue->device.gpu ? split_side_by_side(cut, queue->device.units, MOST_LANES)
                                              : o->lanes;
}

unsigned lanes_in_flight(const struct options *o, unsigned lanes)
{
    if (o->in_flight)
        return o->in_flight;
    return o->sleeps ? LANE_IN_FLIGHT * lanes : 1; /* 1: the paper's way */
}

bool lanes_send_later(const struct queue *queue)
{
    return !queue->device.nvidia;
}

static cl_int mark(const struct queue *queue, struct flight *flight, unsigned n_wait,
                   const handle *wait_list)
{
    if (n_wait == 0 && queue_idle(queue))
        return CL_SUCCESS; /* it begins at once */
    if (queue->out_of_order && n_wait == 0) {
        /* Behind a barrier of the program's, but without a list it would wait for all that is before. */
        n_wait = 1;
        wait_list = &queue->nothing;
    }
    return next_clEnqueueMarkerWithWaitList(queue->object.handle, n_wait, wait_list, &flight->start);
}

/* The command that waits for the launch, by its last slices or by `until`. */
static cl_int hold_together(const struct enqueueing *e, handle *event)
{
    struct flight *flight = e->flight;
    const unsigned n = flight->until ? 1 : flight_ends(flight);
    const handle *list = flight->until ? &flight->until : flight->sent + flight->n_sent - n;
    return (flight->out_of_order ? next_clEnqueueMarkerWithWaitList : next_clEnqueueBarrierWithWaitList)(
        e->queue->object.handle, n, list, event);
}

/* The barrier, before slices that it waits for are sent. */
static cl_int close_early(struct enqueueing *e)
{
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    struct flight *flight = e->flight;
    flight->until = next_clCreateUserEvent(e->queue->context, &error);
    if (!flight->until)
        return error;
    e->phase = LANES_JOIN;
    error = hold_together(e, &flight->end);
    e->phase = LANES_SEND;
    if (error != CL_SUCCESS) {
        next_clReleaseEvent(flight->until);
        flight->until = NULL;
    }
    return error;
}

/* A callback in the middle of the launch enqueues a command. */
static void between(struct queue *queue)
{
    struct enqueueing *e = queue->enqueueing;
    e->disturbed = true;
    if (e->phase == LANES_MARK)
        return;
    if (queue->out_of_order)
        return; /* nothing is ordered but by events */
    else if (e->phase == LANES_JOIN)
        hold_together(e, NULL);
    else if (!e->flight->until)
        close_early(e);
}

bool lanes_begin(struct enqueueing *e, struct queue *queue, unsigned lanes, unsigned bound,
                 const struct cut *cut, const struct shape *shape, handle kernel, unsigned n_wait,
                 const handle *wait_list)
{
    const unsigned n = queue_companions(queue, lanes);
    struct flight *flight = n ? calloc(1, sizeof *flight + cut->parts * sizeof *flight->sent) : NULL;
    if (!flight)
        return false;
    flight->cut = *cut;
    flight->shape = *shape;
    flight->kernel = kernel;
    flight->n_parts = (unsigned)cut->parts;
    flight->n_lanes = n;
    memcpy(flight->lanes, queue->companions, n * sizeof *flight->lanes);
    flight->out_of_order = queue->out_of_order;
    flight->one_at_a_time = queue->device.one_at_a_time;
    flight->keep = queue->device.pocl;
    flight->bound = bound;
    flight->side = queue->out_of_order ? 2 : n;
    *e = (struct enqueueing){ queue, flight, LANES_MARK, false, engine_now() };
    queue->enqueueing = e;
    queue->between = between;
    for (unsigned i = 0; i < MOST_MARKERS; i++) {
        e->disturbed = false;
        if (mark(queue, flight, n_wait, wait_list) != CL_SUCCESS)
            break;
        if (!e->disturbed) {
            e->phase = LANES_SEND;
            /* Companions wait for it, and nobody else may flush for them. */
            if (flight->start)
                next_clFlush(queue->object.handle);
            return true;
        }
        if (flight->start)
            next_clReleaseEvent(flight->start);
        flight->start = NULL;
    }
    lanes_give_up(e);
    return false;
}

void lanes_give_up(struct enqueueing *e)
{
    struct flight *flight = e->flight;
    const handle until = flight->until;
    e->queue->enqueueing = NULL;
    flight->until = NULL;
    flight_free(flight);
    if (until)
        lanes_over(until, CL_SUCCESS);
}

void lanes_flush(struct flight *flight)
{
    if (flight->n_flushed == flight->n_sent)
        return;
    for (unsigned i = 0; i < flight->n_lanes; i++)
        next_clFlush(flight->lanes[i]);
    flight->n_flushed = flight->n_sent;
}

cl_int lanes_send(struct flight *flight)
{
    const unsigned at = flight->n_sent, lane = at % flight->n_lanes;
    const handle *after = NULL; /* what it waits for, besides the order of its queue */
    if (flight->one_at_a_time && at > 0)
        after = &flight->sent[at - 1];
    else if (flight->out_of_order)
        after = at >= 2 ? &flight->sent[at - 2] : flight->start ? &flight->start : NULL;
    else if (at == lane && flight->start) /* the first one on a companion */
        after = &flight->start;
    const bool told = !flight->few_events || at < flight->side || at + flight->side >= flight->n_parts;
    const struct ndrange part = split_shaped(&flight->shape, split_part(&flight->cut, at));
    const cl_int result = next_clEnqueueNDRangeKernel(
        flight->lanes[lane], flight->kernel, part.dimensions, part.offset, part.global,
        part.has_local ? part.local : NULL, after ? 1 : 0, after, told ? &flight->sent[at] : NULL);
    if (result != CL_SUCCESS)
        return result;
    /* The device is to begin now, not when all slices are enqueued, and never to wait for one: who sends them
     * may lose the CPU.  Larger batches cost less, and may be larger when there is more before them. */
    const unsigned of_lane = at / flight->n_lanes;
    if (of_lane % BATCH == 0 || of_lane == 1 || of_lane == BATCH / 4)
        next_clFlush(flight->lanes[lane]);
    return CL_SUCCESS;
}

void lanes_stop(struct flight *flight)
{
    flight->n_parts = flight->n_sent;
    for (unsigned i = flight->n_sent - flight_ends(flight); i < flight->n_sent; i++)
        if (!flight->sent[i])
            next_clEnqueueMarkerWithWaitList(flight->lanes[i % flight->n_lanes], 0, NULL, &flight->sent[i]);
}

bool lanes_begins(struct queue *queue, const struct flight *flight)
{
    /* Those before it on the queue are waited for as the driver waits, if they have begun. */
    for (struct flight *before = queue->first; before; before = before->next) {
        const unsigned n = flight_ends(before);
        if (!flight_begins(before))
            return false;
        if (n)
            next_clWaitForEvents(n, before->sent + before->n_sent - n);
    }
    const uint64_t until = engine_now() + PATIENCE;
    while (!flight_begins(flight)) {
        if (engine_now() > until)
            return false;
        nanosleep(&(struct timespec){ 0, 50000 }, NULL);
    }
    return true;
}

bool lanes_pace(struct flight *flight, unsigned bound)
{
    lanes_flush(flight);
    flight->n_done += (bound + 1) / 2;
    return next_clWaitForEvents(1, &flight->sent[flight->n_done - 1]) == CL_SUCCESS;
}

cl_int lanes_join(struct enqueueing *e)
{
    struct flight *flight = e->flight;
    cl_int result = CL_SUCCESS;
    e->queue->ends_with_launch = false; /* whatever comes of this one */
    lanes_flush(flight);
    if (flight->n_sent < flight->n_parts && !flight->until) {
        result = close_early(e);
        if (result != CL_SUCCESS)
            lanes_stop(flight);
    }
    if (!flight->until) {
        e->phase = LANES_JOIN;
        const cl_int joined = hold_together(e, &flight->end);
        result = result == CL_SUCCESS ? joined : result;
    }
    next_clFlush(e->queue->object.handle);
    e->queue->enqueueing = NULL;
    if (!flight->out_of_order && !e->disturbed && flight->end)
        queue_ends_with(e->queue, flight->end);
    return result;
}

void lanes_over(handle until, cl_int failure)
{
    next_clSetUserEventStatus(until, failure < CL_COMPLETE ? failure : CL_COMPLETE);
    next_clReleaseEvent(until);
}
