#define _GNU_SOURCE
#include "uses.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 64
/* Slices that a whole launch waits for. */
#define MOST_SLICES 16

struct entry {
    handle queue, event;
    bool split;
    handle after;
    struct entry *next;
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
        if (entry->after)
            next_clReleaseEvent(entry->after);
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
    return !entry->after || event_status(entry->after) <= CL_COMPLETE;
}

handle *use_list(struct use *use, const struct queue *queue, cl_uint *n_wait, const handle *wait_list)
{
    handle *list = wait_list || !*n_wait ? malloc((*n_wait + MOST_SLICES) * sizeof *list) : NULL;
    unsigned n = *n_wait, most = n + MOST_SLICES;
    if (!list)
        return NULL;
    if (n)
        memcpy(list, wait_list, n * sizeof *list);
    for (const struct entry *entry = use->first; entry && n < most; entry = entry->next)
        if (entry->split && beside(entry, queue) && runs(entry))
            list[n++] = entry->event;
    if (n == *n_wait) {
        free(list);
        return NULL;
    }
    *n_wait = n;
    return list;
}

void use_add(struct use *use, const struct queue *queue, handle event, bool split, handle after)
{
    struct entry *entry = malloc(sizeof *entry);
    if (!entry)
        return;
    *entry = (struct entry){ queue->object.handle, event, split, after, use->first };
    next_clRetainEvent(event);
    if (after)
        next_clRetainEvent(after);
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
