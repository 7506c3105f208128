/* Command queues: their companions, which slices go to as well, and who may enqueue. */
#ifndef GPUSPLIT_QUEUES_H
#define GPUSPLIT_QUEUES_H

#include <pthread.h>
#include <stdbool.h>

#include "device.h"
#include "flights.h"
#include "objects.h"
#include "opencl.h"

struct queue {
    struct object object;
    /* Held while a command is enqueued: none comes between the slices of a launch.  Nobody sleeps
     * under it, but with the driver's waits (lanes_pace). */
    pthread_mutex_t gate;
    /* A launch is being enqueued by who holds the gate: to be called before another command, which a
     * callback of the driver's enqueues in the middle of it. */
    void (*between)(struct queue *queue);
    struct enqueueing *enqueueing;
    _Atomic unsigned blocked; /* threads in a blocking command, which may be enqueued at any time */
    bool known;              /* the rest is asked for when first needed */
    bool plain;              /* nothing about it is special: it may have companions */
    bool out_of_order, profiled;
    handle context;
    struct device device;
    handle companions[MOST_LANES];
    unsigned n_companions;
    handle nothing;          /* out of order: the event of a command that waited for nothing */
    handle launch;           /* in order: the event of the last launch in slices */
    bool ends_with_launch;   /* nothing was enqueued since */
    pthread_mutex_t lock;         /* of what follows: never held while something is enqueued */
    struct flight *first, **last; /* oldest first */
    struct flight *newest;        /* while there is any */
    bool sender;                  /* a thread sends what is yet to be sent */
};

/* The queue with its gate held; NULL if it is not known.  enter: for something to be enqueued. */
struct queue *queue_lock(handle queue);
struct queue *queue_enter(handle queue);
void queue_leave(struct queue *queue);

/* The event of a launch, which was enqueued last and comes after all before.  It is held until another takes
 * its place. */
void queue_ends_with(struct queue *queue, handle event);

/* That event, retained, if nothing was enqueued since; else NULL. */
handle queue_end_of(handle queue);

/* Whether all that was ever enqueued is known to be over; with the gate held. */
bool queue_idle(const struct queue *queue);

/* Around a blocking command, which must not hold the gate. */
struct queue *queue_block(handle queue);
void queue_unblock(struct queue *queue);

/* Asks the driver what the queue and its device are, once. */
void queue_ask(struct queue *queue);

/* Makes companions until there are so many, or the device gives no more; how many there are. */
unsigned queue_companions(struct queue *queue, unsigned wanted);

/* Forgets launches that are over. */
void queue_tidy(struct queue *queue);

/* Slices that were sent and were not over when last looked at, `most` or more where there are so many;
 * *unsent: a launch has more to send. */
unsigned queue_in_flight(struct queue *queue, unsigned most, bool *unsent);

/* Adds a launch that has begun; it is the queue's from now on. */
void queue_flies(struct queue *queue, struct flight *flight);

#endif
