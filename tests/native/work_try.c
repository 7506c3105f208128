/* Tries what is known of streams and events: ends with a message where that is wrong. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "work.h"

#define CHECK(what)                                                                                  \
    do {                                                                                             \
        if (!(what)) {                                                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                               \
            exit(1);                                                                                 \
        }                                                                                            \
    } while (0)

static struct key key;
static uint64_t begin;

static bool left(struct moment m)
{
    return work_left(&m, &key, &begin);
}

/* The same commands give the same key, whatever was before them, and know when they began. */
static void keys(void)
{
    struct work *w = work_of(0x1000);
    struct key first;
    CHECK(!left(work_until_now(w)));
    work_given(w, 7, 0, 100);
    work_given(w, 9, 0, 200);
    struct moment one = work_until_now(w);
    CHECK(left(one) && begin == 100);
    first = key;
    work_given(w, 7, 0, 300);
    work_over(&one, 400);
    CHECK(left(work_until_now(w)) && key.rough != first.rough && begin == 400);
    struct moment all = work_until_now(w);
    work_over(&all, 500);
    CHECK(!left(work_until_now(w)));
    work_given(w, 9, 0, 600); /* threads give in any order */
    work_given(w, 7, 0, 600);
    CHECK(left(work_until_now(w)) && key.rough == first.rough && key.fine == key.rough && begin == 600);
    all = work_until_now(w);
    work_over(&all, 700);
    /* Arguments make it another work of the same name. */
    work_given(w, 7, 5, 750);
    work_given(w, 9, 6, 750);
    all = work_until_now(w);
    CHECK(left(all) && key.rough == first.rough && key.fine != key.rough);
    first = key;
    work_over(&all, 760);
    work_given(w, 7, 5, 770);
    work_given(w, 9, 8, 770);
    all = work_until_now(w);
    CHECK(left(all) && key.rough == first.rough && key.fine != first.fine);
    work_over(&all, 790);
    /* Whoever waits for an old moment learns nothing, and makes nothing unfinished. */
    CHECK(!left(one));
    work_over(&one, 800);
    CHECK(!left(work_until_now(w)));
    work_forget(0x1000);
}

/* A handle that comes back is another stream. */
static void handles(void)
{
    for (uintptr_t i = 0; i < 20000; i++) {
        const uintptr_t handle = 0x2000 + i % 3000 * 64;
        struct work *w = work_of(handle);
        CHECK(w && w == work_of(handle) && !left(work_until_now(w)));
        work_given(w, i, 0, i + 1);
        struct moment m = work_until_now(w), found;
        struct feeding *feeding;
        event_recorded(handle, m);
        CHECK(event_moment(handle, &found, &feeding) && found.work == w && found.sum == m.sum);
        if (i % 2)
            event_forget(handle);
        atomic_store(&w->context, 1 + i % 7);
        work_forget(handle);
        CHECK(!left(m)); /* its events are no other stream's */
    }
}

static bool count(struct work *work, void *what)
{
    (void)work;
    ++*(int *)what;
    return true;
}

static void contexts(void)
{
    int n = 0;
    for (uintptr_t i = 1; i <= 10; i++) {
        struct work *w = work_of(i << 20);
        atomic_store(&w->context, i % 2 + 1);
        work_given(w, 1, 0, 1);
    }
    work_forget_context(1);
    work_each(count, &n);
    CHECK(n == 5);
    work_forget_context(0);
    n = 0;
    work_each(count, &n);
    CHECK(n == 0);
}

static void feeding(void)
{
    static struct feeding f;
    int drivers = 0;
    feeding_fed(&f); /* nobody sleeps */
    CHECK(feeding_sleeps(&f));
    feeding_fed(&f);
    CHECK(feeding_was_fed(&f));
    feeding_wakes(&f);
    while (!feeding_sleeps(&f))
        drivers++;
    CHECK(drivers > 10 && drivers < 1000);
}

/* Work of one name that takes now long, now short: where arguments tell, each is expected. */
static void arguments(void)
{
    const struct key longer = { 1, 2 }, shorter = { 1, 3 }, new = { 1, 4 };
    for (int i = 0; i < 4; i++) {
        const struct waited seen_long = { .busy = 6990000 }, seen_short = { .busy = 690000 };
        engine_learn(longer, 1, 7000000, &seen_long);
        engine_learn(shorter, 1, 700000, &seen_short);
    }
    CHECK(engine_expects(longer) > 6900000 && engine_expects(longer) < 7000000);
    CHECK(engine_expects(shorter) > 690000 && engine_expects(shorter) < 700000);
    CHECK(engine_expects(new) == engine_expects((struct key){ 1, 1 }));
    /* Where they make no difference they are no name: what never comes again would fill the memory. */
    for (unsigned i = 0; i < 4; i++) {
        const struct waited seen = { .busy = 990000 };
        engine_learn((struct key){ 5, 6 + i }, 1, 1000000, &seen);
        CHECK(engine_expects((struct key){ 6 + i, 6 + i }) == 0);
    }
}

/* Threads make, feed and forget streams at the same time. */
static void *some_streams(void *number)
{
    for (uintptr_t i = 0; i < 20000; i++) {
        const uintptr_t handle = ((uintptr_t)number * 100 + i % 90 + 1) << 12;
        struct work *w = work_of(handle), *shared = work_of(0x7ff8);
        CHECK(w && shared && atomic_load(&w->handle) == handle);
        work_given(w, i, 0, i + 1);
        work_given(shared, i, 0, i + 1);
        struct moment m = work_until_now(shared), found;
        struct feeding *feeding;
        event_recorded(0x7ff8, m);
        event_moment(0x7ff8, &found, &feeding);
        work_over(&m, i + 2);
        work_forget(handle);
    }
    return NULL;
}

int main(void)
{
    keys();
    handles();
    contexts();
    feeding();
    arguments();
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, some_streams, (void *)(i + 1));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
