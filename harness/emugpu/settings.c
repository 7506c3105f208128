#include "settings.h"

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
    if (*wait && !model_wait_mode(wait, &s->model.wait)) {
        snprintf(message, room, "EMUGPU_WAIT=%s: must be spin, interrupt or poll", wait);
        return false;
    }
    model_scale(&s->model, s->scale);
    return true;
}
