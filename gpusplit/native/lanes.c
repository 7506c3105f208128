#include "lanes.h"

#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "options.h"

/* The first slices go out at once; later ones may travel in small batches, which costs less. */
#define FLUSH_FIRST 4
#define FLUSH_EVERY 4

cl_int lanes_begin(struct lanes *lanes, struct queue *queue, handle kernel, unsigned n_wait,
                   const handle *wait_list)
{
    const unsigned more = queue->out_of_order || !queue->plain ? 0 : options()->lanes - 1;
    lanes->queue = queue;
    lanes->kernel = kernel;
    lanes->n_wait = n_wait;
    lanes->wait_list = wait_list;
    lanes->n_sent = 0;
    lanes->queues[0] = queue->object.handle;
    const unsigned companions = queue_companions(queue, more);
    memcpy(lanes->queues + 1, queue->companions, companions * sizeof *lanes->queues);
    lanes->n_queues = companions + 1;
    lanes->after = calloc(n_wait + 1, sizeof *lanes->after);
    if (!lanes->after)
        return CL_OUT_OF_HOST_MEMORY;
    for (unsigned i = 0; i < n_wait; i++)
        lanes->after[i] = wait_list[i];
    return next_clEnqueueMarkerWithWaitList(lanes->queues[0], 0, NULL, &lanes->after[n_wait]);
}

void lanes_free(struct lanes *lanes)
{
    if (lanes->after && lanes->after[lanes->n_wait])
        next_clReleaseEvent(lanes->after[lanes->n_wait]);
    free(lanes->after);
}

cl_int lanes_send(struct lanes *lanes, const struct ndrange *part)
{
    const unsigned at = lanes->n_sent, lane = at % lanes->n_queues;
    unsigned n = 0;
    const handle *list = NULL;
    if (lanes->queue->device.one_at_a_time && at > 0) {
        n = 1;
        list = &lanes->sent[at - 1];
    } else if (lanes->queue->out_of_order && at >= 2) {
        n = 1;
        list = &lanes->sent[at - 2];
    } else if (lanes->queue->out_of_order || at == 0) {
        n = lanes->n_wait;
        list = lanes->wait_list;
    } else if (at == lane) { /* the first one on a companion */
        n = lanes->n_wait + 1;
        list = lanes->after;
    }
    const cl_int result =
        next_clEnqueueNDRangeKernel(lanes->queues[lane], lanes->kernel, part->dimensions, part->offset,
                                    part->global, part->has_local ? part->local : NULL, n,
                                    n ? list : NULL, &lanes->sent[at]);
    if (result != CL_SUCCESS)
        return result;
    lanes->n_sent++;
    /* The device is to begin now, not when all slices are enqueued. */
    if (lanes->n_sent <= FLUSH_FIRST || lanes->n_sent % FLUSH_EVERY == 0)
        next_clFlush(lanes->queues[lane]);
    return CL_SUCCESS;
}

/* The command that waits for the last slices, and its event. */
static cl_int hold_together(struct lanes *lanes, const handle *last, unsigned n_last, handle *event)
{
    handle queue = lanes->queues[0];
    if (lanes->queue->out_of_order)
        return next_clEnqueueMarkerWithWaitList(queue, n_last, last, event);
    if (lanes->n_queues == 1) {
        *event = last[0];
        return next_clRetainEvent(*event);
    }
    for (unsigned i = 1; i < lanes->n_queues; i++)
        next_clFlush(lanes->queues[i]);
    return next_clEnqueueBarrierWithWaitList(queue, n_last, last, event);
}

cl_int lanes_join(struct lanes *lanes, bool stands, handle *event)
{
    const unsigned n = lanes->n_sent, side = lanes->queue->out_of_order ? 2 : lanes->n_queues;
    const unsigned n_ends = n < side ? n : side;
    const handle *last = lanes->sent + n - n_ends;
    /* PoCL 3.1 aborts if a command fails whose event nobody holds. */
    const bool keep = lanes->queue->device.pocl;
    handle kept[MOST_IN_FLIGHT + 2];
    unsigned n_kept = 0;
    *event = NULL;
    const cl_int result = hold_together(lanes, last, n_ends, event);
    /* Companions wait for the marker, and nobody else will flush for them. */
    next_clFlush(lanes->queues[0]);
    if (result == CL_SUCCESS && stands)
        event_stands(*event, lanes->sent, n_ends, last, n_ends);
    /* The last ones tell when it is over. */
    for (unsigned i = 0; i < n - n_ends; i++) {
        if (keep)
            kept[n_kept++] = lanes->sent[i];
        else
            next_clReleaseEvent(lanes->sent[i]);
    }
    if (keep) {
        next_clRetainEvent(kept[n_kept++] = lanes->after[lanes->n_wait]);
        if (*event)
            next_clRetainEvent(kept[n_kept++] = *event);
    }
    queue_span(lanes->queue, last, n_ends, kept, n_kept, n);
    return result;
}
