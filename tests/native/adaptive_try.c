/* Lives through histories of launches, for test_adaptive.py to hold to Python's own.  Lines in:
 *   begin BUDGET
 *   decide COUNT KERNEL ITEMS CLOCK CPU STOLEN     (COUNT 0: unknown; STOLEN -1: unknown)
 *   observe KERNEL ITEMS GROUPS SECONDS
 * Out: for each decision its groups, and why if it is one. */
#include "adaptive.c"

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

int main(void)
{
    char what[16];
    double most = 0;
    meters.clock = clock_of_test;
    meters.cpu = cpu_of_test;
    meters.stolen = stolen_of_test;
    while (scanf("%15s", what) == 1) {
        unsigned count;
        unsigned long kernel;
        size_t items, groups;
        double seconds;
        const char *reason;
        if (!strcmp(what, "begin") && scanf("%lf", &most) == 1) {
            memset(kernels, 0, sizeof kernels);
            memset(controls, 0, sizeof controls);
            now = NULL;
        } else if (!strcmp(what, "decide") &&
                   scanf("%u %lu %zu %lf %lf %lf", &count, &kernel, &items, &at, &used, &gone) == 6) {
            groups = adaptive_decide(kernel, items, count, most, &reason);
            printf("%zu %s\n", groups, groups == 1 ? reason : "");
        } else if (!strcmp(what, "observe") &&
                   scanf("%lu %zu %zu %lf", &kernel, &items, &groups, &seconds) == 4) {
            adaptive_observe(kernel, items, groups, seconds);
        } else {
            return 1;
        }
    }
    return 0;
}
