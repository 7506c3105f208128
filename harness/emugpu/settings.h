/* The environment of a process: which card, how fast, how it waits, whether it computes. */
#ifndef EMUGPU_SETTINGS_H
#define EMUGPU_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "model.h"

enum { SETTINGS_SAID = 256 };

struct settings {
    struct model model; /* the profile, scaled */
    double scale;
    bool execute;
    char said[SETTINGS_SAID]; /* the driver's times that are not the profile's, as " key=value" each */
};

/* False and one line in `message` if anything is wrong. */
bool settings_read(struct settings *s, char *message, size_t room);

#endif
