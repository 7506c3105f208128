/* What the environment says, or Python in the same process (control.h). */
#ifndef GPUSPLIT_SETTINGS_H
#define GPUSPLIT_SETTINGS_H

#include <stdbool.h>

struct settings {
    bool sleeps;       /* GPUSPLIT_WAIT: cooperative (the default), or driver: change no wait */
    bool observes;     /* GPUSPLIT_OBSERVE=1: change nothing, measure what waits cost */
    const char *report; /* GPUSPLIT_REPORT: where a summary goes at the end, "-" for standard error */
    const char *timeline; /* GPUSPLIT_TIMELINE: a file that every wait and launch is written to */
    const struct settings *before; /* others that held once; somebody may still look at them */
};

/* A value that makes no sense is told once, and then nothing is changed. */
const struct settings *settings(void);

/* From now on what `given` says holds: "NAME=value" each, NULL at the end.  One thread at a time. */
void settings_set(const char *const *given);

/* What `given` says of a name; where it is NULL, what the environment says. */
const char *setting(const char *const *given, const char *name);

/* Whether two texts, or NULL, are the same. */
bool settings_same_text(const char *one, const char *other);

#endif
