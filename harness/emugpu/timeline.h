/* The device's own timeline: commands, what each waits for, and when each starts and ends.
 *
 * It is a discrete-event simulation that is advanced lazily: whoever wants to know something says
 * what time it is, and everything that the modelled GPU did until then is worked out on the spot. So
 * a command ends at its modelled time even when no thread of this process had a CPU then, and a
 * running kernel costs no CPU. There is no clock and no lock in here; tests drive it through virtual
 * time, the layer (state.c) with the monotonic clock and under its lock.
 *
 * A predicted end holds until a command is added or a user event is set: whoever sleeps until it must be
 * told then (a kernel that is delayed can let another one end earlier). */
#ifndef EMUGPU_TIMELINE_H
#define EMUGPU_TIMELINE_H

#include <stdbool.h>

#include "engine.h"
#include "model.h"

enum command_kind {
    KIND_MARKER,   /* takes no time: markers, barriers, native kernels */
    KIND_KERNEL,
    KIND_TRANSFER,
    KIND_USER,     /* ends when the program says so */
};

enum command_state {
    STATE_HELD,    /* waits for others */
    STATE_READY,   /* starts at `ready` if its engine is free */
    STATE_WAITING, /* its engine is busy */
    STATE_RUNNING,
    STATE_DRAINING, /* a kernel whose work-groups have left the slots: only stragglers run */
    STATE_DONE,
};

struct command_spec {
    enum command_kind kind;
    struct work work;        /* kernels */
    enum transfer_path path; /* transfers */
    double transfer_ns;
};

struct tl_command {
    struct command_spec spec;
    enum command_state state;
    double ready, start, end; /* start is known when running, end when draining or done */
    int error;                /* not 0: it was abandoned because what it waited for failed */

    void *owner; /* the layer's object; see timeline.on_done */
    int refs;

    int waits_for; /* how many unfinished commands */
    struct tl_command **followers;
    int n_followers, cap_followers;

    struct kernel_run run; /* engine.c's */
    int index;             /* in timeline.all */
    double predicted_start, predicted; /* cached, good while predicted_at equals timeline.version */
    unsigned long predicted_at;
};

struct command_list {
    struct tl_command **at;
    int n, cap;
};

struct timeline {
    const struct model *model;
    double now; /* of the last event worked out */
    unsigned long version; /* grows with every change that may move a predicted end */
    struct command_list all;     /* everything not done */
    struct command_list ready;   /* state READY */
    struct command_list draining;
    struct command_list launching; /* kernels in the front end, in order */
    double front_end_free;
    struct command_list transfers[PATH_COUNT]; /* [0] runs, the others wait, first come first served */
    struct engine engine;
    /* Called once for each command that ends, if set. */
    void (*on_done)(struct tl_command *);
};

struct timeline *tl_new(const struct model *model);
void tl_free(struct timeline *tl); /* with all commands that are not done */

/* Adds a command that was submitted at `submitted` and waits for all of `after`. The caller owns one
 * reference to what is returned. */
struct tl_command *tl_add(struct timeline *tl, struct command_spec spec, double submitted,
                          struct tl_command *const *after, int n_after, void *owner);

/* Ends a user event; error is 0 or negative. */
void tl_set_user(struct timeline *tl, struct tl_command *user, double now, int error);

/* Works out all that happened until `now`. */
void tl_advance(struct timeline *tl, double now);

/* When the command will end if nothing is added; INFINITY while it hangs on a user event. Its start goes
 * to c->predicted_start. */
double tl_predict(struct timeline *tl, struct tl_command *c);

/* For predict.c: works out events until `until`, or until `target` is done if one is given. */
void tl_run(struct timeline *tl, double until, const struct tl_command *target);

void tl_ref(struct tl_command *c);
void tl_unref(struct tl_command *c);

#endif
