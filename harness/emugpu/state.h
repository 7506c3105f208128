/* What the layer knows: its settings, the timeline, and the queues and commands of the emulated GPU,
 * found by the OpenCL handles that the program holds.
 *
 * Every command of the program also goes to the OpenCL implementation below, at once and in the same
 * order (a "shadow"), and the program's event *is* the shadow's event. So any function that this layer
 * doesn't know can be given our events, and reference counts, contexts and queues need no imitation.
 * A command is complete when its modelled end has passed and its shadow is complete. */
#ifndef EMUGPU_STATE_H
#define EMUGPU_STATE_H

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "clock.h"
#include "model.h"
#include "settings.h"
#include "table.h"
#include "timeline.h"

struct callback {
    struct callback *next;
    cl_int status;
    void(CL_CALLBACK *function)(cl_event, cl_int, void *);
    void *data;
};

struct command {
    cl_event handle;
    cl_command_queue queue; /* NULL for user events */
    cl_command_type type;
    struct tl_command *tl;
    double queued, submitted;
    bool profiled;
    bool shadow_done;
    /* EMUGPU_EXEC=none: the shadow of a launch computes nothing, and its completion, which needs a
     * thread of the implementation below to be scheduled, says nothing. What has to be complete is the
     * last command before it that does move data, if there is one; then `empty` is set. */
    bool empty;
    struct command *data_before;
    int refs;     /* all holders: the program, the timeline, the queue, waiting threads */
    int app_refs; /* the program's alone */
    struct callback *callbacks;
};

struct queue {
    cl_command_queue handle;
    bool out_of_order, profiled;
    int app_refs;
    struct command *last;     /* in order: the last command; out of order: the last barrier */
    struct command *last_data; /* in order: the last whose shadow moves or computes data, or NULL */
    struct command **pending; /* out of order: commands that were not done when last looked at */
    int n_pending, cap_pending;
};

struct emugpu {
    struct model model;
    bool execute; /* EMUGPU_EXEC=full */
    double scale;
    char said[SETTINGS_SAID];
    const cl_icd_dispatch *next; /* the implementation below */
    struct timeline *timeline;
    struct table commands; /* by cl_event */
    struct table queues;   /* by cl_command_queue */
    int waiting;           /* threads that wait for a predicted end */
    unsigned long spins;   /* waits that came to burn the CPU */
    atomic_ulong changed;  /* grows when predicted ends may have moved: waiting threads look again */
    pthread_cond_t change; /* the same for threads that sleep */
};

extern struct emugpu emu;

void state_init(void);
void state_lock(void);
/* Also releases below what was dropped meanwhile: a release can call back into the program, which may
 * call us, so it is never done under the lock. */
void state_unlock(void);
/* Under the lock, which is open meanwhile: sleeps until t or state_changed(), or wakes early. */
void state_sleep_until(double t);
/* Under the lock: predicted ends may have moved; has every waiting thread look again. */
void state_changed(void);

/* All of the following need the lock. */

struct command *command_new(cl_event handle, cl_command_type type, struct queue *queue,
                            struct command_spec spec, double submitted, struct tl_command **after,
                            int n_after);
struct command *command_of(cl_event handle); /* NULL if it isn't ours */
void command_ref(struct command *c);
void command_unref(struct command *c);
/* The shadow that has to be complete for the command to be: its own, another's, or none (NULL). */
struct command *command_shadow(struct command *c);
/* As clGetEventInfo reports it: complete only when the shadow is complete too. Advances time. */
cl_int command_status(struct command *c);

void queue_new(cl_command_queue handle, cl_command_queue_properties properties);
struct queue *queue_of(cl_command_queue handle);
void queue_free(struct queue *q);
/* Remembers a command in its queue. */
void queue_push(struct queue *q, struct command *c, bool is_barrier);
/* In order: the last command with data whose shadow isn't complete yet, or NULL. */
struct command *queue_data(struct queue *q);
/* What the next command, or a barrier or marker (`all`), has to wait for. Points into the queue. */
struct command *const *queue_tail(struct queue *q, bool all, int *n);

/* Waits as the modelled driver does; takes the lock itself. The result is 0 or a negative error. The
 * caller holds a reference on c. */
cl_int wait_for_command(struct command *c);

#endif
