#define _GNU_SOURCE
#include "settings.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

static struct settings found;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void senseless(const char *name, const char *value, const char *wanted)
{
    fprintf(stderr, "gpusplit: %s=%s: must be %s; the program runs as if without gpusplit\n", name,
            value, wanted);
    found.sleeps = found.observes = false;
}

static void read_all(void)
{
    const char *wait = getenv("GPUSPLIT_WAIT");
    const char *observe = getenv("GPUSPLIT_OBSERVE");
    const char *spin = getenv("GPUSPLIT_SPIN_US");
    const char *report = getenv("GPUSPLIT_REPORT");
    const char *timeline = getenv("GPUSPLIT_TIMELINE");
    found.report = report ? strdup(report) : NULL; /* the program may change its environment */
    found.timeline = timeline && *timeline ? strdup(timeline) : NULL;
    found.observes = observe && !strcmp(observe, "1");
    found.sleeps = !found.observes && !(wait && !strcmp(wait, "driver"));
    if (wait && strcmp(wait, "driver") && strcmp(wait, "cooperative"))
        senseless("GPUSPLIT_WAIT", wait, "cooperative or driver");
    if (spin) {
        char *end;
        unsigned long us = strtoul(spin, &end, 10);
        if (end == spin || *end || us > 1000)
            senseless("GPUSPLIT_SPIN_US", spin, "a number of microseconds up to 1000");
        else
            engine_set_spin((uint64_t)us * 1000);
    }
}

const struct settings *settings(void)
{
    pthread_once(&once, read_all);
    return &found;
}
