/* The control law of the policy adaptive: pure arithmetic over what was measured.  The same as adapt.py,
 * to which a test holds it, and where what is here is explained; docs/adaptive.md has the law. */
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

enum phase { PHASE_UNSPLIT, PHASE_TRY, PHASE_CHECK_UNSPLIT, PHASE_CHECK_SPLIT, PHASE_SPLIT };

/* The outer loop's state, for one number of running VMs. */
struct control {
    enum phase phase;
    int level;         /* the most groups that any launch is cut into */
    char reason[64];   /* why, in words */
    double unsplit_use;
    int best_level;    /* 0: none yet */
    double best_use;
    int rest, patience, strikes;
    int quiet;         /* -1: nobody wanted the CPU yet */
};

/* The state at the start. */
struct control adapt_begin(void);

/* The next state, after `window` with `control` in force. */
struct control adapt_step(const struct control *control, const struct window *window, double budget);

/* Groups for a kernel of unsplit `seconds` whose further groups cost `group_cost` seconds each. */
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
