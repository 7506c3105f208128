#include "control.h"

#include <pthread.h>

#include "engine.h"
#include "history.h"
#include "layer.h"
#include "options.h"
#include "policy.h"
#include "settings.h"
#include "tell.h"

void gpusplit_set(const char *const *options)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (splitting_ended() && !followed())
        return; /* a child, in which locks may be held by nobody */
    pthread_mutex_lock(&lock);
    settings_set(options);
    options_set(options);
    history_forget();
    engine_forget();
    policy_tells_again();
    pthread_mutex_unlock(&lock);
}

const char *gpusplit_ended(void)
{
    return splitting_ended();
}

bool gpusplit_below(void)
{
    return layer_below();
}

bool gpusplit_heard(char *kind, char *text, size_t size, bool wait)
{
    return tell_hear(kind, text, size, wait);
}
