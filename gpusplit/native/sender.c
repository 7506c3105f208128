#define _GNU_SOURCE
#include "sender.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "lanes.h"
#include "options.h"

/* A launch that has not begun may hang on what the program is yet to do, for as long as it likes: it is
 * looked at so often, in ns. */
#define FIRST_LOOK 50000
#define LAST_LOOK 5000000

/* Threads that run, and whether the program ends. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fewer = PTHREAD_COND_INITIALIZER;
static unsigned running;
static atomic_bool ending;
static pid_t process;
static __thread bool is_sender __attribute__((tls_model("initial-exec")));

enum todo { SEND, END, WAIT, LOOK_AGAIN, HAND_OVER, NOTHING };

struct sender {
    struct queue *queue;
    bool all;         /* at once, and who else tells the ends */
    bool filling;     /* until the bound is reached; then not until half of it is over */
    uint64_t since;   /* when the last wait was over, ns */
    struct flight *flight; /* what is to be done with */
    struct flight *unsent; /* what of it is to begin before a wait */
    handle event;     /* what is waited for, held */
};

/* The slice to wait for until so many more are over. */
static void wait_for_slices(struct sender *s, unsigned more)
{
    for (struct flight *flight = s->queue->first; flight; flight = flight->next) {
        const unsigned left = flight->n_sent - flight->n_done;
        if (s->queue->out_of_order && !flight_begins(flight))
            continue;
        if (left < more) {
            more -= left;
            continue;
        }
        s->flight = flight;
        s->event = flight->sent[flight->n_done + more - 1];
        return;
    }
}

/* What is to be done, with the queue's lock held.  In an out-of-order queue a launch that has not begun
 * may wait for one behind it, and does not count. */
static enum todo look(struct sender *s)
{
    struct queue *queue = s->queue;
    unsigned in_flight = 0, bound = 1;
    struct flight *unsent = NULL, *untold = NULL;
    bool begun = false;
    for (struct flight *flight = queue->first; flight; flight = flight->next) {
        flight_look(flight);
        s->flight = flight;
        if (flight->until && flight->n_sent == flight->n_parts && flight->n_done == flight->n_sent)
            return END;
        const bool begins = flight_begins(flight);
        if (begins || !queue->out_of_order || s->all) {
            in_flight += flight->n_sent - flight->n_done;
            if (!unsent && flight->n_sent < flight->n_parts) {
                unsent = flight;
                bound = flight->bound;
            }
        }
        if (flight->until && (!untold || (begins && !begun))) {
            untold = flight;
            begun = begins;
        }
    }
    s->flight = s->unsent = unsent;
    if (in_flight >= bound)
        s->filling = false;
    else if (in_flight <= bound / 2)
        s->filling = true;
    if (unsent && (s->filling || s->all))
        return SEND;
    if (!untold)
        return NOTHING;
    if (s->all) {
        s->flight = untold;
        return HAND_OVER;
    }
    if (unsent) {
        wait_for_slices(s, in_flight - bound / 2);
    } else if (untold->n_sent > untold->n_done) {
        /* The last one, unless only its neighbours are left. */
        s->flight = untold;
        s->event = untold->sent[untold->n_sent - 1];
        if (event_status(s->event) <= CL_COMPLETE)
            s->event = untold->sent[untold->n_done];
    }
    if (!s->flight || !s->event || !flight_begins(s->flight))
        return LOOK_AGAIN;
    next_clRetainEvent(s->event);
    return WAIT;
}

static void send(struct sender *s)
{
    struct flight *flight = s->flight;
    const cl_int result = lanes_send(flight);
    pthread_mutex_lock(&s->queue->lock);
    if (result == CL_SUCCESS)
        flight->n_sent++;
    else if (!flight->failure)
        flight->failure = result; /* what was sent is waited for, and then it is told */
    if (flight->failure)
        flight->n_parts = flight->n_sent;
    const bool last = flight->n_sent == flight->n_parts;
    pthread_mutex_unlock(&s->queue->lock);
    if (flight->stand && flight->n_sent <= flight->side)
        stand_begins(flight->stand, flight->sent, flight->n_sent);
    if (!last)
        return;
    lanes_flush(flight);
    if (flight->copied)
        next_clReleaseKernel(flight->kernel);
    flight->copied = false;
    hold_end(flight->hold);
    flight->hold = NULL;
}

/* All slices are over, or will be when `until` is set: the launch's ends are known. */
static handle end(struct queue *queue, struct flight *flight)
{
    if (flight->stand)
        stand_ends(flight->stand, flight->sent + flight->n_sent - flight_ends(flight),
                   flight_ends(flight));
    object_drop(flight->stand);
    flight->stand = NULL;
    pthread_mutex_lock(&queue->lock);
    const handle until = flight->until;
    flight->until = NULL; /* from here on others may let go of it */
    pthread_mutex_unlock(&queue->lock);
    return until;
}

/* Waiting. */

static enum answer ask(void *event)
{
    if (atomic_load_explicit(&ending, memory_order_relaxed))
        return ANSWER_NONE;
    return event_status(event) > CL_COMPLETE ? ANSWER_BUSY : ANSWER_DONE;
}

static void wait(struct sender *s, uint64_t name)
{
    const struct key key = { name, name };
    struct waited w = engine_wait(key, s->since, ask, s->event);
    engine_nap(s->since, ask, s->event, &w);
    const uint64_t now = engine_now();
    if (w.answer == ANSWER_DONE)
        engine_learn(key, s->since, now, &w);
    s->since = engine_now();
    next_clReleaseEvent(s->event);
}

static void nap(uint64_t since)
{
    const uint64_t elapsed = engine_now() - since;
    const uint64_t ns = elapsed / 32 < FIRST_LOOK  ? FIRST_LOOK
                        : elapsed / 32 > LAST_LOOK ? LAST_LOOK
                                                   : elapsed / 32;
    nanosleep(&(struct timespec){ 0, (long)ns }, NULL);
}

/* Nobody of ours will be there to see the end of slices: the driver tells of it. */

struct left {
    atomic_uint slices;
    _Atomic cl_int failure;
    handle until;
};

static void one_over(struct left *left, cl_int status)
{
    if (status < CL_COMPLETE)
        atomic_store(&left->failure, status);
    if (atomic_fetch_sub(&left->slices, 1) != 1)
        return;
    lanes_over(left->until, atomic_load(&left->failure));
    free(left);
}

static void notified(handle event, cl_int status, void *left)
{
    (void)event;
    one_over(left, status);
}

static void hand_over(struct queue *queue, struct flight *flight)
{
    struct left *left = calloc(1, sizeof *left);
    const unsigned n = flight_ends(flight);
    handle last[MOST_LANES];
    for (unsigned i = 0; i < n; i++)
        next_clRetainEvent(last[i] = flight->sent[flight->n_sent - n + i]);
    const cl_int failure = flight->failure;
    const handle until = end(queue, flight);
    if (left) {
        atomic_init(&left->slices, n + 1);
        atomic_init(&left->failure, failure);
        left->until = until;
    }
    for (unsigned i = 0; i < n; i++) {
        if (left && next_clSetEventCallback(last[i], CL_COMPLETE, notified, left) != CL_SUCCESS)
            one_over(left, CL_OUT_OF_HOST_MEMORY);
        next_clReleaseEvent(last[i]);
    }
    if (left)
        one_over(left, CL_COMPLETE);
}

/* The thread. */

static void work(struct sender *s)
{
    struct queue *queue = s->queue;
    uint64_t idle = 0;
    for (;;) {
        s->all = s->all || atomic_load(&ending);
        s->event = NULL;
        pthread_mutex_lock(&queue->lock);
        const enum todo todo = look(s);
        const uint64_t key = todo == WAIT ? engine_mix(s->flight->key, s->flight->n_done) : 0;
        if (todo == NOTHING)
            queue->sender = false;
        pthread_mutex_unlock(&queue->lock);
        if ((todo == WAIT || todo == LOOK_AGAIN) && s->unsent)
            lanes_flush(s->unsent);
        switch (todo) {
        case SEND:
            send(s);
            break;
        case END: {
            const cl_int failure = s->flight->failure;
            lanes_over(end(queue, s->flight), failure);
            break;
        }
        case WAIT:
            wait(s, key);
            break;
        case LOOK_AGAIN:
            idle = idle ? idle : engine_now();
            nap(idle);
            s->since = engine_now();
            continue;
        case HAND_OVER:
            hand_over(queue, s->flight);
            break;
        case NOTHING:
            return;
        }
        idle = 0;
    }
}

static void *run(void *queue)
{
    struct sender s = { .queue = queue, .filling = true, .since = engine_now() };
    is_sender = true;
    work(&s);
    object_drop(queue);
    pthread_mutex_lock(&lock);
    running--;
    pthread_cond_broadcast(&fewer);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* The program ends: all is sent now, since a driver that is called when its library is taken down would
 * crash. */
static void program_ends(void)
{
    if (process != getpid())
        return; /* a child, which has no such thread */
    atomic_store(&ending, true);
    pthread_mutex_lock(&lock);
    while (running && !is_sender)
        pthread_cond_wait(&fewer, &lock);
    pthread_mutex_unlock(&lock);
}

static bool start(struct queue *queue)
{
    sigset_t all, before;
    pthread_attr_t detached;
    pthread_t thread;
    pthread_mutex_lock(&lock);
    if (!process) {
        process = getpid();
        atexit(program_ends); /* late, and so before what the driver registered */
    }
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = !atomic_load(&ending) && !pthread_create(&thread, &detached, run, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    running += started;
    pthread_mutex_unlock(&lock);
    return started;
}

void sender_wakes(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    const bool there = queue->sender;
    queue->sender = true;
    pthread_mutex_unlock(&queue->lock);
    if (there)
        return;
    object_use(queue);
    if (start(queue))
        return;
    struct sender s = { .queue = queue, .all = true };
    work(&s);
    object_drop(queue);
}
