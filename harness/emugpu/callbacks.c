/* Event callbacks, called by a helper thread at the modelled times. The thread exists only once a
 * program has registered a callback, and sleeps between them. */
#include <math.h>
#include <stdlib.h>

#include "layer.h"

/* Commands with callbacks still to call; each holds a reference. Under the lock. */
static struct { struct command **at; int n, cap; } watched;
static bool running;

/* One callback that is due, taken from its command. */
static struct callback *take_due(struct command *c, cl_int status)
{
    for (struct callback **link = &c->callbacks; *link; link = &(*link)->next) {
        struct callback *callback = *link;
        if (status <= callback->status) {
            *link = callback->next;
            return callback;
        }
    }
    return NULL;
}

/* When a callback of the command may next be due. One for CL_SUBMITTED waits for the start, too: the
 * time between the two is of no use to a program. */
static double next_due(struct command *c)
{
    double end = tl_predict(emu.timeline, c->tl);
    bool started = c->tl->state == STATE_RUNNING || c->tl->state == STATE_DRAINING;
    for (struct callback *callback = c->callbacks; callback; callback = callback->next)
        if (callback->status != CL_COMPLETE && !started)
            return c->tl->predicted_start;
    return end;
}

static void *call_back(void *unused)
{
    (void)unused;
    state_lock();
    for (;;) {
        double next = INFINITY;
        bool called = false;
        for (int i = 0; i < watched.n && !called; i++) {
            struct command *c = watched.at[i];
            cl_int status = command_status(c);
            if (c->tl->state == STATE_DONE && status > CL_COMPLETE) {
                /* Real execution is late. */
                struct command *shadow = command_shadow(c);
                command_ref(shadow);
                state_unlock();
                emu.next->clWaitForEvents(1, &shadow->handle);
                state_lock();
                command_unref(shadow);
                called = true;
                break;
            }
            struct callback *callback = take_due(c, status);
            if (!callback) {
                next = fmin(next, next_due(c));
                continue;
            }
            called = true;
            if (!c->callbacks)
                watched.at[i] = watched.at[--watched.n];
            else
                command_ref(c);
            state_unlock();
            callback->function(c->handle, status < 0 ? status : callback->status, callback->data);
            free(callback);
            state_lock();
            command_unref(c);
        }
        if (called)
            continue; /* anything may have changed meanwhile */
        state_sleep_until(next);
    }
    return NULL;
}

static cl_int CL_API_CALL emu_clSetEventCallback(cl_event handle, cl_int status,
                                                 void(CL_CALLBACK *function)(cl_event, cl_int, void *),
                                                 void *data)
{
    state_lock();
    struct command *c = command_of(handle);
    if (!c) {
        state_unlock();
        return emu.next->clSetEventCallback(handle, status, function, data);
    }
    if (!function || (status != CL_SUBMITTED && status != CL_RUNNING && status != CL_COMPLETE)) {
        state_unlock();
        return CL_INVALID_VALUE;
    }
    if (!running) {
        pthread_t thread;
        running = pthread_create(&thread, NULL, call_back, NULL) == 0;
        if (!running) {
            state_unlock();
            return CL_OUT_OF_HOST_MEMORY;
        }
        pthread_detach(thread);
    }
    if (!c->callbacks) {
        if (watched.n == watched.cap) {
            watched.cap = watched.cap ? 2 * watched.cap : 8;
            watched.at = realloc(watched.at, watched.cap * sizeof *watched.at);
        }
        watched.at[watched.n++] = c;
        command_ref(c);
    }
    struct callback **link = &c->callbacks; /* in the order they were registered */
    while (*link)
        link = &(*link)->next;
    *link = malloc(sizeof **link);
    **link = (struct callback){ .status = status, .function = function, .data = data };
    state_changed();
    state_unlock();
    return CL_SUCCESS;
}

void install_callbacks(cl_icd_dispatch *table)
{
    LAYER(clSetEventCallback);
}
