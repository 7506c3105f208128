#include "work.h"

#define STREAMS 1024
#define EVENTS 8192
#define PROBES 16
/* A place whose stream or event is gone; the search goes on behind it. */
#define GONE ((uintptr_t)-1)

static struct work works[STREAMS];
/* The places that were ever used, in the order of their first use: few, so that all are soon seen. */
static _Atomic uint16_t used[STREAMS];
static _Atomic unsigned used_count;

static struct event {
    _Atomic uintptr_t handle;
    atomic_flag busy;
    _Atomic bool blocks;
    struct moment at;
    struct feeding feeding; /* being recorded again */
} events[EVENTS];

/* One accident is not to cost more than so many waits the driver's lateness. */
#define DRIVERS 100

bool feeding_sleeps(struct feeding *f)
{
    unsigned left = atomic_load_explicit(&f->drivers, memory_order_relaxed);
    if (left) /* two threads may count as one: it is no exact number */
        atomic_store_explicit(&f->drivers, left - 1, memory_order_relaxed);
    else
        atomic_fetch_add(&f->sleepers, 1);
    return !left;
}

void feeding_wakes(struct feeding *f)
{
    atomic_fetch_sub(&f->sleepers, 1);
}

void feeding_fed(struct feeding *f)
{
    if (atomic_load_explicit(&f->sleepers, memory_order_relaxed))
        atomic_store_explicit(&f->drivers, DRIVERS, memory_order_relaxed);
}

bool feeding_was_fed(const struct feeding *f)
{
    return atomic_load_explicit(&f->drivers, memory_order_relaxed) != 0;
}

static uint64_t place(uintptr_t handle)
{
    return engine_mix(handle, 0x5851f42d4c957f2du);
}

struct work *work_of(uintptr_t handle)
{
    const uint64_t from = place(handle);
    for (unsigned i = 0; i < PROBES; i++) {
        uintptr_t there = atomic_load_explicit(&works[(from + i) % STREAMS].handle,
                                               memory_order_acquire);
        if (there == handle)
            return &works[(from + i) % STREAMS];
        if (there == 0)
            break;
    }
    for (unsigned i = 0; i < PROBES; i++) {
        struct work *w = &works[(from + i) % STREAMS];
        uintptr_t there = atomic_load_explicit(&w->handle, memory_order_acquire);
        if (there == 0 && atomic_compare_exchange_strong(&w->handle, &there, handle)) {
            atomic_store(&used[atomic_fetch_add(&used_count, 1)], (uint16_t)((from + i) % STREAMS));
            return w;
        }
        /* Two threads may make the same at once, one of them behind the other's. */
        if (there == handle ||
            (there == GONE &&
             (atomic_compare_exchange_strong(&w->handle, &there, handle) || there == handle)))
            return w;
    }
    return NULL;
}

static void forget(struct work *w)
{
    atomic_store(&w->seen, atomic_load(&w->sum));
    atomic_store(&w->arguments_seen, atomic_load(&w->arguments));
    atomic_store(&w->items_seen, atomic_load(&w->items));
    atomic_store(&w->begin, 0);
    atomic_store(&w->context, 0);
    atomic_store(&w->feeding.drivers, 0);
    atomic_store(&w->handle, GONE);
}

void work_forget(uintptr_t handle)
{
    const uint64_t from = place(handle);
    for (unsigned i = 0; i < PROBES; i++) {
        struct work *w = &works[(from + i) % STREAMS];
        if (atomic_load_explicit(&w->handle, memory_order_acquire) == handle)
            forget(w);
    }
}

void work_forget_context(uintptr_t context)
{
    const unsigned n = atomic_load_explicit(&used_count, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        struct work *w = &works[atomic_load_explicit(&used[i], memory_order_relaxed)];
        const uintptr_t handle = atomic_load_explicit(&w->handle, memory_order_acquire);
        if (handle && handle != GONE && (!context || atomic_load(&w->context) == context))
            forget(w);
    }
}

/* What a command adds to the sum. */
static uint64_t added(uint64_t key)
{
    return (uint64_t)1 << 32 | (uint32_t)(key ^ key >> 32);
}

/* What work is called that adds so much. */
static uint64_t called(uint64_t sum)
{
    return engine_mix(sum, 0x2545f4914f6cdd1du);
}

uint64_t work_alone(uint64_t key)
{
    return called(added(key));
}

void work_given(struct work *w, uint64_t key, uint64_t arguments, uint64_t now)
{
    uint64_t begin = atomic_load_explicit(&w->begin, memory_order_relaxed);
    feeding_fed(&w->feeding);
    if (!begin) /* else nobody need know what time it is: that costs more than all the rest */
        atomic_compare_exchange_strong_explicit(&w->begin, &begin, now ? now : engine_now(), memory_order_relaxed,
                                                memory_order_relaxed);
    /* Two steps: whoever looks between them expects another time, once. */
    if (arguments)
        atomic_fetch_add_explicit(&w->arguments, arguments, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->sum, added(key), memory_order_relaxed);
}

static uint64_t together(struct work *w)
{
    return engine_mix((uintptr_t)w, atomic_load_explicit(&w->waits, memory_order_relaxed));
}

uint64_t work_items(struct work *w, size_t items)
{
    atomic_fetch_add_explicit(&w->items, items, memory_order_relaxed);
    return together(w);
}

uint64_t work_together(const struct moment *m, uint64_t *items)
{
    *items = m->items - atomic_load_explicit(&m->work->items_seen, memory_order_relaxed);
    return together(m->work);
}

struct moment work_until_now(struct work *w)
{
    return (struct moment){ w, atomic_load_explicit(&w->sum, memory_order_relaxed),
                            atomic_load_explicit(&w->arguments, memory_order_relaxed),
                            atomic_load_explicit(&w->items, memory_order_relaxed),
                            atomic_load_explicit(&w->begin, memory_order_relaxed) };
}

bool work_left(const struct moment *m, struct key *key, uint64_t *begin)
{
    const uint64_t given = m->sum - atomic_load_explicit(&m->work->seen, memory_order_relaxed);
    const uint64_t since = atomic_load_explicit(&m->work->begin, memory_order_relaxed);
    const uint64_t arguments =
        m->arguments - atomic_load_explicit(&m->work->arguments_seen, memory_order_relaxed);
    key->rough = called(given);
    key->fine = arguments ? engine_mix(key->rough, arguments) : key->rough;
    *begin = since > m->begin ? since : m->begin;
    return (int64_t)given > 0 && since != 0 && m->begin != 0;
}

void work_over(const struct moment *m, uint64_t now)
{
    struct work *w = m->work;
    uint64_t seen = atomic_load_explicit(&w->seen, memory_order_relaxed);
    do {
        if ((int64_t)(m->sum - seen) <= 0)
            return;
    } while (!atomic_compare_exchange_weak_explicit(&w->seen, &seen, m->sum, memory_order_relaxed,
                                                    memory_order_relaxed));
    atomic_store_explicit(&w->arguments_seen, m->arguments, memory_order_relaxed);
    atomic_store_explicit(&w->items_seen, m->items, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->waits, 1, memory_order_relaxed);
    /* What came meanwhile began when this was over, as far as one can tell. */
    bool more = atomic_load_explicit(&w->sum, memory_order_relaxed) != m->sum;
    atomic_store_explicit(&w->begin, more ? now : 0, memory_order_relaxed);
}

void work_each(bool (*each)(struct work *work, void *what), void *what)
{
    const unsigned n = atomic_load_explicit(&used_count, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        struct work *w = &works[atomic_load_explicit(&used[i], memory_order_relaxed)];
        uintptr_t handle = atomic_load_explicit(&w->handle, memory_order_acquire);
        if (handle != 0 && handle != GONE && atomic_load(&w->sum) != atomic_load(&w->seen) &&
            !each(w, what))
            return;
    }
}

static struct event *event_place(uintptr_t handle, bool make)
{
    const uint64_t from = place(handle);
    for (unsigned i = 0; i < PROBES; i++) {
        struct event *e = &events[(from + i) % EVENTS];
        uintptr_t there = atomic_load_explicit(&e->handle, memory_order_acquire);
        if (there == handle)
            return e;
        if (there == 0)
            break;
    }
    for (unsigned i = 0; make && i < PROBES; i++) {
        struct event *e = &events[(from + i) % EVENTS];
        uintptr_t there = atomic_load_explicit(&e->handle, memory_order_acquire);
        if ((there == 0 || there == GONE) &&
            (atomic_compare_exchange_strong(&e->handle, &there, handle) || there == handle))
            return e;
    }
    return NULL;
}

static bool event_take(struct event *e)
{
    return !atomic_flag_test_and_set_explicit(&e->busy, memory_order_acquire);
}

void event_recorded(uintptr_t handle, struct moment m)
{
    struct event *e = event_place(handle, true);
    if (!e || !event_take(e))
        return;
    e->at = m;
    feeding_fed(&e->feeding);
    atomic_flag_clear_explicit(&e->busy, memory_order_release);
}

bool event_moment(uintptr_t handle, struct moment *m, struct feeding **feeding)
{
    struct event *e = event_place(handle, false);
    if (!e || !event_take(e))
        return false;
    *m = e->at;
    *feeding = &e->feeding;
    atomic_flag_clear_explicit(&e->busy, memory_order_release);
    return m->work != NULL;
}

void event_blocks(uintptr_t handle)
{
    struct event *e = event_place(handle, true);
    if (e)
        atomic_store_explicit(&e->blocks, true, memory_order_relaxed);
}

bool event_is_blocking(uintptr_t handle)
{
    struct event *e = event_place(handle, false);
    return e && atomic_load_explicit(&e->blocks, memory_order_relaxed);
}

void event_forget(uintptr_t handle)
{
    struct event *e = event_place(handle, false);
    if (!e || !event_take(e))
        return;
    e->at.work = NULL;
    atomic_store(&e->blocks, false);
    atomic_store(&e->feeding.drivers, 0);
    atomic_store(&e->handle, GONE);
    atomic_flag_clear_explicit(&e->busy, memory_order_release);
}
