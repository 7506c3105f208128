/* The queues that the slices of one launch travel on, and the events that hold them together.
 *
 * In-order queue: a marker on it says when everything before is over; the first slice on each companion
 * waits for that.  Slices go to the queues in turn, each queue running one at a time.  A barrier on the
 * program's queue waits for all, so that what comes next there comes after all slices, and is the event
 * of the launch.
 *
 * Out-of-order queue: all slices go to it; each waits for the last but one, so that two run at a time.
 * Nothing else is ordered, since the program's command would not be.
 *
 * One at a time, where a device needs that (uses.h): each slice waits for the one before. */
#ifndef GPUSPLIT_LANES_H
#define GPUSPLIT_LANES_H

#include "queues.h"
#include "split.h"

struct lanes {
    struct queue *queue;
    handle kernel;
    unsigned n_queues, n_wait;
    handle queues[MOST_LANES];
    const handle *wait_list; /* what the launch waits for; the last one is the marker */
    handle *after;           /* the same with the marker, n_wait + 1 */
    unsigned n_sent;
    handle sent[MOST_IN_FLIGHT];
};

/* Begins a launch; an error if the driver gives no marker. */
cl_int lanes_begin(struct lanes *lanes, struct queue *queue, handle kernel, unsigned n_wait,
                   const handle *wait_list);

/* Sends one slice. */
cl_int lanes_send(struct lanes *lanes, const struct ndrange *part);

/* Ends the launch: what comes next on the queue waits for all that was sent.  *event is over then, and the
 * caller's to release.  stands: the program gets it, and it answers for the launch. */
cl_int lanes_join(struct lanes *lanes, bool stands, handle *event);

/* Frees what the lanes hold, but for what goes on. */
void lanes_free(struct lanes *lanes);

#endif
