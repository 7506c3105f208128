#include "timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, spelled out because nothing here knows OpenCL. */
#define ERROR_OF_WAIT_LIST (-14)

static void list_push(struct command_list *l, struct tl_command *c)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->at = realloc(l->at, l->cap * sizeof *l->at);
    }
    l->at[l->n++] = c;
}

static void list_remove(struct command_list *l, int i)
{
    memmove(&l->at[i], &l->at[i + 1], (--l->n - i) * sizeof *l->at);
}

struct timeline *tl_new(const struct model *model)
{
    struct timeline *tl = calloc(1, sizeof *tl);
    tl->model = model;
    tl->version = 1;
    return tl;
}

void tl_free(struct timeline *tl)
{
    for (int i = 0; i < tl->all.n; i++)
        tl_unref(tl->all.at[i]);
    free(tl->all.at);
    free(tl->ready.at);
    free(tl->draining.at);
    free(tl->launching.at);
    for (int path = 0; path < PATH_COUNT; path++)
        free(tl->transfers[path].at);
    engine_free(&tl->engine);
    free(tl);
}

void tl_ref(struct tl_command *c)
{
    c->refs++;
}

void tl_unref(struct tl_command *c)
{
    if (--c->refs == 0) {
        free(c->followers);
        free(c);
    }
}

static void make_ready(struct timeline *tl, struct tl_command *c)
{
    c->state = STATE_READY;
    list_push(&tl->ready, c);
}

/* The command ends at `t`; those that waited for it alone become ready. An abandoned one's followers
 * are abandoned when their turn comes (start_ready), so a long chain needs no deep recursion. */
static void finish(struct timeline *tl, struct tl_command *c, double t)
{
    c->state = STATE_DONE;
    c->end = t;
    for (int i = 0; i < c->n_followers; i++) {
        struct tl_command *f = c->followers[i];
        f->ready = fmax(f->ready, t);
        if (c->error)
            f->error = ERROR_OF_WAIT_LIST;
        if (--f->waits_for == 0) {
            if (f->error)
                f->ready = t; /* nothing is launched */
            make_ready(tl, f);
        }
    }
    free(c->followers);
    c->followers = NULL;
    c->n_followers = c->cap_followers = 0;

    struct tl_command *last = tl->all.at[--tl->all.n];
    tl->all.at[c->index] = last;
    last->index = c->index;
    if (tl->on_done)
        tl->on_done(c);
    tl_unref(c);
}

static void start_transfer(struct command_list *engine, double t)
{
    if (engine->n == 0 || engine->at[0]->state != STATE_WAITING)
        return;
    struct tl_command *c = engine->at[0];
    c->state = STATE_RUNNING;
    c->start = t;
    c->end = t + c->spec.transfer_ns;
}

/* Starts what is ready at time t. Finishing a marker may make more ready, hence the outer loop. */
static void start_ready(struct timeline *tl, double t)
{
    for (int i = 0; i < tl->ready.n;) {
        struct tl_command *c = tl->ready.at[i];
        if (c->ready > t) {
            i++;
            continue;
        }
        list_remove(&tl->ready, i);
        c->state = STATE_WAITING;
        if (c->error || c->spec.kind == KIND_MARKER) {
            c->start = c->ready;
            finish(tl, c, c->ready);
            i = 0;
        } else if (c->spec.kind == KIND_KERNEL) {
            /* `end` is borrowed: until the kernel runs it says when its launch is through. */
            tl->front_end_free = fmax(tl->front_end_free, t) + tl->model->gap_ns;
            c->end = tl->front_end_free;
            list_push(&tl->launching, c);
        } else {
            struct command_list *engine = &tl->transfers[c->spec.path];
            list_push(engine, c);
            start_transfer(engine, t);
        }
    }
}

/* Lets launches that are through reach the compute engine. */
static void pass_launches(struct timeline *tl, double t)
{
    while (tl->launching.n && tl->launching.at[0]->end <= t) {
        engine_add(&tl->engine, tl->launching.at[0]);
        list_remove(&tl->launching, 0);
    }
}

/* The time of the next event that is not a batch leaving the compute engine, or INFINITY. */
static double next_other(const struct timeline *tl)
{
    double next = INFINITY;
    for (int i = 0; i < tl->ready.n; i++)
        next = fmin(next, fmax(tl->ready.at[i]->ready, tl->now));
    for (int i = 0; i < tl->draining.n; i++)
        next = fmin(next, tl->draining.at[i]->end);
    if (tl->launching.n)
        next = fmin(next, tl->launching.at[0]->end);
    for (int path = 0; path < PATH_COUNT; path++)
        if (tl->transfers[path].n)
            next = fmin(next, tl->transfers[path].at[0]->end);
    return next;
}

/* All that happens at time t, ends before starts, so that what became free is used at once. */
static void step(struct timeline *tl, double t)
{
    struct tl_command *left[tl->engine.n_batches + 1]; /* a kernel leaves with its last batch */
    int n_left = engine_pass(&tl->engine, t - tl->now, left);
    tl->now = t;
    for (int i = 0; i < n_left; i++) {
        left[i]->state = STATE_DRAINING;
        left[i]->end = t + tl->model->straggle * left[i]->spec.work.wave_ns;
        list_push(&tl->draining, left[i]);
    }
    for (int i = 0; i < tl->draining.n;) {
        struct tl_command *c = tl->draining.at[i];
        if (c->end > t) {
            i++;
            continue;
        }
        list_remove(&tl->draining, i);
        finish(tl, c, c->end);
    }
    for (int path = 0; path < PATH_COUNT; path++) {
        struct command_list *engine = &tl->transfers[path];
        if (engine->n && engine->at[0]->end <= t) {
            struct tl_command *c = engine->at[0];
            list_remove(engine, 0);
            finish(tl, c, c->end);
            start_transfer(engine, t);
        }
    }
    start_ready(tl, t);
    pass_launches(tl, t);
    engine_dispatch(&tl->engine, tl->model, t);
}

void tl_run(struct timeline *tl, double until, const struct tl_command *target)
{
    while (!target || target->state != STATE_DONE) {
        double other = next_other(tl);
        double skipped = engine_skip(&tl->engine, fmin(other, until) - tl->now);
        tl->now += skipped;
        double next = fmin(other, tl->now + engine_next(&tl->engine));
        if (next > until || next == INFINITY)
            return;
        step(tl, next);
    }
}

struct tl_command *tl_add(struct timeline *tl, struct command_spec spec, double submitted,
                          struct tl_command *const *after, int n_after, void *owner)
{
    struct tl_command *c = calloc(1, sizeof *c);
    c->spec = spec;
    c->owner = owner;
    c->refs = 2; /* the caller's, and ours until it is done */
    c->ready = fmax(submitted, tl->now);
    if (spec.kind == KIND_KERNEL)
        c->ready = fmax(tl->now, submitted + tl->model->launch_ns - tl->model->gap_ns);
    c->index = tl->all.n;
    list_push(&tl->all, c);
    for (int i = 0; i < n_after; i++) {
        struct tl_command *a = after[i];
        if (a->state == STATE_DONE) {
            c->ready = fmax(c->ready, a->end);
            if (a->error)
                c->error = ERROR_OF_WAIT_LIST;
            continue;
        }
        if (a->n_followers == a->cap_followers) {
            a->cap_followers = a->cap_followers ? 2 * a->cap_followers : 4;
            a->followers = realloc(a->followers, a->cap_followers * sizeof *a->followers);
        }
        a->followers[a->n_followers++] = c;
        c->waits_for++;
    }
    if (spec.kind == KIND_USER)
        c->waits_for++; /* for the program */
    if (c->waits_for == 0)
        make_ready(tl, c);
    tl->version++;
    return c;
}

void tl_set_user(struct timeline *tl, struct tl_command *user, double now, int error)
{
    tl_advance(tl, now);
    user->error = error;
    finish(tl, user, fmax(now, tl->now));
    tl->version++;
}

void tl_advance(struct timeline *tl, double now)
{
    tl_run(tl, now, NULL);
}
