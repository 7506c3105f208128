#define _GNU_SOURCE
#include "options.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "settings.h"
#include "tell.h"

/* Where every agent is (config.py). */
#define COUNT_FILE "/run/gpusplit/count"

static struct options first;
static _Atomic(const struct options *) current;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool ended, told, forked;
static char why_ended[160];

/* What is being read, and from where. */
struct reading {
    struct options *found;
    const char *const *given;
};

static const char *text_of_option(const struct reading *r, const char *name)
{
    return setting(r->given, name);
}

static void senseless(const struct reading *r, const char *name, const char *value, const char *wanted)
{
    tell(TELL_OTHER, "%s=%s: must be %s; no launch is split", name, value, wanted);
    r->found->splits = false;
}

/* A number; `otherwise` where nothing is said. */
static double number(const struct reading *r, const char *name, double otherwise, double least, double most,
                     const char *wanted)
{
    const char *text = text_of_option(r, name);
    char *end;
    if (!text)
        return otherwise;
    const double value = strtod(text, &end);
    if (end != text && !*end && value >= least && value <= most)
        return value;
    senseless(r, name, text, wanted);
    return otherwise;
}

static unsigned whole(const struct reading *r, const char *name, unsigned otherwise, unsigned least,
                      unsigned most, const char *wanted)
{
    const double value = number(r, name, otherwise, least, most, wanted);
    if (value != floor(value))
        senseless(r, name, text_of_option(r, name), wanted);
    return (unsigned)value;
}

/* Where the number of running VMs comes from.  Which channel it comes by is the agent's to know. */
static void read_vms(const struct reading *r)
{
    const char *vms = text_of_option(r, "GPUSPLIT_VMS"), *file = text_of_option(r, "GPUSPLIT_COUNT_FILE");
    char more;
    r->found->count_file = strdup(file ? file : COUNT_FILE);
    if (!vms || !strcmp(vms, "auto") || !strcmp(vms, "xenstore") || !strcmp(vms, "kvm"))
        return;
    if (sscanf(vms, "static:%u%c", &r->found->vms, &more) != 1 || !r->found->vms)
        senseless(r, "GPUSPLIT_VMS", vms, "auto, xenstore, kvm or static:N");
}

static void read_policy(const struct reading *r, const char *policy)
{
    static const char above_0[] = "a number above 0";
    r->found->splits = true;
    if (!strcmp(policy, "fixed")) {
        r->found->policy = POLICY_FIXED;
        r->found->groups = whole(r, "GPUSPLIT_GROUPS", 10, 1, 1000000, "a whole number of at least 1");
    } else if (!strcmp(policy, "vms")) {
        r->found->policy = POLICY_VMS;
        r->found->alpha = number(r, "GPUSPLIT_ALPHA", 2, 1e-9, 1e9, above_0);
        read_vms(r);
    } else if (!strcmp(policy, "time")) {
        r->found->policy = POLICY_TIME;
        r->found->group_s = number(r, "GPUSPLIT_GROUP_MS", 5, 1e-9, 1e9, above_0) * 1e-3;
    } else if (!strcmp(policy, "adaptive")) {
        r->found->policy = POLICY_ADAPTIVE;
        r->found->budget = number(r, "GPUSPLIT_BUDGET", 0.05, 1e-9, 1e9, above_0);
        read_vms(r);
    } else {
        r->found->splits = false;
        if (strcmp(policy, "unsplit") != 0)
            senseless(r, "GPUSPLIT_POLICY", policy, "one of unsplit, fixed, vms, time, adaptive");
    }
    r->found->measures = r->found->policy != POLICY_FIXED && r->found->policy != POLICY_UNSPLIT;
}

static void read_all(const struct reading *r)
{
    const char *policy = text_of_option(r, "GPUSPLIT_POLICY"), *judge = text_of_option(r, "GPUSPLIT_JUDGE");
    const char *summary = text_of_option(r, "GPUSPLIT_SUMMARY"), *python = text_of_option(r, "GPUSPLIT_PYTHON");
    r->found->python = strdup(python ? python : "python3"); /* asked of headers whatever is split */
    r->found->sleeps = settings()->sleeps;
    if (!policy || settings()->observes)
        return;
    read_policy(r, policy);
    if (!r->found->splits)
        return;
    r->found->lanes = whole(r, "GPUSPLIT_QUEUES", 0, 0, MOST_LANES, "a whole number up to 8");
    /* With the policy time a slice is to be over soon, which it is not beside many others. */
    r->found->more_lanes = !r->found->lanes && settings()->sleeps && r->found->policy != POLICY_TIME;
    if (!r->found->lanes)
        r->found->lanes = settings()->sleeps ? 2 : 1;
    r->found->in_flight = whole(r, "GPUSPLIT_IN_FLIGHT", 0, 0, 1000000, "a whole number");
    r->found->cores = whole(r, "GPUSPLIT_CORES", 0, 0, UINT32_MAX, "a whole number");
    r->found->waits = judge && !strcmp(judge, "wait");
    if (judge && !r->found->waits && strcmp(judge, "background") != 0)
        senseless(r, "GPUSPLIT_JUDGE", judge, "background or wait");
    r->found->summary = summary && (!strcmp(summary, "1") || !strcasecmp(summary, "true") ||
                                !strcasecmp(summary, "yes"));
}

static void read_environment(void)
{
    read_all(&(struct reading){ &first, NULL });
    atomic_store_explicit(&current, &first, memory_order_release);
}

const struct options *options(void)
{
    const struct options *now = atomic_load_explicit(&current, memory_order_acquire);
    if (now)
        return now;
    pthread_once(&once, read_environment);
    return atomic_load_explicit(&current, memory_order_acquire);
}

static bool same(const struct options *one, const struct options *other)
{
    return !memcmp(one, other, offsetof(struct options, count_file)) &&
           settings_same_text(one->count_file, other->count_file) && settings_same_text(one->python, other->python);
}

void options_set(const char *const *given)
{
    static const struct options *newest;
    struct options *found = calloc(1, sizeof *found);
    if (!found)
        return;
    read_all(&(struct reading){ found, given });
    /* Programs go to and fro between the same few. */
    const struct options *again = newest;
    while (again && !same(again, found))
        again = again->before;
    if (again) {
        free((void *)found->count_file);
        free((void *)found->python);
        free(found);
    } else {
        found->before = newest;
        newest = found;
    }
    atomic_store_explicit(&current, again ? again : found, memory_order_release);
    atomic_store(&told, true);
}

bool splitting(void)
{
    return !atomic_load_explicit(&ended, memory_order_relaxed) && options()->splits;
}

bool may_split(void)
{
    return !atomic_load_explicit(&ended, memory_order_relaxed) &&
           (options()->splits || atomic_load_explicit(&told, memory_order_relaxed));
}

bool followed(void)
{
    return !atomic_load_explicit(&forked, memory_order_relaxed) &&
           (options()->splits || atomic_load_explicit(&told, memory_order_relaxed));
}

void splitting_ends(const char *why)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    const bool first_time = !atomic_load(&ended);
    if (first_time)
        snprintf(why_ended, sizeof why_ended, "%s", why);
    atomic_store(&ended, true);
    pthread_mutex_unlock(&lock);
    if (first_time && options()->splits)
        tell(TELL_OTHER, "launches stay whole from here on: %s", why);
}

void splitting_ends_in_child(void)
{
    static const char why[] = "it was forked of a process that used OpenCL";
    memcpy(why_ended, why, sizeof why);
    atomic_store(&forked, true);
    atomic_store(&ended, true);
}

const char *splitting_ended(void)
{
    return atomic_load(&ended) ? why_ended : NULL;
}
