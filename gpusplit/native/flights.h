/* Launches on their way: what was sent of each, and what is yet to be. */
#ifndef GPUSPLIT_FLIGHTS_H
#define GPUSPLIT_FLIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "events.h"
#include "holds.h"
#include "opencl.h"
#include "options.h"
#include "split.h"

/* A launch in slices that was not over when last looked at.  Who sends has it for himself; the counts
 * are the queue's lock's once it is in the queue's list. */
struct flight {
    struct flight *next;
    struct cut cut;
    struct shape shape;
    uint64_t key;      /* tells its times from others' */
    handle kernel;
    bool copied;       /* the kernel is ours alone, and released with the last slice */
    struct hold *hold; /* what its arguments are, until then */
    unsigned n_lanes;  /* companions that it travels on */
    unsigned side;     /* so many slices run beside each other */
    handle lanes[MOST_LANES];
    bool out_of_order, one_at_a_time;
    bool keep;     /* all events are held until it is over */
    bool few_events; /* only the first and the last slices have one, so many as run beside each other */
    handle start;  /* the marker that says when it may begin; NULL: at once */
    handle until;  /* a user event, which the barrier waits for: NULL where it waits for slices */
    handle end;    /* the barrier's event; NULL: not held */
    struct stand *stand; /* what answers for the launch; NULL where nobody asks */
    unsigned n_parts, n_sent, n_done; /* slices: of the launch, sent, and the first that are over */
    unsigned bound;    /* slices in flight, while it is sent */
    unsigned n_flushed;
    cl_int failure;
    handle sent[]; /* the slices' events */
};

/* Whether what is before it is over. */
static inline bool flight_begins(const struct flight *flight)
{
    return !flight->start || event_status(flight->start) <= CL_COMPLETE;
}

/* How many of the last slices have to be over for all to be. */
static inline unsigned flight_ends(const struct flight *flight)
{
    return flight->n_sent < flight->side ? flight->n_sent : flight->side;
}

/* Counts slices that are over; one that failed ends the launch. */
void flight_look(struct flight *flight);

/* Whether nothing of it is left to be done or held for. */
bool flight_over(const struct flight *flight);

/* Lets go of it. */
void flight_free(struct flight *flight);

/* Takes a list of flights whose queue is gone: they are held for as long as they have to be.  NULL: looks
 * whether any is over by now. */
void flights_orphan(struct flight *list);

#endif
