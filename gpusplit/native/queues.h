/* Command queues: their companions, which slices go to as well, and who may enqueue. */
#ifndef GPUSPLIT_QUEUES_H
#define GPUSPLIT_QUEUES_H

#include <pthread.h>
#include <stdbool.h>

#include "device.h"
#include "objects.h"
#include "opencl.h"
#include "options.h"

/* A launch in slices that was not over when last looked at. */
struct span {
    unsigned slices;
    unsigned n_last, n_kept;
    handle last[MOST_LANES]; /* its last slices, which are held */
    handle *kept;            /* what else is held until it is over */
    struct span *next;
};

struct queue {
    struct object object;
    /* Held while a command is enqueued: none comes between the slices of a launch.  Nobody sleeps
     * under it. */
    pthread_mutex_t gate;
    bool sending;            /* slices are being enqueued by who holds the gate */
    _Atomic unsigned blocked; /* threads in a blocking command, which may be enqueued at any time */
    bool known;              /* the rest is asked for when first needed */
    bool plain;              /* nothing about it is special: it may have companions */
    bool out_of_order, profiled;
    handle context;
    struct device device;
    handle companions[MOST_LANES - 1];
    unsigned n_companions;
    struct span *first, **last; /* oldest first */
    unsigned in_flight;      /* slices of these */
};

/* The queue with its gate held; NULL if it is not known. */
struct queue *queue_enter(handle queue);
void queue_leave(struct queue *queue);

/* Around a blocking command, which must not hold the gate. */
struct queue *queue_block(handle queue);
void queue_unblock(struct queue *queue);

/* Asks the driver what the queue and its device are, once. */
void queue_ask(struct queue *queue);

/* Makes companions until there are so many, or the device gives no more; how many there are. */
unsigned queue_companions(struct queue *queue, unsigned wanted);

/* Forgets launches that are over. */
void queue_tidy(struct queue *queue);

/* Adds one that has just begun; the events are its own from now on. */
void queue_span(struct queue *queue, const handle *last, unsigned n_last, const handle *kept,
                unsigned n_kept, unsigned slices);

#endif
