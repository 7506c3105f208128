/* How a thread of the program waits for the GPU: the part of a driver that other VMs notice. */
#include "state.h"

/* The shadow's turn: its modelled time is over, so this is usually no wait at all. Where real execution
 * is slower than the modelled GPU the thread sleeps, spinning would only slow the execution down. */
static cl_int wait_for_shadow(struct command *c)
{
    struct command *shadow = command_shadow(c);
    if (shadow)
        emu.next->clWaitForEvents(1, &shadow->handle);
    state_lock();
    cl_int status = command_status(c);
    state_unlock();
    return status < 0 ? status : 0;
}

cl_int wait_for_command(struct command *c)
{
    const struct model *m = &emu.model;
    for (;;) {
        state_lock();
        double now = clock_now();
        tl_advance(emu.timeline, now);
        if (c->tl->state == STATE_DONE) {
            state_unlock();
            return wait_for_shadow(c);
        }
        double end = tl_predict(emu.timeline, c->tl);
        unsigned long seen = atomic_load(&emu.changed);
        switch (m->wait) {
        case WAIT_SPIN:
            emu.waiting++;
            state_unlock();
            clock_spin_until(end, &emu.changed, seen);
            state_lock();
            emu.waiting--;
            state_unlock();
            break;
        case WAIT_INTERRUPT:
            state_sleep_until(end);
            state_unlock();
            break;
        case WAIT_POLL:
            state_sleep_until(now + m->poll_period_ns);
            state_unlock();
            clock_spin_until(clock_now() + m->poll_cost_ns, NULL, 0);
            break;
        }
    }
}
