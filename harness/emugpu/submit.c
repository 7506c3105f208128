#include "submit.h"

#include <stdlib.h>

bool submit_begin(struct submission *s, cl_command_queue queue)
{
    s->queued = clock_now();
    s->shadow = NULL;
    state_lock();
    s->queue = queue_of(queue);
    if (!s->queue) {
        state_unlock();
        return false;
    }
    if (emu.model.submit_ns > 0) {
        /* The CPU time that a driver spends to put a command together. Not under the lock: threads
         * with a queue each do this side by side. */
        state_unlock();
        clock_spin_until(s->queued + emu.model.submit_ns, NULL, 0);
        state_lock();
        s->queue = queue_of(queue);
        if (!s->queue) {
            state_unlock();
            return false;
        }
    }
    s->submitted = clock_now();
    tl_advance(emu.timeline, s->submitted);
    return true;
}

/* True if nothing in the wait list has data to wait for. */
static bool nothing_to_wait_for(cl_uint n_wait, const cl_event *wait)
{
    for (cl_uint i = 0; i < n_wait; i++) {
        struct command *w = command_of(wait[i]);
        if (!w || command_shadow(w))
            return false;
    }
    return true;
}

cl_int submit_end(struct submission *s, cl_int error, cl_command_type type, struct command_spec spec,
                  unsigned flags, cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    if (error != CL_SUCCESS) {
        state_unlock();
        return error;
    }
    bool all = (flags & SUBMIT_ALL) && n_wait == 0;
    int n_before, n = 0;
    struct command *const *before = queue_tail(s->queue, all, &n_before);
    struct tl_command **after = malloc((n_before + n_wait + 1) * sizeof *after);
    for (int i = 0; i < n_before; i++)
        after[n++] = before[i]->tl;
    for (cl_uint i = 0; i < n_wait; i++) {
        /* Events that aren't ours (another layer's, an extension's) hold the shadow back, and with it
         * completion, but the model can't know when they end. */
        struct command *w = command_of(wait[i]);
        if (w)
            after[n++] = w->tl;
    }
    struct command *c = command_new(s->shadow, type, s->queue, spec, s->submitted, after, n);
    free(after);
    c->queued = s->queued;
    c->submitted = s->submitted;
    if (flags & SUBMIT_EMPTY && !s->queue->out_of_order && nothing_to_wait_for(n_wait, wait)) {
        c->empty = true;
        c->data_before = queue_data(s->queue);
        if (c->data_before)
            command_ref(c->data_before);
    }
    queue_push(s->queue, c, flags & SUBMIT_BARRIER);
    state_changed();
    if (event) {
        emu.next->clRetainEvent(s->shadow); /* one reference is the program's, one ours */
        c->app_refs = 1;
        c->refs++;
        *event = s->shadow;
    }
    cl_int result = CL_SUCCESS;
    if (flags & SUBMIT_BLOCKING) {
        command_ref(c);
        state_unlock();
        if (wait_for_command(c) < 0)
            result = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
        state_lock();
        command_unref(c);
    }
    state_unlock();
    return result;
}

struct command_spec spec_marker(void)
{
    return (struct command_spec){ .kind = KIND_MARKER };
}

struct command_spec spec_transfer(enum transfer_path path, double bytes)
{
    return (struct command_spec){ .kind = KIND_TRANSFER,
                                  .path = path,
                                  .transfer_ns = model_transfer_ns(&emu.model, path, bytes) };
}
