#define _GNU_SOURCE
#include "records.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "settings.h"
#include "tally.h"
#include "tell.h"
#include "timeline.h"

struct kept {
    struct kept *next;
    struct gpusplit_launched launched;
};

static struct kept *first, **last = &first;
static atomic_uint recorders;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What was told of which kernels (hashes), so that it is told once.  A program with more to be told than there
 * are places beside each other is told some of it again. */
#define PLACES 1024
#define PROBES 32
static uint64_t told[PLACES];

bool recording(void)
{
    return atomic_load_explicit(&recorders, memory_order_relaxed) > 0;
}

bool records_words(void)
{
    return recording() || options()->summary || settings()->timeline;
}

static void keep(const char *kernel, cl_uint dimensions, const size_t *global, unsigned slices,
                 const struct decision *decision, const char *reason)
{
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        return;
    struct gpusplit_launched *launched = &kept->launched;
    launched->dimensions = global && dimensions <= 3 ? dimensions : 0;
    for (unsigned d = 0; d < launched->dimensions; d++)
        launched->global[d] = global[d];
    launched->groups = slices;
    launched->wanted = (uint32_t)decision->groups;
    launched->vm_count = decision->vms;
    snprintf(launched->kernel, sizeof launched->kernel, "%s", kernel);
    snprintf(launched->reason, sizeof launched->reason, "%s", reason);
    pthread_mutex_lock(&lock);
    *last = kept;
    last = &kept->next;
    pthread_mutex_unlock(&lock);
}

/* FNV-1a; 0 is no name. */
static uint64_t name_of(const char *kernel, const char *reason)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *c = kernel; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    hash = (hash ^ 0xff) * 0x100000001b3u;
    for (const char *c = reason; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash ? hash : 1;
}

static void tell_once(const char *kernel, const char *reason)
{
    const uint64_t name = name_of(kernel, reason);
    unsigned probes = 0;
    pthread_mutex_lock(&lock);
    uint64_t *place = &told[name % PLACES];
    while (*place && *place != name && ++probes < PROBES)
        place = &told[(name + probes) % PLACES];
    const bool new = *place != name;
    *place = name;
    pthread_mutex_unlock(&lock);
    if (new)
        tell(TELL_WHOLE, "kernel %s stays whole: %s", kernel, reason);
}

void record(const char *kernel, cl_uint dimensions, const size_t *global, unsigned slices,
            const struct decision *decision, const char *reason)
{
    tally(kernel, slices, reason);
    if (settings()->timeline)
        timeline_launch(kernel, slices, reason);
    if (slices == 1 && decision->groups > 1 && tell_heard())
        tell_once(kernel, reason);
    if (recording())
        keep(kernel, dimensions, global, slices, decision, reason);
}

/* What is recorded in the parent is the parent's, and a thread of its may have held the lock. */
static void in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    atomic_store(&recorders, 0);
    first = NULL;
    last = &first;
}

static void records(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

void gpusplit_record(bool on)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, records);
    if (on)
        atomic_fetch_add(&recorders, 1);
    else
        atomic_fetch_sub(&recorders, 1);
}

bool gpusplit_recorded(struct gpusplit_launched *launch)
{
    pthread_mutex_lock(&lock);
    struct kept *kept = first;
    if (kept && !(first = kept->next))
        last = &first;
    pthread_mutex_unlock(&lock);
    if (!kept)
        return false;
    *launch = kept->launched;
    free(kept);
    return true;
}
