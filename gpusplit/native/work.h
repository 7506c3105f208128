/* What a program has given to its streams and not waited for: by it a wait is recognised. */
#ifndef GPUSPLIT_WORK_H
#define GPUSPLIT_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* Whether others go on feeding what somebody waits for.  Then asking whether it is over tells nothing
 * of the work that was there at first: the wait is the driver's, and so are the next ones. */
struct feeding {
    _Atomic unsigned sleepers;
    _Atomic unsigned drivers; /* so many waits are the driver's yet */
};

bool feeding_sleeps(struct feeding *feeding); /* false: this wait is the driver's */
void feeding_wakes(struct feeding *feeding);
void feeding_fed(struct feeding *feeding);
bool feeding_was_fed(const struct feeding *feeding);

/* One stream or queue.  Sums are of the keys of all commands ever given to it; what was given
 * since some moment is the difference, whatever order threads gave it in.  Each command adds at least
 * 1 << 32, so that sums also tell which of two moments is the later one. */
struct work {
    _Atomic uintptr_t handle;
    _Atomic uint64_t sum;   /* of everything given */
    _Atomic uint64_t seen;  /* of everything known to be over */
    /* The same of the arguments of these commands, as far as they are known; without the number. */
    _Atomic uint64_t arguments, arguments_seen;
    /* The work-items of these commands, of OpenCL's kernels; and how often a part was known to be over. */
    _Atomic uint64_t items, items_seen, waits;
    _Atomic uint64_t begin; /* when the first of the rest could begin, ns; 0: there is no rest */
    _Atomic uintptr_t context; /* what it belongs to; 0: not known yet */
    struct feeding feeding;
};

/* A moment in a stream: an event, or the beginning of a wait. */
struct moment {
    struct work *work;
    uint64_t sum;
    uint64_t arguments;
    uint64_t items;
    uint64_t begin;
};

/* The work of a stream, made if need be; NULL where there are too many. */
struct work *work_of(uintptr_t handle);

/* Forgets a stream that is destroyed. */
void work_forget(uintptr_t handle);

/* Forgets all streams of a context that is destroyed; 0: of all contexts. */
void work_forget_context(uintptr_t context);

/* Notes a command, which could begin at `now` (ns; 0: at this moment); arguments: by which it differs from others of
 * that key, 0: nothing is known of it. */
void work_given(struct work *work, uint64_t key, uint64_t arguments, uint64_t now);

/* Counts the work-items of a command that is about to be noted; the name of all that is waited for with
 * it. */
uint64_t work_items(struct work *work, size_t items);

/* The name of what is waited for next, and how many work-items of it come before `m`. */
uint64_t work_together(const struct moment *m, uint64_t *items);

/* What has been given until now. */
struct moment work_until_now(struct work *work);

/* Whether anything before `m` is not known to be over; its key, and when it began. */
bool work_left(const struct moment *m, struct key *key, uint64_t *begin);

/* The key of work that is one command, noted with `key`, alone. */
uint64_t work_alone(uint64_t key);

/* Everything before `m` was over at `now`; no news where a later moment is known to be past. */
void work_over(const struct moment *m, uint64_t now);

/* Calls `each` with every stream that has something left, until it returns false. */
void work_each(bool (*each)(struct work *work, void *what), void *what);

/* Remembers where in its stream an event was recorded, and finds it again. */
void event_recorded(uintptr_t event, struct moment m);
bool event_moment(uintptr_t event, struct moment *m, struct feeding **feeding);

/* The driver's own wait for this event sleeps, since the program wants it so. */
void event_blocks(uintptr_t event);
bool event_is_blocking(uintptr_t event);
void event_forget(uintptr_t event);

#endif
