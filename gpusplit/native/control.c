#include "control.h"

#include "engine.h"
#include "history.h"
#include "layer.h"
#include "options.h"
#include "settings.h"
#include "tell.h"

void gpusplit_set(const char *const *options)
{
    settings_set(options);
    options_set(options);
    history_forget();
    engine_forget();
}

bool gpusplit_below(void)
{
    return layer_below();
}

bool gpusplit_heard(char *kind, char *text, size_t size, bool wait)
{
    return tell_hear(kind, text, size, wait);
}
