#define _GNU_SOURCE
#include "uses.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 64

struct entry {
    handle queue, event;
    bool split;
    unsigned n_after;
    struct entry *next;
    handle after[];
};

static struct use {
    pthread_mutex_t lock;
    struct entry *first;
} uses[PLACES];

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    pthread_mutexattr_t again; /* a callback of the driver's may come back to us */
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    for (unsigned i = 0; i < PLACES; i++)
        pthread_mutex_init(&uses[i].lock, &again);
    pthread_mutexattr_destroy(&again);
}

static void tidy(struct use *use)
{
    for (struct entry **at = &use->first; *at;) {
        struct entry *entry = *at;
        if (event_status(entry->event) > CL_COMPLETE) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        next_clReleaseEvent(entry->event);
        for (unsigned i = 0; i < entry->n_after; i++)
            next_clReleaseEvent(entry->after[i]);
        free(entry);
    }
}

struct use *use_enter(const char *kernel)
{
    unsigned hash = 5381;
    pthread_once(&once, init);
    for (const char *c = kernel; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    struct use *use = &uses[hash % PLACES];
    pthread_mutex_lock(&use->lock);
    tidy(use);
    return use;
}

void use_leave(struct use *use)
{
    if (use)
        pthread_mutex_unlock(&use->lock);
}

static bool beside(const struct entry *entry, const struct queue *queue)
{
    return queue->out_of_order || entry->queue != queue->object.handle;
}

bool use_elsewhere(struct use *use, const struct queue *queue)
{
    for (const struct entry *entry = use->first; entry; entry = entry->next)
        if (beside(entry, queue))
            return true;
    return false;
}

/* Whether nothing keeps a launch from running. */
static bool runs(const struct entry *entry)
{
    for (unsigned i = 0; i < entry->n_after; i++)
        if (event_status(entry->after[i]) > CL_COMPLETE)
            return false;
    return true;
}

unsigned use_slices(struct use *use, const struct queue *queue, handle *events, unsigned most)
{
    unsigned n = 0;
    for (const struct entry *entry = use->first; entry && n < most; entry = entry->next)
        if (entry->split && beside(entry, queue) && runs(entry))
            events[n++] = entry->event;
    return n;
}

void use_add(struct use *use, const struct queue *queue, handle event, bool split, const handle *after,
             unsigned n_after)
{
    struct entry *entry = malloc(sizeof *entry + n_after * sizeof *after);
    if (!entry)
        return;
    *entry = (struct entry){ queue->object.handle, event, split, n_after, use->first };
    next_clRetainEvent(event);
    for (unsigned i = 0; i < n_after; i++) {
        entry->after[i] = after[i];
        next_clRetainEvent(after[i]);
    }
    use->first = entry;
}

void uses_tidy(void)
{
    pthread_once(&once, init);
    for (unsigned i = 0; i < PLACES; i++) {
        pthread_mutex_lock(&uses[i].lock);
        tidy(&uses[i]);
        pthread_mutex_unlock(&uses[i].lock);
    }
}
