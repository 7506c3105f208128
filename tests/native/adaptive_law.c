/* The policy adaptive with meters that a test sets: a library for adaptive_law.py, and a program that lives
 * through many histories of launches, for sanitizers to see. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>

/* Where /proc/stat is looked for. */
static const char *stat_file = "/proc/stat";
#define open(path, flags) open(stat_file, flags)

#undef _GNU_SOURCE /* which comes again */
#include "adapt.c"
#include "adaptive.c"

#undef open

static double at, used, gone;

static double clock_of_test(void)
{
    return at;
}

static double cpu_of_test(void)
{
    return used;
}

static double stolen_of_test(void)
{
    return gone;
}

/* What follows is known of nothing. */
void law_begin(void)
{
    meters.clock = clock_of_test;
    meters.cpu = cpu_of_test;
    meters.stolen = stolen_of_test;
    adaptive_forget();
}

/* Seconds of the clock, of this process' CPU time, and of what others got; negative: not told. */
void law_meters(double clock, double cpu, double stolen)
{
    at = clock;
    used = cpu;
    gone = stolen;
}

/* The state for the VM count of the last launch. */
struct control law_control(void)
{
    return now ? now->control : adapt_begin();
}

/* The number of groups that is tried in such a turn; 0: there are no more. */
int law_rung(int turn)
{
    return turn < RUNGS ? ladder[turn] : 0;
}

size_t law_control_size(void)
{
    return sizeof(struct control);
}

/* What the system says at `path` that others got. */
double law_stolen(const char *path)
{
    stat_file = path;
    return stolen();
}

/* The program. */

static double drawn(double low, double high)
{
    return low + (high - low) * ((double)random() / RAND_MAX);
}

#define ONE_OF(...) ((const double[]){ __VA_ARGS__ })[random() % (sizeof((double[]){ __VA_ARGS__ }) / sizeof(double))]

static unsigned phases[PHASE_SPLIT + 1];

/* A program beside others, for so many launches; false where it is cut as none may be. */
static bool live(unsigned launches)
{
    const double most = ONE_OF(0.01, 0.05, 0.2);
    /* What others want of the CPU, what a wait uses of it, and what cutting changes of that. */
    double wanted = ONE_OF(0, 0.01, 0.5);
    const double use = ONE_OF(0.01, 0.3, 1), freed = ONE_OF(0, 0.3, 0.9), cost = ONE_OF(0, 1e-4, 0.004, 0.03);
    const bool tells = random() % 2;
    unsigned count = 2 + (unsigned)random() % 6;
    double clock = drawn(0, 1e5), cpu_s = drawn(0, 100), stolen_s = drawn(1, 100);
    adaptive_forget();
    for (unsigned i = 0; i < launches; i++) {
        if (!(random() % 250))
            count = (unsigned)random() % 40; /* more numbers than there are places */
        if (!(random() % 250))
            wanted = ONE_OF(0, 0.01, 0.5);
        /* Three kernels mostly, and at times one of more than there are places. */
        const uint64_t kernel = random() % 20 ? 1 + (uint64_t)random() % 3 : (uint64_t)random();
        const size_t items = random() % 2 ? 64 : 4096;
        const char *reason;
        law_meters(clock, cpu_s, tells ? stolen_s : -1);
        const size_t groups = adaptive_decide(kernel, items, count, most, &reason);
        if (groups < 1 || groups > (size_t)ladder[RUNGS - 1] || (count <= 1 && groups != 1) || !*reason)
            return false;
        phases[law_control().phase]++;
        const double seconds =
            (kernel % 3 ? 0.004 : 0.3) * (1 + cost * (double)(groups - 1)) * drawn(0.98, 1.02);
        const double part = use * (1 - freed * fmin(1, (double)(groups - 1) / 6));
        clock += seconds + (random() % 30 ? 0 : 5 * seconds);
        cpu_s += seconds * part;
        stolen_s += seconds * fmin(part, wanted);
        if (random() % 30)
            adaptive_observe(kernel, items, groups, seconds);
    }
    return true;
}

/* LIVES LAUNCHES: lives through that many of each, and prints how many launches met each phase. */
int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    law_begin();
    for (unsigned seed = 0; seed < (unsigned)atoi(argv[1]); seed++) {
        srandom(seed);
        if (!live((unsigned)atoi(argv[2]))) {
            fprintf(stderr, "seed %u: no such number of groups may be\n", seed);
            return 1;
        }
    }
    for (unsigned phase = 0; phase <= PHASE_SPLIT; phase++)
        printf("%u\n", phases[phase]);
    return 0;
}
