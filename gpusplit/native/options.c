#define _GNU_SOURCE
#include "options.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "settings.h"

/* Where every agent is (config.py). */
#define COUNT_FILE "/run/gpusplit/count"

static struct options found;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool ended;

static void senseless(const char *name, const char *value, const char *wanted)
{
    fprintf(stderr, "gpusplit: %s=%s: must be %s; no launch is split\n", name, value, wanted);
    found.splits = false;
}

/* A number of the environment; `otherwise` where it says nothing. */
static double number(const char *name, double otherwise, double least, double most, const char *wanted)
{
    const char *text = getenv(name);
    char *end;
    if (!text)
        return otherwise;
    const double value = strtod(text, &end);
    if (end != text && !*end && value >= least && value <= most)
        return value;
    senseless(name, text, wanted);
    return otherwise;
}

static unsigned whole(const char *name, unsigned otherwise, unsigned least, unsigned most,
                      const char *wanted)
{
    const double value = number(name, otherwise, least, most, wanted);
    if (value != floor(value))
        senseless(name, getenv(name), wanted);
    return (unsigned)value;
}

/* Where the number of running VMs comes from.  Which channel it comes by is the agent's to know. */
static void read_vms(void)
{
    const char *vms = getenv("GPUSPLIT_VMS"), *file = getenv("GPUSPLIT_COUNT_FILE");
    char more;
    found.count_file = strdup(file ? file : COUNT_FILE);
    if (!vms || !strcmp(vms, "auto") || !strcmp(vms, "xenstore") || !strcmp(vms, "kvm"))
        return;
    if (sscanf(vms, "static:%u%c", &found.vms, &more) != 1 || !found.vms)
        senseless("GPUSPLIT_VMS", vms, "auto, xenstore, kvm or static:N");
}

static void read_policy(const char *policy)
{
    static const char above_0[] = "a number above 0";
    found.splits = true;
    if (!strcmp(policy, "fixed")) {
        found.policy = POLICY_FIXED;
        found.groups = whole("GPUSPLIT_GROUPS", 10, 1, 1000000, "a whole number of at least 1");
    } else if (!strcmp(policy, "vms")) {
        found.policy = POLICY_VMS;
        found.alpha = number("GPUSPLIT_ALPHA", 2, 1e-9, 1e9, above_0);
        read_vms();
    } else if (!strcmp(policy, "time")) {
        found.policy = POLICY_TIME;
        found.group_s = number("GPUSPLIT_GROUP_MS", 5, 1e-9, 1e9, above_0) * 1e-3;
    } else if (!strcmp(policy, "adaptive")) {
        found.policy = POLICY_ADAPTIVE;
        found.budget = number("GPUSPLIT_BUDGET", 0.05, 1e-9, 1e9, above_0);
        read_vms();
    } else {
        found.splits = false;
        if (strcmp(policy, "unsplit") != 0)
            senseless("GPUSPLIT_POLICY", policy, "one of unsplit, fixed, vms, time, adaptive");
    }
    found.measures = found.policy == POLICY_TIME || found.policy == POLICY_ADAPTIVE;
    if (found.splits && found.measures && !settings()->sleeps) {
        fprintf(stderr, "gpusplit: with the driver's waits nothing is measured that the policy %s needs; no "
                        "launch is split\n", policy);
        found.splits = false;
    }
}

static void read_all(void)
{
    const char *policy = getenv("GPUSPLIT_POLICY"), *judge = getenv("GPUSPLIT_JUDGE");
    const char *summary = getenv("GPUSPLIT_SUMMARY"), *python = getenv("GPUSPLIT_PYTHON");
    if (!policy || settings()->observes)
        return;
    read_policy(policy);
    if (!found.splits)
        return;
    found.lanes = whole("GPUSPLIT_QUEUES", 0, 0, MOST_LANES, "a whole number up to 8");
    /* With the policy time a slice is to be over soon, which it is not beside many others. */
    found.more_lanes = !found.lanes && settings()->sleeps && found.policy != POLICY_TIME;
    if (!found.lanes)
        found.lanes = settings()->sleeps ? 2 : 1;
    found.in_flight = whole("GPUSPLIT_IN_FLIGHT", 0, 0, 1000000, "a whole number");
    found.cores = whole("GPUSPLIT_CORES", 0, 0, UINT32_MAX, "a whole number");
    found.waits = judge && !strcmp(judge, "wait");
    if (judge && !found.waits && strcmp(judge, "background") != 0)
        senseless("GPUSPLIT_JUDGE", judge, "background or wait");
    found.summary = summary && (!strcmp(summary, "1") || !strcasecmp(summary, "true") ||
                                !strcasecmp(summary, "yes"));
    found.python = strdup(python ? python : "python3");
}

const struct options *options(void)
{
    pthread_once(&once, read_all);
    return &found;
}

bool splitting(void)
{
    return !atomic_load_explicit(&ended, memory_order_relaxed) && options()->splits;
}

void splitting_ends(const char *why)
{
    if (!atomic_exchange(&ended, true) && why && options()->splits)
        fprintf(stderr, "gpusplit: launches stay whole from here on: %s\n", why);
}
