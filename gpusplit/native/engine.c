#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "nap.h"

/* Waits that are remembered; further keys take the place of others. */
#define SLOTS 2048
/* Times remembered of one key. */
#define TIMES 8
/* Of finer names only those that come again are worth a place. */
#define FINER 8
/* A wait wakes at most so often before it is the driver's: in a guest each wake-up costs the host. */
#define MOST_NAPS 7
/* Sleeping for less is not worth the two switches. */
#define LEAST_NAP_NS 30000
/* The first nap of one who woke too early; the next are twice as long each. */
#define FIRST_NAP_NS 50000
/* To be awake so long before the work is over, beside how late the timer is. */
#define EARLY_NS 8000

/* A time that some work took, or the guess that stands for it: where the end was not seen. */
struct took {
    uint64_t ns;
    uint64_t least; /* it, or other such work, was not over after so long; 0: nobody asked in time */
    bool guess;
    uint64_t waited; /* the part of it that was waited for; 0: it is not known */
};

struct history {
    atomic_flag busy;
    uint64_t key;
    uint32_t next;
    uint32_t count;
    uint32_t guesses; /* since the shortest kind of work was seen to end */
    struct took times[TIMES];
    uint64_t finer[FINER]; /* the finer names that work of this one last had */
    uint32_t next_finer;
};

static struct history histories[SLOTS];
static _Atomic uint64_t spin_ns = 50000;
static __thread unsigned naps_ever __attribute__((tls_model("initial-exec")));

uint64_t engine_now(void)
{
    return nap_now();
}

unsigned engine_naps(void)
{
    return naps_ever;
}

void engine_set_spin(uint64_t ns)
{
    atomic_store_explicit(&spin_ns, ns, memory_order_relaxed);
}

/* Whoever finds a slot in use goes without: no thread waits for another here. */
static struct history *take(uint64_t key)
{
    struct history *h = &histories[(key ^ key >> 32) % SLOTS];
    return atomic_flag_test_and_set_explicit(&h->busy, memory_order_acquire) ? NULL : h;
}

static void give_back(struct history *h)
{
    atomic_flag_clear_explicit(&h->busy, memory_order_release);
}

/* The times of `key`, shortest first; how many. */
static unsigned recall(uint64_t key, struct took sorted[TIMES])
{
    struct history *h = take(key);
    if (!h)
        return 0;
    unsigned n = 0;
    if (h->key == key)
        for (; n < h->count; n++) {
            unsigned at = n;
            for (; at > 0 && sorted[at - 1].ns > h->times[n].ns; at--)
                sorted[at] = sorted[at - 1];
            sorted[at] = h->times[n];
        }
    give_back(h);
    return n;
}

static bool alike(uint64_t ns, uint64_t least, uint64_t most)
{
    return ns >= least - least / 8 && ns <= most + most / 8;
}

/* The end was somewhere between `busy` and `over`.  A little before `over`, but less and less with
 * every guess: who oversleeps badly is not to do so again and again.  Other such work may tell how long it
 * lasts at least, unless that goes wrong again and again. */
static struct took guess(const struct history *h, uint64_t busy, uint64_t over, unsigned guesses)
{
    const uint64_t little = busy ? over / 64 + 2 * FIRST_NAP_NS : over / 128 + FIRST_NAP_NS / 2;
    uint64_t less = guesses == 0 ? little : guesses == 1 ? over / 6 : over / 4 * 3, least = busy;
    for (unsigned i = 0; i < h->count && guesses < 4; i++) {
        const struct took *other = &h->times[i];
        if (other->least > least && other->least < over && alike(other->ns, over, over))
            least = other->least;
    }
    if (least && less > (over - least) / 2)
        less = (over - least) / 2;
    return (struct took){ less < over ? over - less : 0, least, true, 0 };
}

/* The shortest and the longest time remembered. */
static void extremes(const struct history *h, uint64_t *least, uint64_t *most)
{
    *least = UINT64_MAX, *most = 0;
    for (unsigned i = 0; i < h->count; i++) {
        *least = h->times[i].ns < *least ? h->times[i].ns : *least;
        *most = h->times[i].ns > *most ? h->times[i].ns : *most;
    }
}

/* Whether work of this name had that finer one lately.  Where what is taken for an argument is none (what lies
 * between the members of a structure, say), no finer name ever comes again. */
static bool came_before(struct history *h, uint64_t finer)
{
    for (unsigned i = 0; i < FINER; i++)
        if (h->finer[i] == finer)
            return true;
    h->finer[h->next_finer++ % FINER] = finer;
    return false;
}

/* finer: a name of the same work that has arguments in it; key itself, if it is that, and stands for times that
 * are all alike.  Returns whether it is worth to look closer. */
static bool learn(uint64_t key, uint64_t finer, uint64_t begin, uint64_t end, const struct waited *w)
{
    const bool fine = key == finer;
    const uint64_t over = end > begin ? end - begin : 0;
    const uint64_t busy = w->busy > begin && w->busy < end ? w->busy - begin : 0;
    struct history *h = take(key);
    if (!h)
        return false;
    if (h->key != key) {
        h->key = key;
        h->next = h->count = h->guesses = 0;
    }
    const bool seen = busy && over - busy <= 3 * FIRST_NAP_NS + over / 128;
    const bool nearly = busy && over - busy <= over / 8;
    uint64_t shortest, longest;
    extremes(h, &shortest, &longest);
    /* Over before the time that it was slept for: no timer was late, the work was shorter than ever. */
    const unsigned guesses = h->guesses + (over < w->slept_for);
    struct took took = seen ? (struct took){ busy + (over - busy) / 2, busy, false, 0 }
                            : guess(h, busy, over, guesses);
    took.waited = w->since && end > w->since ? end - w->since : 0;
    /* One that was all waited for vouches for others of its length. */
    for (unsigned i = 0; i < h->count; i++)
        if (alike(h->times[i].ns, took.ns, took.ns) && h->times[i].waited > took.waited)
            took.waited = h->times[i].waited;
    for (unsigned i = 0; i < h->count; i++)
        if (alike(h->times[i].ns, took.ns, took.ns))
            h->times[i].waited = took.waited;
    if (!seen)
        h->guesses = nearly ? 1 : guesses + 1;
    else if (took.ns / 9 * 8 <= shortest)
        h->guesses = 0;
    /* What was guessed before of this length is worth nothing beside what is known now; nor is, where
     * all are alike, what this one was asked after. */
    const uint64_t least = busy && over - busy <= over / 4 ? busy : over;
    unsigned kept = 0;
    for (unsigned i = 0; i < h->count; i++) {
        const uint64_t ns = h->times[i].ns;
        const bool refuted = alike(ns, least, over) || (fine && ns < busy);
        if (!h->times[i].guess || !refuted)
            h->times[kept++] = h->times[i];
    }
    if (kept < h->count || kept < TIMES)
        h->next = kept % TIMES;
    h->count = kept;
    h->times[h->next] = took;
    h->next = (h->next + 1) % TIMES;
    if (h->count < TIMES)
        h->count++;
    extremes(h, &shortest, &longest);
    const bool closer = longest - shortest > shortest / 8 + FIRST_NAP_NS && came_before(h, finer);
    give_back(h);
    return closer;
}

void engine_learn(struct key key, uint64_t begin, uint64_t end, const struct waited *w)
{
    /* Over when it was first asked for, without a sleep: how late the program came says nothing of the work. */
    if (w->answer == ANSWER_DONE && !w->busy && !w->naps)
        return;
    /* Nothing finer is known of many a work: then its one name stands for whatever times. */
    const uint64_t finer = key.fine != key.rough ? key.fine : 0;
    if ((learn(key.rough, finer, begin, end, w) || w->by_arguments) && finer)
        learn(finer, finer, begin, end, w);
}

void engine_forget(void)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct history *h = &histories[i];
        while (atomic_flag_test_and_set_explicit(&h->busy, memory_order_acquire))
            sched_yield(); /* who has it has it for less than a microsecond */
        h->key = h->next = h->count = h->guesses = 0;
        give_back(h);
    }
}

/* By arguments, if those were seen before. */
static unsigned recall_best(struct key key, struct took sorted[TIMES], bool *by_arguments)
{
    const unsigned n = key.fine != key.rough ? recall(key.fine, sorted) : 0;
    *by_arguments = n > 0;
    return n ? n : recall(key.rough, sorted);
}

uint64_t engine_expects(struct key key)
{
    struct took times[TIMES];
    bool by_arguments;
    return recall_best(key, times, &by_arguments) ? times[0].ns : 0;
}

/* Asks until `end` without sleeping, once at least. */
static void ask_until(struct waited *w, uint64_t end, ask_fn *ask, void *what)
{
    do {
        const uint64_t now = engine_now();
        w->answer = ask(what);
        if (w->answer != ANSWER_BUSY)
            return;
        w->busy = now;
    } while (w->busy < end);
}

/* Sleeps until `wake`, if that is worth it. */
static void nap_until(struct waited *w, uint64_t wake)
{
    const uint64_t now = engine_now();
    if (wake < now + LEAST_NAP_NS)
        return;
    nap(wake, now);
    w->naps++;
    naps_ever++;
}

struct waited engine_wait(struct key key, uint64_t begin, ask_fn *ask, void *what)
{
    const int saved_errno = errno;
    struct waited w = { .answer = ANSWER_BUSY, .since = engine_now() };
    struct took times[TIMES];
    const uint64_t spin = atomic_load_explicit(&spin_ns, memory_order_relaxed);
    const unsigned n = recall_best(key, times, &w.by_arguments);
    if (n == 0) /* Never seen: perhaps it is short. */
        ask_until(&w, engine_now() + spin, ask, what);
    for (unsigned i = 0; i < n && w.answer == ANSWER_BUSY && w.naps < MOST_NAPS; i++) {
        const uint64_t since = w.busy > begin ? w.busy - begin : 0, at = times[i].ns;
        const uint64_t apart = FIRST_NAP_NS + at / 2048;
        if (since && at + EARLY_NS <= since)
            continue;
        /* Where the program came late, or gave its last command late, how long the work takes is between what was
         * waited for then and all of the time. */
        for (uint64_t look = times[i].waited;
             look && look < at / 2 && w.answer == ANSWER_BUSY && w.naps < MOST_NAPS; look *= 2) {
            if (begin + look < engine_now())
                continue;
            nap_until(&w, begin + look);
            ask_until(&w, 0, ask, what);
        }
        if (w.answer != ANSWER_BUSY || w.naps >= MOST_NAPS)
            break;
        /* A little late is likelier than another kind of work: two more looks before a long sleep. */
        for (unsigned part = 8; i > 0 && at > 2 * since && part >= 2 && w.answer == ANSWER_BUSY && w.naps < MOST_NAPS;
             part /= 3) {
            nap_until(&w, w.busy + FIRST_NAP_NS + since / part);
            ask_until(&w, 0, ask, what);
        }
        if (w.answer != ANSWER_BUSY)
            break;
        /* Of times that lie close together only the first is worth asking for closely; but none is left
         * out, or the thread would sleep on until another kind of time. */
        const bool near = i > 0 && at < since + apart, first = i == 0 || at > since + 2 * apart;
        w.slept_for = at;
        const uint64_t early = first ? nap_lateness(at - since) + EARLY_NS : 0, goal = near ? since + apart : at;
        nap_until(&w, begin + goal - (goal > early ? early : goal));
        /* Asking on is what a nap would cost, which wakes no earlier either. */
        uint64_t until = at + spin / 2;
        for (unsigned j = i + 1; j < n && times[j].ns <= until + spin / 2 + at / 2048 &&
                                 times[j].ns <= at + 2 * spin + at / 256; j++)
            until = times[j].ns + spin / 2;
        ask_until(&w, first ? begin + until : 0, ask, what);
    }
    /* A little later than ever: not the driver's yet, whose sleep takes longer to end. */
    for (uint64_t nap = FIRST_NAP_NS; n && w.answer == ANSWER_BUSY && w.naps < MOST_NAPS; nap *= 2) {
        const uint64_t now = engine_now(), most = FIRST_NAP_NS + (now - begin) / 8;
        nap_until(&w, now + (nap < most ? nap : most));
        ask_until(&w, 0, ask, what);
    }
    errno = saved_errno;
    return w;
}

void engine_nap(uint64_t begin, ask_fn *ask, void *what, struct waited *w)
{
    const int saved_errno = errno;
    while (w->answer == ANSWER_BUSY) {
        const uint64_t now = engine_now(), elapsed = now > begin ? now - begin : 0;
        nap_until(w, now + FIRST_NAP_NS + elapsed / 32);
        ask_until(w, 0, ask, what);
    }
    errno = saved_errno;
}
