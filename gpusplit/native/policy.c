#include "policy.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "adaptive.h"
#include "count.h"
#include "history.h"
#include "options.h"

/* More groups than this nobody means. */
#define MOST_GROUPS 1000000
/* Groups of one kernel differ; aiming a little below keeps most of them below the bound. */
#define AIM 0.9

static size_t to_groups(double groups)
{
    return groups < 1 ? 1 : groups > MOST_GROUPS ? MOST_GROUPS : (size_t)groups;
}

/* Running VMs; 0: unknown, which is told once. */
static unsigned vms(void)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    const struct options *o = options();
    const unsigned count = o->vms ? o->vms : count_of_vms();
    if (!count && !atomic_flag_test_and_set(&told))
        fprintf(stderr,
                "gpusplit: how many VMs run is unknown, as no agent says so in %s; launches stay whole "
                "until one does\n",
                o->count_file);
    return count;
}

static struct decision per_vm_count(unsigned count)
{
    if (count <= 1)
        return (struct decision){ 1, count ? "this VM is alone" : "the number of VMs is unknown" };
    return (struct decision){ to_groups(rint(count * options()->alpha)), /* to even, as in Python */
                              "policy vms" };
}

/* No group longer than so many seconds, by what the kernel was measured to take. */
static struct decision bounded_time(uint64_t kernel, size_t items)
{
    const struct options *o = options();
    const double per_item = history_seconds_per_item(kernel), total = per_item * (double)items;
    if (per_item <= 0)
        return (struct decision){ 1, "policy time: kernel not measured yet" };
    if (total <= o->group_s)
        return (struct decision){ 1, "policy time: it is short" };
    return (struct decision){ to_groups(ceil(total * o->lanes / (AIM * o->group_s))), "policy time" };
}

struct decision policy_decide(uint64_t kernel, size_t items)
{
    const struct options *o = options();
    struct decision decision;
    switch (o->policy) {
    case POLICY_VMS:
        return per_vm_count(vms());
    case POLICY_TIME:
        return bounded_time(kernel, items);
    case POLICY_ADAPTIVE:
        decision.groups = adaptive_decide(kernel, items, vms(), o->budget, &decision.reason);
        return decision;
    default:
        return (struct decision){ o->groups, "policy fixed: 1 group" };
    }
}
