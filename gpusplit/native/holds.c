#include "holds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct hold {
    struct hold *next;
    unsigned n;
    struct held {
        handle object;
        cl_int (*release)(handle); /* NULL: the program has not released it */
    } held[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hold *first;
static atomic_uint holds;

struct hold *hold_begin(const handle *values, unsigned n)
{
    struct hold *hold = calloc(1, sizeof *hold + n * sizeof *hold->held);
    if (!hold)
        return NULL;
    hold->n = n;
    for (unsigned i = 0; i < n; i++)
        hold->held[i].object = values[i];
    pthread_mutex_lock(&lock);
    hold->next = first;
    first = hold;
    atomic_fetch_add(&holds, 1);
    pthread_mutex_unlock(&lock);
    return hold;
}

void hold_end(struct hold *hold)
{
    if (!hold)
        return;
    pthread_mutex_lock(&lock);
    struct hold **at = &first;
    while (*at != hold)
        at = &(*at)->next;
    *at = hold->next;
    atomic_fetch_sub(&holds, 1);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < hold->n; i++)
        if (hold->held[i].release)
            hold->held[i].release(hold->held[i].object);
    free(hold);
}

void holds_forget(void)
{
    atomic_store(&holds, 0);
}

void holds_released(handle object, cl_int (*retain)(handle), cl_int (*release)(handle))
{
    if (!atomic_load(&holds))
        return;
    pthread_mutex_lock(&lock);
    for (struct hold *hold = first; hold; hold = hold->next)
        for (unsigned i = 0; i < hold->n; i++)
            if (hold->held[i].object == object && !hold->held[i].release &&
                retain(object) == CL_SUCCESS)
                hold->held[i].release = release;
    pthread_mutex_unlock(&lock);
}
