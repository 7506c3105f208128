#include "policy.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "adaptive.h"
#include "count.h"
#include "history.h"
#include "options.h"
#include "records.h"
#include "tell.h"

/* More groups than this nobody means. */
#define MOST_GROUPS 1000000
/* To send a group takes a driver about 10 us: a hundredth of this, which is what splitting may cost where the
 * GPU waits for what is sent. */
#define LEAST_GROUP_S 1e-3
/* Groups of one kernel differ; aiming a little below keeps most of them below the bound. */
#define AIM 0.9

static size_t to_groups(double groups)
{
    return groups < 1 ? 1 : groups > MOST_GROUPS ? MOST_GROUPS : (size_t)groups;
}

static atomic_flag told = ATOMIC_FLAG_INIT;

void policy_tells_again(void)
{
    atomic_flag_clear(&told);
}

/* Running VMs; 0: unknown, which is told once. */
static unsigned vms(const struct options *o)
{
    const unsigned count = o->vms ? o->vms : count_of_vms(o->count_file);
    if (!count && !atomic_flag_test_and_set(&told))
        tell(TELL_COUNT,
             "how many VMs run is unknown, as no agent says so in %s; launches stay whole until one does",
             o->count_file);
    return count;
}

static struct decision whole(const char *reason)
{
    return (struct decision){ 1, reason, -1 };
}

/* In groups, for a reason with numbers in it. */
__attribute__((format(printf, 2, 3))) static struct decision decided(size_t groups, const char *format, ...)
{
    static __thread char words[128];
    va_list arguments;
    if (!records_words()) /* words take longer than the decision */
        return (struct decision){ groups, "", -1 };
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return (struct decision){ groups, words, -1 };
}

/* As many for each VM (the paper's Eq. 1), but none so short that sending it is felt. */
static struct decision per_vm_count(unsigned count, double alpha, uint64_t kernel, size_t items)
{
    if (count <= 1)
        return whole(count ? "this VM is alone" : "the number of VMs is unknown");
    const size_t groups = to_groups(rint(count * alpha)); /* halves to even */
    const double total = history_share_per_item(kernel) * (double)items;
    if (total <= 0 || total >= LEAST_GROUP_S * (double)groups)
        return decided(groups, "policy vms: %u VMs x %g = %zu groups", count, alpha, groups);
    if (total < 2 * LEAST_GROUP_S)
        return whole("policy vms: it is short");
    return decided(to_groups(total / LEAST_GROUP_S), "policy vms: %.3g ms in groups of at least %g ms",
                   total * 1e3, LEAST_GROUP_S * 1e3);
}

/* No group longer than so many seconds, by what the kernel was measured to take. */
static struct decision bounded_time(const struct options *o, uint64_t kernel, size_t items)
{
    const double per_item = history_seconds_per_item(kernel), total = per_item * (double)items;
    if (per_item <= 0)
        return whole("policy time: kernel not measured yet");
    if (total <= o->group_s)
        return whole("policy time: it is short");
    return decided(to_groups(ceil(total * o->lanes / (AIM * o->group_s))), "policy time: %.3g ms in groups of at most %g ms",
                   total * 1e3, o->group_s * 1e3);
}

struct decision policy_decide(const struct options *o, uint64_t kernel, size_t items)
{
    struct decision decision;
    unsigned count;
    switch (o->splits ? o->policy : POLICY_UNSPLIT) {
    case POLICY_FIXED:
        return o->groups > 1 ? decided(o->groups, "policy fixed: %u groups", o->groups)
                             : whole("policy fixed: 1 group");
    case POLICY_VMS:
        decision = per_vm_count(count = vms(o), o->alpha, kernel, items);
        break;
    case POLICY_TIME:
        return bounded_time(o, kernel, items);
    case POLICY_ADAPTIVE:
        decision.groups = adaptive_decide(kernel, items, count = vms(o), o->budget, &decision.reason);
        break;
    default:
        return whole("policy unsplit");
    }
    decision.vms = count ? (int)count : -1;
    return decision;
}
