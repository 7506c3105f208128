/* The queues that the slices of one launch travel on, and the events that hold them together.
 *
 * A marker on the program's queue says when the launch may begin: when what it waits for is over, and in
 * an in-order queue everything before.  Slices go to companions of the queue, in turn, each running one
 * at a time; the first on each waits for the marker.  (Where all before is known to be over there is none.)
 * A barrier on the program's queue waits for the slices, so that what comes next there comes after them,
 * and is the event of the launch.  Where slices are yet to be sent, it waits for a user event in their
 * place, which is set when they are over: the program's queue needs nothing more, and whoever uses it need
 * not wait for the sender.
 *
 * Out-of-order queue: one companion, of its kind.  Each slice waits for the last but one, so that two run
 * at a time; the barrier is a marker, since the program's command would order nothing else.
 *
 * One at a time, where a device needs that (uses.h): each slice waits for the one before.
 *
 * A driver may call a program's callback inside our own calls, and that may enqueue on the same queue.
 * No slice is on that queue; but such a command must not get between the marker and the barrier, where it
 * would run beside slices.  While the marker is enqueued, another marker comes after the command; later the
 * barrier is enqueued at once, before the command. */
#ifndef GPUSPLIT_LANES_H
#define GPUSPLIT_LANES_H

#include "flights.h"
#include "queues.h"

/* A launch on its way to a queue, whose gate is held from begin to end. */
struct enqueueing {
    struct queue *queue;
    struct flight *flight;
    enum { LANES_MARK, LANES_SEND, LANES_JOIN } phase;
    bool disturbed; /* a command came meanwhile */
    uint64_t since; /* when it began to be sent, ns */
};

/* On how many companions the slices of a launch travel, and how many of a queue are in flight at most. */
unsigned lanes_wanted(const struct options *o, const struct queue *queue, const struct cut *cut);
unsigned lanes_in_flight(const struct options *o, unsigned lanes);

/* Whether slices may be sent when the call is back.  What comes next waits for a user event then, and for
 * that a thread of NVIDIA's driver spins, from the first one to the end of the process (580.159, H100). */
bool lanes_send_later(const struct queue *queue);

/* Begins a launch; false if the driver gives no marker, companion or memory, and then nothing happened. */
bool lanes_begin(struct enqueueing *e, struct queue *queue, unsigned lanes, unsigned bound,
                 const struct cut *cut, const struct shape *shape, handle kernel, unsigned n_wait,
                 const handle *wait_list);

/* Sends the next slice; who calls counts it. */
cl_int lanes_send(struct flight *flight);

/* The paper's way, where waits are the driver's: the driver waits for the oldest of `bound` slices before
 * the next is sent, inside the call.  That may be where the launch begins soon: else it may hang on an event
 * that the caller is yet to set, and all is to be sent at once, as it is after a slice that failed. */
bool lanes_begins(struct queue *queue, const struct flight *flight);
bool lanes_pace(struct flight *flight, unsigned bound);

/* No more slices are sent: what comes next waits for those that were. */
void lanes_stop(struct flight *flight);

/* Has the device begin with what was sent. */
void lanes_flush(struct flight *flight);

/* Ends the launch: what comes next on the queue waits for all of it, also for what is sent later, and so
 * does flight->end.  An error of the driver's: what comes next waits for what was sent, if it can. */
cl_int lanes_join(struct enqueueing *e);

/* Undoes a launch of which no slice was taken. */
void lanes_give_up(struct enqueueing *e);

/* Lets what waits for a launch that was sent later go on, with its result: it is over, or failed. */
void lanes_over(handle until, cl_int failure);

#endif
