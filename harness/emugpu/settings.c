#include "settings.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

/* The driver's times that are said outright. They are as they are said: a shorter job (EMUGPU_SCALE) does not
 * make a driver look at its GPU more often. */
static bool read_times(struct settings *s, char *message, size_t room)
{
    for (const char *const *key = profile_times; *key; key++) {
        char name[64] = "EMUGPU_", problem[128];
        for (size_t i = 0, at = strlen(name); i <= strlen(*key); i++)
            name[at + i] = (char)toupper((unsigned char)(*key)[i]);
        const char *value = variable(name, "");
        if (!*value)
            continue;
        if (!profile_set_time(&s->model, *key, value, problem, sizeof problem)) {
            snprintf(message, room, "%s=%s: %s", name, value, problem);
            return false;
        }
        size_t used = strlen(s->said);
        snprintf(s->said + used, sizeof s->said - used, " %s=%s", *key, value);
    }
    return true;
}

bool settings_read(struct settings *s, char *message, size_t room)
{
    const char *profile = variable("EMUGPU_PROFILE", "");
    if (!profile_read(*profile ? profile : NULL, &s->model, message, room))
        return false;

    const char *scale = variable("EMUGPU_SCALE", "1");
    char *end;
    s->scale = strtod(scale, &end);
    if (*end || !isfinite(s->scale) || s->scale <= 0) {
        snprintf(message, room, "EMUGPU_SCALE=%s: must be a number above 0", scale);
        return false;
    }
    const char *exec = variable("EMUGPU_EXEC", "full");
    s->execute = strcmp(exec, "full") == 0;
    if (!s->execute && strcmp(exec, "none") != 0) {
        snprintf(message, room, "EMUGPU_EXEC=%s: must be full or none", exec);
        return false;
    }
    const char *wait = variable("EMUGPU_WAIT", "");
    if (*wait && !model_set_wait(&s->model, wait)) {
        snprintf(message, room, "EMUGPU_WAIT=%s: must be " PROFILE_WAITS, wait);
        return false;
    }
    model_scale(&s->model, s->scale);
    s->said[0] = 0;
    return read_times(s, message, room) && profile_check_driver(&s->model, message, room);
}
