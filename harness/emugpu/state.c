#include "state.h"

#include <math.h>
#include <stdlib.h>

struct emugpu emu;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Events to release below once the lock is open. */
static struct { cl_event *at; int n, cap; } dropped;

static void on_done(struct tl_command *tl)
{
    command_unref(tl->owner);
}

void state_init(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&emu.change, &attributes);
    pthread_condattr_destroy(&attributes);
    emu.timeline = tl_new(&emu.model);
    emu.timeline->on_done = on_done;
}

void state_lock(void)
{
    pthread_mutex_lock(&lock);
}

void state_unlock(void)
{
    cl_event *release = dropped.at;
    int n = dropped.n;
    dropped.at = NULL;
    dropped.n = dropped.cap = 0;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < n; i++)
        emu.next->clReleaseEvent(release[i]);
    free(release);
}

void state_sleep_until(double t)
{
    if (dropped.n) {
        /* Nobody may come to release these for a long time: rather look twice than keep them. */
        state_unlock();
        state_lock();
        return;
    }
    emu.waiting++;
    if (t == INFINITY) {
        pthread_cond_wait(&emu.change, &lock);
    } else {
        struct timespec until = clock_deadline(t);
        pthread_cond_timedwait(&emu.change, &lock, &until);
    }
    emu.waiting--;
}

void state_changed(void)
{
    if (emu.waiting == 0)
        return;
    atomic_fetch_add(&emu.changed, 1);
    pthread_cond_broadcast(&emu.change);
}

struct command *command_new(cl_event handle, cl_command_type type, struct queue *queue,
                            struct command_spec spec, double submitted, struct tl_command **after,
                            int n_after)
{
    struct command *c = calloc(1, sizeof *c);
    c->handle = handle;
    c->type = type;
    c->queue = queue ? queue->handle : NULL;
    c->profiled = queue && queue->profiled;
    c->refs = 1; /* the timeline's, dropped by on_done */
    table_put(&emu.commands, handle, c);
    c->tl = tl_add(emu.timeline, spec, submitted, after, n_after, c);
    return c;
}

struct command *command_of(cl_event handle)
{
    return table_get(&emu.commands, handle);
}

void command_ref(struct command *c)
{
    c->refs++;
}

void command_unref(struct command *c)
{
    if (--c->refs)
        return;
    table_remove(&emu.commands, c->handle);
    if (dropped.n == dropped.cap) {
        dropped.cap = dropped.cap ? 2 * dropped.cap : 8;
        dropped.at = realloc(dropped.at, dropped.cap * sizeof *dropped.at);
    }
    dropped.at[dropped.n++] = c->handle;
    tl_unref(c->tl);
    struct command *before = c->data_before;
    free(c);
    if (before)
        command_unref(before);
}

struct command *command_shadow(struct command *c)
{
    if (c->type == CL_COMMAND_USER)
        return NULL;
    return c->empty ? c->data_before : c;
}

/* 0 if what really happens for the command is complete, CL_RUNNING if not, or a negative error. */
static cl_int shadow_status(struct command *c)
{
    struct command *shadow = command_shadow(c);
    if (!shadow || shadow->shadow_done)
        return CL_COMPLETE;
    cl_int status = CL_QUEUED;
    emu.next->clGetEventInfo(shadow->handle, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                             NULL);
    shadow->shadow_done = status == CL_COMPLETE;
    return status > CL_COMPLETE ? CL_RUNNING : status;
}

cl_int command_status(struct command *c)
{
    double now = clock_now();
    tl_advance(emu.timeline, now);
    struct tl_command *tl = c->tl;
    if (tl->state == STATE_DONE) {
        if (tl->error)
            return tl->error;
        return shadow_status(c);
    }
    switch (tl->state) {
    case STATE_HELD:
        return c->type == CL_COMMAND_USER ? CL_SUBMITTED : CL_QUEUED;
    case STATE_READY:
    case STATE_WAITING:
        return CL_SUBMITTED;
    default:
        return CL_RUNNING;
    }
}

void queue_new(cl_command_queue handle, cl_command_queue_properties properties)
{
    struct queue *q = calloc(1, sizeof *q);
    q->handle = handle;
    q->app_refs = 1;
    q->out_of_order = properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    q->profiled = properties & CL_QUEUE_PROFILING_ENABLE;
    table_put(&emu.queues, handle, q);
}

struct queue *queue_of(cl_command_queue handle)
{
    return table_get(&emu.queues, handle);
}

void queue_free(struct queue *q)
{
    table_remove(&emu.queues, q->handle);
    if (q->last)
        command_unref(q->last);
    if (q->last_data)
        command_unref(q->last_data);
    for (int i = 0; i < q->n_pending; i++)
        command_unref(q->pending[i]);
    free(q->pending);
    free(q);
}

static void forget_done(struct queue *q)
{
    int kept = 0;
    for (int i = 0; i < q->n_pending; i++)
        if (q->pending[i]->tl->state == STATE_DONE)
            command_unref(q->pending[i]);
        else
            q->pending[kept++] = q->pending[i];
    q->n_pending = kept;
}

void queue_push(struct queue *q, struct command *c, bool is_barrier)
{
    if (!q->out_of_order || is_barrier) {
        command_ref(c);
        if (q->last)
            command_unref(q->last);
        q->last = c;
    }
    if (!q->out_of_order && !c->empty) {
        command_ref(c);
        if (q->last_data)
            command_unref(q->last_data);
        q->last_data = c;
    }
    if (!q->out_of_order)
        return;
    if (q->n_pending == q->cap_pending) {
        forget_done(q);
        if (2 * q->n_pending >= q->cap_pending) {
            q->cap_pending = q->cap_pending ? 2 * q->cap_pending : 16;
            q->pending = realloc(q->pending, q->cap_pending * sizeof *q->pending);
        }
    }
    command_ref(c);
    q->pending[q->n_pending++] = c;
}

struct command *queue_data(struct queue *q)
{
    if (q->last_data && shadow_status(q->last_data) == CL_COMPLETE) {
        command_unref(q->last_data);
        q->last_data = NULL;
    }
    return q->last_data;
}

struct command *const *queue_tail(struct queue *q, bool all, int *n)
{
    if (q->out_of_order && all) {
        forget_done(q);
        *n = q->n_pending;
        return q->pending;
    }
    *n = q->last != NULL;
    return &q->last;
}
