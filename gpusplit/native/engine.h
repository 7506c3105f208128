/* The wait engine: how long will this take, sleep until then, ask gently.  It knows no API.
 *
 * A wait is for some work, named by a key: the same kernels in the same sizes give the same key; where
 * their times lie far apart, so do the arguments that may tell them from each other.
 * What earlier waits for that key took is remembered; a wait sleeps until just before the first
 * time that is likely, asks for a short while, sleeps on until the next.  It never asks for long:
 * what comes later than expected, or was never seen, is the driver's own (blocking) wait. */
#ifndef GPUSPLIT_ENGINE_H
#define GPUSPLIT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

enum answer {
    ANSWER_BUSY, /* not yet */
    ANSWER_DONE, /* the work is over */
    ANSWER_NONE, /* asking is no use (an error, an open capture): leave it to the driver */
};

/* Says how the work named by `what` stands.  Called often: must not wait, lock or allocate. */
typedef enum answer ask_fn(void *what);

struct waited {
    enum answer answer; /* the last one */
    uint64_t since;     /* when the wait began, ns; 0: it is not known */
    uint64_t busy;      /* when it was last known not to be over, ns; 0: it was never asked in time */
    unsigned naps;      /* how often the thread slept */
    uint64_t slept_for; /* the time, ns, that it last slept for; 0: for none */
    bool by_arguments;  /* the times that it went by were those of the finer name */
};

/* What work is called: by kernels and sizes, and by arguments, too (the same, where none is known). */
struct key {
    uint64_t rough, fine;
};

/* Now, in nanoseconds of CLOCK_MONOTONIC. */
uint64_t engine_now(void);

/* Waits for work `key` that began at `begin` (ns); returns as soon as it is over, or as soon as
 * there is nothing better to do than to wait as the driver does.  Keeps errno and timer slack. */
struct waited engine_wait(struct key key, uint64_t begin, ask_fn *ask, void *what);

/* Goes on waiting where there is no driver's wait that sleeps: naps and asks until there is an
 * answer.  What was never seen before so is noticed at most 1/32 late. */
void engine_nap(uint64_t begin, ask_fn *ask, void *what, struct waited *w);

/* Learns that the work `key`, begun at `begin`, was over at `end` (ns), or had been for some time
 * then: w says since when at most. */
void engine_learn(struct key key, uint64_t begin, uint64_t end, const struct waited *w);

/* Knows nothing again. */
void engine_forget(void);

/* The shortest time remembered of `key`, in ns; 0: none is. */
uint64_t engine_expects(struct key key);

/* How often this thread has slept in waits, ever. */
unsigned engine_naps(void);

/* How long to ask without sleeping, in ns: waking up costs as much. */
void engine_set_spin(uint64_t ns);

/* A key from two. */
static inline uint64_t engine_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2));
    x ^= x >> 31;
    x *= 0x7fb5d329728ea185u;
    return x ^ x >> 27;
}

#endif
