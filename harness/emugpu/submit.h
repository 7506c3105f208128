/* The way of every command into the queue, the same for all enqueue functions. */
#ifndef EMUGPU_SUBMIT_H
#define EMUGPU_SUBMIT_H

#include "state.h"

struct submission {
    struct queue *queue;
    double queued, submitted;
    cl_event shadow; /* the enqueue function has the implementation below fill it */
};

/* False if the queue isn't the emulated GPU's: the call is passed on as it is. True takes the lock,
 * which submit_end() opens: commands reach the timeline and the queue below in the same order. */
bool submit_begin(struct submission *s, cl_command_queue queue);

enum submit_flags {
    SUBMIT_BLOCKING = 1,
    SUBMIT_BARRIER = 2, /* later commands of an out-of-order queue wait for it */
    SUBMIT_EMPTY = 8,   /* the shadow only keeps the order */
    SUBMIT_ALL = 4,     /* with an empty wait list it waits for everything before it */
};

/* `error` is what enqueueing the shadow returned; an error goes back to the program and nothing
 * happened. Otherwise the command enters the timeline and, if blocking, is waited for. */
cl_int submit_end(struct submission *s, cl_int error, cl_command_type type, struct command_spec spec,
                  unsigned flags, cl_uint n_wait, const cl_event *wait, cl_event *event);

struct command_spec spec_marker(void);
struct command_spec spec_transfer(enum transfer_path path, double bytes);
/* Mapping brings the data to the host unless the program says that it will overwrite them all; a map
 * for writing (at `at`, not NULL) is remembered, and its unmapping sends the data back. */
struct command_spec spec_map(cl_mem mem, cl_map_flags flags, void *at, double bytes);

#endif
