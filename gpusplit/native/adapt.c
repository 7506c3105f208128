#include "adapt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The numbers of groups that are tried, each about three times the one before: 20 groups bring little more
 * than 10 (the paper's Fig. 4), and finer steps would only take longer to try. */
static const int ladder[] = { 1, ADAPT_FEWEST, 6, 18 };
#define RUNGS ((int)(sizeof ladder / sizeof *ladder))
/* CPUs (0.05: 5 % of one) that are worth an effort: that this VM must use, that others must want and that
 * they must gain before anything is cut for them. */
#define WORTH 0.05
/* Windows after an experiment before the next; doubled each time, since a host seldom changes. */
#define FIRST_REST 30
#define LONGEST_REST 480
/* Windows in a row that end a split (a trial): above the budget (without a cut); and without anybody who
 * wants the CPU, at least so many, and one in so many of those to rest. */
#define STRIKES 3
#define QUIET 4
#define REST_PER_QUIET 10
/* Parts of the budget: groups are chosen for a cost of AIM; a number in use is lowered above 1 and raised
 * only from below ROOM, so that noise between the two changes nothing. */
#define AIM 0.8
#define ROOM 0.6
/* Measurements whose mean is held for true; of more, the last count most. */
#define REMEMBERED 10

static int least_of(int a, int b)
{
    return a < b ? a : b;
}

static int most_of(int a, int b)
{
    return a > b ? a : b;
}

void mean_add(struct mean *mean, double measured)
{
    mean->count = least_of(mean->count + 1, REMEMBERED);
    mean->value += (measured - mean->value) / mean->count;
}

/* Groups whose costs add up to at most `seconds`. */
static int most_within(double seconds, double group_cost)
{
    const int most = ladder[RUNGS - 1];
    return (most - 1) * group_cost <= seconds ? most : 1 + (int)(seconds / group_cost + 1e-6);
}

int adapt_fit(int current, int level, double seconds, double group_cost, double budget)
{
    const double allowed = budget * seconds;
    group_cost = fmax(0.0, group_cost);
    const int aim = most_within(AIM * allowed, group_cost);
    if (current > level || (current - 1) * group_cost > allowed)
        return least_of(level, aim);
    if ((current - 1) * group_cost >= ROOM * allowed)
        return current;
    return most_of(current, least_of(level, aim));
}

int adapt_reach(double seconds, bool known, double group_cost, double budget)
{
    return known ? most_within(AIM * budget * seconds, fmax(0.0, group_cost)) : ADAPT_FEWEST;
}

struct control adapt_begin(void)
{
    return (struct control){ .level = 1, .reason = "not measured yet", .patience = FIRST_REST, .quiet = -1 };
}

static struct control because(struct control c, const char *reason)
{
    snprintf(c.reason, sizeof c.reason, "%s", reason);
    return c;
}

/* After an experiment: leave things as they are, the next time for twice as long. */
static struct control rest(struct control c, enum phase phase, int level, const char *reason)
{
    c.phase = phase;
    c.level = level;
    c.strikes = 0;
    c.quiet = -1;
    c.rest = c.patience;
    c.patience = least_of(2 * c.patience, LONGEST_REST);
    return because(c, reason);
}

static struct control stay_unsplit(struct control c, const char *reason)
{
    return rest(c, PHASE_UNSPLIT, 1, reason);
}

/* Whether neighbours gain enough, and not less than the GPU job loses. */
static bool pays(double gain, const struct window *w)
{
    return gain >= fmax(WORTH, w->cut ? w->slow_down : 0.0);
}

static struct control unsplit(struct control c, const struct window *w)
{
    if (c.rest > 0) {
        c.rest--;
        return c;
    }
    if (w->cpu_used < WORTH)
        return because(c, "waits use next to no CPU, there is none to give");
    if (w->stolen >= 0 && w->stolen < WORTH)
        return because(c, "nobody else wants the CPU");
    if (w->reach < ladder[1])
        return because(c, "no kernel can be cut within the budget");
    c.phase = PHASE_TRY;
    c.level = ladder[1];
    c.unsplit_use = w->cpu_used;
    c.best_level = c.strikes = 0;
    return because(c, "trying what frees CPU");
}

static struct control try(struct control c, const struct window *w, bool over)
{
    if (!w->cut) {
        /* Launches that were on their way may come first. */
        if (c.strikes + 1 >= STRIKES)
            return stay_unsplit(c, "no launch could be cut");
        c.strikes++;
        return c;
    }
    if (!over && pays(c.unsplit_use - w->cpu_used, w) && (!c.best_level || w->cpu_used < c.best_use)) {
        c.best_level = c.level;
        c.best_use = w->cpu_used;
    }
    int higher = 0;
    while (higher < RUNGS && ladder[higher] <= c.level)
        higher++;
    /* The next number is worth a try only if some kernel can be cut into more groups than now. */
    if (higher < RUNGS && !over && w->reach > c.level) {
        c.level = ladder[higher];
        return c;
    }
    if (!c.best_level)
        return stay_unsplit(c, over && c.level == ladder[1] ? "any cut costs more than the budget"
                                                            : "no number of groups freed CPU");
    c.phase = PHASE_CHECK_UNSPLIT;
    c.level = 1;
    return c;
}

static struct control check_split(struct control c, const struct window *w, bool over)
{
    const double gain = c.unsplit_use - w->cpu_used;
    char reason[sizeof c.reason];
    if (over || !pays(gain, w)) {
        snprintf(reason, sizeof reason, "%d groups freed no CPU", c.level);
        return stay_unsplit(c, reason);
    }
    snprintf(reason, sizeof reason, "%d groups free %.0f%% of a CPU", c.level, gain * 100);
    return rest(c, PHASE_SPLIT, c.level, reason);
}

static struct control split(struct control c, const struct window *w, bool over)
{
    const int strikes = over ? c.strikes + 1 : 0;
    int quiet = c.quiet;
    if (strikes >= STRIKES)
        return stay_unsplit(c, "the cuts cost more than the budget");
    /* A split that works may hide the others: only those that were seen can go away. */
    if (w->stolen >= WORTH)
        quiet = 0;
    else if (w->stolen >= 0 && quiet >= 0)
        quiet = w->stolen < WORTH / 2 ? quiet + 1 : 0;
    if (quiet >= most_of(QUIET, c.patience / REST_PER_QUIET)) {
        c.phase = PHASE_UNSPLIT;
        c.level = 1;
        c.rest = c.strikes = 0;
        c.quiet = -1;
        return because(c, "nobody else wants the CPU any more");
    }
    if (c.rest > 0) {
        c.rest--;
        c.strikes = strikes;
        c.quiet = quiet;
        return c;
    }
    c.phase = PHASE_UNSPLIT;
    c.level = 1;
    c.strikes = 0;
    c.quiet = -1;
    return because(c, "unsplit once more, for comparison");
}

struct control adapt_step(const struct control *control, const struct window *w, double budget)
{
    const bool over = w->cut && w->slow_down > budget;
    struct control c = *control;
    switch (c.phase) {
    case PHASE_UNSPLIT:
        return unsplit(c, w);
    case PHASE_TRY:
        return try(c, w, over);
    case PHASE_CHECK_UNSPLIT:
        c.phase = PHASE_CHECK_SPLIT;
        c.level = c.best_level;
        c.unsplit_use = w->cpu_used;
        return c;
    case PHASE_CHECK_SPLIT:
        return check_split(c, w, over);
    default:
        return split(c, w, over);
    }
}
