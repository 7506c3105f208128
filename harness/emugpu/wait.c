/* How a thread of the program waits for the GPU: the part of a driver that other VMs notice. */
#include <math.h>
#include <sched.h>

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

/* Burns the CPU until `end`, and whatever else of this machine wants it runs meanwhile. */
static void yield_until(double end, unsigned long seen)
{
    while (clock_now() < end && atomic_load_explicit(&emu.changed, memory_order_relaxed) == seen)
        sched_yield();
}

cl_int wait_for_command(struct command *c)
{
    const struct model *m = &emu.model;
    double turn = m->then == m->wait ? INFINITY : clock_now() + m->then_after_ns;
    bool spun = false;
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
        enum wait_mode mode = now < turn ? m->wait : m->then;
        double until = now < turn ? fmin(end, turn) : end;
        switch (mode) {
        case WAIT_SPIN:
        case WAIT_YIELD:
            emu.spins += !spun;
            spun = true;
            emu.waiting++;
            state_unlock();
            if (mode == WAIT_SPIN)
                clock_spin_until(until, &emu.changed, seen);
            else
                yield_until(until, seen);
            state_lock();
            emu.waiting--;
            state_unlock();
            break;
        case WAIT_INTERRUPT:
            state_sleep_until(until);
            state_unlock();
            break;
        case WAIT_POLL:
            state_sleep_until(now + m->poll_period_ns);
            state_unlock();
            clock_spin_until(clock_now() + m->poll_cost_ns, NULL, 0);
            break;
        case WAIT_TICK:
            state_sleep_until(clock_next_tick(until, m->tick_ns));
            state_unlock();
            break;
        case WAIT_MODES:
            break;
        }
    }
}
