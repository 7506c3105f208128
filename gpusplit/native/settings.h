/* What the environment says. */
#ifndef GPUSPLIT_SETTINGS_H
#define GPUSPLIT_SETTINGS_H

#include <stdbool.h>

struct settings {
    bool sleeps;       /* GPUSPLIT_WAIT: cooperative (the default), or driver: change no wait */
    bool observes;     /* GPUSPLIT_OBSERVE=1: change nothing, measure what waits cost */
    const char *report; /* GPUSPLIT_REPORT: where a summary goes at the end, "-" for standard error */
    const char *timeline; /* GPUSPLIT_TIMELINE: a file that every wait is written to */
};

/* Read once.  A value that makes no sense is told once, and then nothing is changed. */
const struct settings *settings(void);

#endif
