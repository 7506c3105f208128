#define _GNU_SOURCE
#include "adaptive.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapt.h"

/* Names and values: adaptive.py. */
#define WINDOW 0.16
#define TICK 0.01
#define BUSY_PART 0.25
/* Kernels in their sizes, and numbers of VMs, of which something is known; others begin anew. */
#define PLACES 1024
#define COUNTS 16

/* What is known of one kernel at one size: seconds unsplit, and for each further group. */
static struct kernel {
    uint64_t name;
    size_t items;
    struct mean unsplit, group_cost;
    int groups; /* 0: not decided */
} kernels[PLACES];

static struct beside {
    unsigned count;
    struct control control;
} controls[COUNTS];

/* What was seen in this window. */
static struct {
    double began, due, cpu, stolen;
    unsigned launches;
    double seconds, cut_expected, cut_seconds;
    int reach;
} window;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct beside *now; /* NULL: no window is open */
static double budget;

/* Meters. */

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double wall(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static double cpu(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* The first line of /proc/stat is the sum over CPUs: cpu user nice system idle iowait irq softirq steal.
 * A counter that never moved since the start of the system counts as none: not every host tells. */
static double stolen(void)
{
    char text[256];
    unsigned long long ticks = 0;
    const int file = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    const ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    if (n <= 0)
        return -1;
    text[n] = 0;
    if (sscanf(text, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks) != 1 || !ticks)
        return -1;
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Seconds; stolen ones are negative where they are unknown.  Tests have others. */
static struct {
    double (*clock)(void), (*cpu)(void), (*stolen)(void);
} meters = { wall, cpu, stolen };

/* The rest with the lock held. */

static void open_window(void)
{
    memset(&window, 0, sizeof window);
    window.began = meters.clock();
    window.due = window.began + WINDOW;
    window.cpu = meters.cpu();
    window.stolen = meters.stolen();
    window.reach = 1;
}

static int groups_of(const struct kernel *kernel, int current)
{
    const struct control *control = &now->control;
    if (control->level <= 1 || !kernel->unsplit.count)
        return 1;
    if (!kernel->group_cost.count)
        return ADAPT_FEWEST;
    return adapt_fit(current, control->level, kernel->unsplit.value, kernel->group_cost.value, budget);
}

static void decide_all(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (kernels[i].items)
            kernels[i].groups = groups_of(&kernels[i], kernels[i].groups ? kernels[i].groups : 1);
}

static void close_window(void)
{
    const double wall_s = meters.clock() - window.began;
    if (window.seconds >= BUSY_PART * wall_s) {
        double gone = -1;
        const double stolen_now = meters.stolen();
        if (stolen_now >= 0 && window.stolen >= 0) {
            gone = stolen_now - window.stolen - TICK;
            gone = gone > 0 ? gone / wall_s : 0;
        }
        const struct window seen = {
            .cpu_used = (meters.cpu() - window.cpu) / wall_s,
            .stolen = gone,
            .cut = window.cut_expected > 0,
            .slow_down = window.cut_expected > 0 ? window.cut_seconds / window.cut_expected - 1 : 0,
            .reach = window.reach,
        };
        now->control = adapt_step(&now->control, &seen, budget);
        decide_all();
    }
    open_window();
}

/* Goes on where it was left when so many VMs ran last. */
static void change_count(unsigned count)
{
    struct beside *found = NULL;
    for (unsigned i = 0; i < COUNTS && !found; i++)
        if (controls[i].count == count || !controls[i].count)
            found = &controls[i];
    if (!found) {
        memset(controls, 0, sizeof controls);
        found = controls;
    }
    if (!found->count)
        *found = (struct beside){ count, adapt_begin() };
    now = found;
    decide_all();
    open_window();
}

static struct kernel *find(uint64_t name, size_t items)
{
    const uint64_t both = (name ^ items * 0x9e3779b97f4a7c15u) * 0x9e3779b97f4a7c15u;
    struct kernel *kernel = &kernels[both >> 54];
    if (kernel->name != name || kernel->items != items)
        *kernel = (struct kernel){ .name = name, .items = items };
    return kernel;
}

size_t adaptive_decide(uint64_t name, size_t items, unsigned count, double most, const char **reason)
{
    static __thread char told[128];
    pthread_mutex_lock(&lock);
    budget = most;
    if (count <= 1) {
        now = NULL;
        pthread_mutex_unlock(&lock);
        *reason = count ? "this VM is alone" : "the number of VMs is unknown";
        return 1;
    }
    if (!now || now->count != count)
        change_count(count);
    else if (window.launches && meters.clock() >= window.due)
        close_window();
    struct kernel *kernel = find(name, items);
    if (!kernel->groups)
        kernel->groups = groups_of(kernel, 1);
    const size_t groups = (size_t)kernel->groups;
    *reason = told;
    const int n = snprintf(told, sizeof told, "policy adaptive: %s", now->control.reason);
    if ((int)groups < now->control.level && now->control.phase == PHASE_SPLIT)
        snprintf(told + n, sizeof told - (size_t)n, "; %zu here, for the budget", groups);
    pthread_mutex_unlock(&lock);
    return groups;
}

void adaptive_observe(uint64_t name, size_t items, size_t groups, double seconds)
{
    if (seconds <= 0)
        return;
    pthread_mutex_lock(&lock);
    struct kernel *kernel = find(name, items);
    window.launches++;
    window.seconds += seconds;
    if (groups == 1)
        mean_add(&kernel->unsplit, seconds);
    const double unsplit = kernel->unsplit.value;
    if (kernel->unsplit.count) {
        if (groups > 1) {
            mean_add(&kernel->group_cost, (seconds - unsplit) / (double)(groups - 1));
            window.cut_expected += unsplit;
            window.cut_seconds += seconds;
        }
        const int reach =
            adapt_reach(unsplit, kernel->group_cost.count, kernel->group_cost.value, budget);
        if (reach > window.reach)
            window.reach = reach;
    }
    pthread_mutex_unlock(&lock);
}

void adaptive_forget(void)
{
    pthread_mutex_lock(&lock);
    memset(kernels, 0, sizeof kernels);
    memset(controls, 0, sizeof controls);
    memset(&window, 0, sizeof window);
    now = NULL;
    pthread_mutex_unlock(&lock);
}
