#include "history.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "adaptive.h"
#include "options.h"

/* Launches and kernels that are remembered; further ones take the place of others. */
#define PLACES 1024
/* So many launches of a kernel are remembered; the slowest of them counts. */
#define REMEMBERED 4
/* What was known of a kernel so many launches ago, none of which was waited for since, says little of it. */
#define MOST_UNSEEN 32

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct launch {
    uint64_t key, kernel;
    size_t items, groups;
} launches[PLACES];

static struct rate {
    uint64_t kernel;
    unsigned next;
    double seconds[REMEMBERED]; /* per work-item; 0: none yet */
} rates[PLACES];

/* What a kernel is waited for with, and the seconds per work-item that all took with which it was before. */
static struct share {
    uint64_t kernel, together;
    double seconds;
    unsigned unseen; /* launches since */
} shares[PLACES];

static struct together {
    uint64_t name;
    double seconds; /* per work-item */
} togethers[PLACES];

/* Of all that was waited for, what came later counting for more. */
static double all_seconds, all_items;

static unsigned place_of(uint64_t key)
{
    return key * 0x9e3779b97f4a7c15u >> 54;
}

/* With the lock held; 0: nothing is known of this kernel. */
static double share_of(uint64_t kernel)
{
    const struct share *share = &shares[place_of(kernel)];
    const struct together *all = &togethers[place_of(share->together)];
    if (share->kernel != kernel)
        return 0;
    return all->name == share->together     ? all->seconds
           : share->unseen <= MOST_UNSEEN ? share->seconds
                                          : 0;
}

void history_launched(uint64_t key, uint64_t kernel, size_t items, size_t groups, uint64_t together)
{
    if (!options()->measures)
        return;
    pthread_mutex_lock(&lock);
    launches[place_of(key)] = (struct launch){ key, kernel, items, groups };
    struct share *share = &shares[place_of(kernel)];
    const bool seen = share->kernel != kernel || togethers[place_of(share->together)].name == share->together;
    *share = (struct share){ kernel, together, share_of(kernel), seen ? 0 : share->unseen + 1 };
    pthread_mutex_unlock(&lock);
}

void history_took_together(uint64_t together, uint64_t items, double seconds)
{
    if (!options()->measures || seconds <= 0 || !items)
        return;
    pthread_mutex_lock(&lock);
    togethers[place_of(together)] = (struct together){ together, seconds / (double)items };
    all_seconds += seconds - all_seconds / 8;
    all_items += (double)items - all_items / 8;
    pthread_mutex_unlock(&lock);
}

void history_took(uint64_t key, double seconds)
{
    if (!options()->measures || seconds <= 0)
        return;
    pthread_mutex_lock(&lock);
    const struct launch launch = launches[place_of(key)];
    if (launch.key == key && launch.items) {
        struct rate *rate = &rates[place_of(launch.kernel)];
        if (rate->kernel != launch.kernel)
            *rate = (struct rate){ .kernel = launch.kernel };
        rate->seconds[rate->next++ % REMEMBERED] = seconds / (double)launch.items;
    }
    pthread_mutex_unlock(&lock);
    if (launch.key == key && launch.items)
        adaptive_observe(launch.kernel, launch.items, launch.groups, seconds);
}

void history_forget(void)
{
    pthread_mutex_lock(&lock);
    memset(launches, 0, sizeof launches);
    memset(rates, 0, sizeof rates);
    memset(shares, 0, sizeof shares);
    memset(togethers, 0, sizeof togethers);
    all_seconds = all_items = 0;
    pthread_mutex_unlock(&lock);
    adaptive_forget();
}

double history_seconds_per_item(uint64_t kernel)
{
    double most = 0;
    pthread_mutex_lock(&lock);
    const struct rate *rate = &rates[place_of(kernel)];
    for (unsigned i = 0; rate->kernel == kernel && i < REMEMBERED; i++)
        if (rate->seconds[i] > most)
            most = rate->seconds[i];
    pthread_mutex_unlock(&lock);
    return most;
}

double history_share_per_item(uint64_t kernel)
{
    pthread_mutex_lock(&lock);
    const double known = share_of(kernel), others = all_items > 0 ? all_seconds / all_items : 0;
    pthread_mutex_unlock(&lock);
    return known > 0 ? known : others;
}
