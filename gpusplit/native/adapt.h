/* The control law of the policy adaptive: pure arithmetic over what was measured.
 *
 * Two loops.  The inner one, adapt_fit(), keeps every kernel's number of groups such that its predicted
 * slow-down stays within the budget.  The outer one, adapt_step(), finds by experiment whether cutting helps
 * the neighbours at all: all that they can gain is CPU time which this VM uses, so that is what is compared.
 * Time counts in windows: how long one is, is not known here.  docs/adaptive.md has the law, and why it does
 * not oscillate. */
#ifndef GPUSPLIT_ADAPT_H
#define GPUSPLIT_ADAPT_H

#include <stdbool.h>

/* What was measured while one number of groups was in force. */
struct window {
    double cpu_used;  /* CPUs that this process used */
    double stolen;    /* CPUs that this VM wanted and others got; negative: the host does not tell */
    bool cut;         /* launches were cut, and ... */
    double slow_down; /* ... were slower than unsplit by this part */
    int reach;        /* the most groups that any kernel can be cut into within the budget */
};

/* Where the outer loop is. */
enum phase {
    PHASE_UNSPLIT,       /* nothing is cut; once rested, an experiment begins if there is something to give */
    PHASE_TRY,           /* one number of groups after the other, a window each */
    PHASE_CHECK_UNSPLIT, /* one window may be luck: one more unsplit, ... */
    PHASE_CHECK_SPLIT,   /* ... and one at the best number */
    PHASE_SPLIT,         /* the last experiment showed a gain */
};

/* The outer loop's state, for one number of running VMs. */
struct control {
    enum phase phase;
    int level;          /* the most groups that any launch is cut into */
    char reason[64];    /* why, in words */
    double unsplit_use; /* CPUs used in the last unsplit window */
    int best_level;     /* the level with the least use in this experiment; 0: none yet */
    double best_use;    /* that use */
    int rest;           /* windows until the next experiment */
    int patience;       /* windows to rest after it */
    int strikes;        /* windows in a row above the budget, or in a trial without a launch that was cut */
    int quiet;          /* windows in a row in which nobody wanted the CPU; -1: nobody did yet */
};

/* The state at the start. */
struct control adapt_begin(void);

/* The next state, after `window` with `control` in force. */
struct control adapt_step(const struct control *control, const struct window *window, double budget);

/* Groups for a kernel of unsplit `seconds` whose further groups cost `group_cost` seconds each; it is cut
 * into `current` up to now, may be into `level`, and may become slower by the part `budget`. */
int adapt_fit(int current, int level, double seconds, double group_cost, double budget);

/* The fewest groups that are tried, and the most that such a kernel can be cut into within the budget, by
 * what a further group costs, if that is known. */
#define ADAPT_FEWEST 2
int adapt_reach(double seconds, bool known, double group_cost, double budget);

/* The mean of the last measurements, roughly; count is 0 before the first. */
struct mean {
    double value;
    int count;
};
void mean_add(struct mean *mean, double measured);

#endif
