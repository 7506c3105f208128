#define _GNU_SOURCE
#include "settings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "tell.h"

static struct settings first;
static _Atomic(const struct settings *) current;
static pthread_once_t once = PTHREAD_ONCE_INIT;

const char *setting(const char *const *given, const char *name)
{
    const size_t length = strlen(name);
    if (!given)
        return getenv(name);
    for (; *given; given++)
        if (!strncmp(*given, name, length) && (*given)[length] == '=')
            return *given + length + 1;
    return NULL;
}

static void senseless(struct settings *found, const char *name, const char *value, const char *wanted)
{
    tell(TELL_OTHER, "%s=%s: must be %s; the program runs as if without gpusplit", name, value, wanted);
    found->sleeps = found->observes = false;
}

static void read_all(struct settings *found, const char *const *given)
{
    const char *wait = setting(given, "GPUSPLIT_WAIT");
    const char *observe = setting(given, "GPUSPLIT_OBSERVE");
    const char *spin = setting(given, "GPUSPLIT_SPIN_US");
    const char *report = setting(given, "GPUSPLIT_REPORT");
    const char *timeline = setting(given, "GPUSPLIT_TIMELINE");
    found->report = report ? strdup(report) : NULL; /* the program may change its environment */
    found->timeline = timeline && *timeline ? strdup(timeline) : NULL;
    found->observes = observe && !strcmp(observe, "1");
    found->sleeps = !found->observes && !(wait && !strcmp(wait, "driver"));
    if (wait && strcmp(wait, "driver") && strcmp(wait, "cooperative"))
        senseless(found, "GPUSPLIT_WAIT", wait, "cooperative or driver");
    if (spin) {
        char *end;
        unsigned long us = strtoul(spin, &end, 10);
        if (end == spin || *end || us > 1000)
            senseless(found, "GPUSPLIT_SPIN_US", spin, "a number of microseconds up to 1000");
        else
            engine_set_spin((uint64_t)us * 1000);
    }
}

static void read_environment(void)
{
    read_all(&first, NULL);
    atomic_store_explicit(&current, &first, memory_order_release);
}

const struct settings *settings(void)
{
    const struct settings *now = atomic_load_explicit(&current, memory_order_acquire);
    if (now)
        return now;
    pthread_once(&once, read_environment);
    return atomic_load_explicit(&current, memory_order_acquire);
}

bool settings_same_text(const char *one, const char *other)
{
    return one == other || (one && other && !strcmp(one, other));
}

static bool same(const struct settings *one, const struct settings *other)
{
    return one->sleeps == other->sleeps && one->observes == other->observes &&
           settings_same_text(one->report, other->report) && settings_same_text(one->timeline, other->timeline);
}

void settings_set(const char *const *given)
{
    static const struct settings *newest;
    const struct settings *before = settings();
    struct settings *found = calloc(1, sizeof *found);
    if (!found)
        return;
    read_all(found, given);
    found->observes = before->observes;
    found->sleeps = found->sleeps && !found->observes;
    free((void *)found->report);
    found->report = before->report;
    for (const struct settings *again = newest; again; again = again->before)
        if (same(again, found)) { /* programs go to and fro between the same few */
            free((void *)found->timeline);
            free(found);
            atomic_store_explicit(&current, again, memory_order_release);
            return;
        }
    found->before = newest;
    newest = found;
    atomic_store_explicit(&current, found, memory_order_release);
}
