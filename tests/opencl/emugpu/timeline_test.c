/* The emulated GPU's timeline, driven through virtual time: no OpenCL, no clock, no threads.
 *
 * The card of most tests has 10 slots (5 compute units of 2 work-groups) and waves of 1000 ns. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "timeline.h"

static int failures;

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            printf("%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #condition); \
            failures++;                                                              \
        }                                                                            \
    } while (0)
#define CHECK_TIME(expression, expected)                                                     \
    do {                                                                                     \
        double got_ = (expression), want_ = (expected);                                      \
        if (!(fabs(got_ - want_) <= 0.01)) {                                                 \
            printf("%s:%d: %s: %s is %.3f, not %.3f\n", __FILE__, __LINE__, __func__,        \
                   #expression, got_, want_);                                                \
            failures++;                                                                      \
        }                                                                                    \
    } while (0)

static const struct model card = {
    .compute_units = 5, .resident_work_groups = 2, .resident_work_items = 512,
    .launch_ns = 100, .gap_ns = 20, .tail = 1,
    .transfer = { { 50, 1 }, { 50, 2 }, { 10, 0.5 } },
    .default_work_item_ns = 1000.0 / (10 * 64),
};

static struct tl_command *launch(struct timeline *tl, double now, double groups,
                                 struct tl_command *after)
{
    struct command_spec spec = { .kind = KIND_KERNEL,
                                 .work = model_work(tl->model, NULL, 1, groups, 64) };
    return tl_add(tl, spec, now, &after, after != NULL, NULL);
}

static struct tl_command *transfer(struct timeline *tl, double now, enum transfer_path path,
                                   double bytes, struct tl_command *after)
{
    struct command_spec spec = { .kind = KIND_TRANSFER, .path = path,
                                 .transfer_ns = model_transfer_ns(tl->model, path, bytes) };
    return tl_add(tl, spec, now, &after, after != NULL, NULL);
}

/* Adds a command of any kind and forgets about it but for the timeline's own reference. */
static struct tl_command *forget(struct tl_command *c)
{
    tl_unref(c);
    return c;
}

static void a_kernel_takes_launch_latency_and_whole_waves(void)
{
    static const double groups_and_waves[][2] = { { 1, 1 }, { 10, 1 }, { 11, 2 }, { 25, 3 }, { 1e6, 1e5 } };
    for (int i = 0; i < 5; i++) {
        struct timeline *tl = tl_new(&card);
        struct tl_command *c = launch(tl, 0, groups_and_waves[i][0], NULL);
        CHECK_TIME(tl_predict(tl, c), 100 + groups_and_waves[i][1] * 1000);
        tl_advance(tl, 1e12);
        CHECK(c->state == STATE_DONE);
        CHECK_TIME(c->start, 100);
        CHECK_TIME(c->end, 100 + groups_and_waves[i][1] * 1000);
        tl_unref(c);
        tl_free(tl);
    }
}

static void kernels_of_one_queue_follow_each_other_after_the_gap(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *a = launch(tl, 0, 10, NULL), *b = launch(tl, 1, 10, a);
    CHECK_TIME(tl_predict(tl, a), 1100);
    CHECK_TIME(tl_predict(tl, b), 1100 + 20 + 1000);
    tl_advance(tl, 1119);
    CHECK(a->state == STATE_DONE);
    CHECK(b->state != STATE_RUNNING);
    tl_advance(tl, 1120);
    CHECK(b->state == STATE_RUNNING);
    tl_unref(a);
    tl_unref(b);
    tl_free(tl);
}

static void an_idle_gpu_takes_the_launch_latency_again(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *a = launch(tl, 0, 10, NULL);
    tl_advance(tl, 5000);
    struct tl_command *b = launch(tl, 5000, 10, a);
    CHECK_TIME(tl_predict(tl, b), 5000 + 100 + 1000);
    tl_unref(a);
    tl_unref(b);
    tl_free(tl);
}

/* 25 and 5 work-groups are three waves together: the 5 fit beside the last 5 of the 25. */
static void another_queues_kernel_fills_the_last_wave(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *a = launch(tl, 0, 25, NULL), *b = launch(tl, 0, 5, NULL);
    tl_advance(tl, 1e6);
    CHECK_TIME(a->end, 100 + 3000);
    CHECK_TIME(b->start, 100 + 2000);
    CHECK_TIME(b->end, 100 + 3000);
    tl_unref(a);
    tl_unref(b);
    tl_free(tl);
}

static void launches_pass_the_front_end_one_at_a_time(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *a = launch(tl, 0, 1, NULL), *b = launch(tl, 0, 1, NULL);
    tl_advance(tl, 1e6);
    CHECK_TIME(a->start, 100);
    CHECK_TIME(b->start, 120);
    tl_unref(a);
    tl_unref(b);
    tl_free(tl);
}

/* With tail 0.4 a GPU that is filled to 40 % does all it can: 5 work-groups take half a wave, 1 takes
 * 0.4 of one. */
static void few_work_groups_run_faster_where_the_tail_is_soft(void)
{
    struct model soft = card;
    soft.tail = 0.4;
    static const double groups_and_time[][2] = { { 10, 1000 }, { 5, 500 }, { 4, 400 }, { 1, 400 }, { 12, 1400 } };
    for (int i = 0; i < 5; i++) {
        struct timeline *tl = tl_new(&soft);
        struct tl_command *c = launch(tl, 0, groups_and_time[i][0], NULL);
        tl_advance(tl, 1e6);
        CHECK_TIME(c->end - c->start, groups_and_time[i][1]);
        tl_unref(c);
        tl_free(tl);
    }
}

/* The older of two kernels that share the GPU loses nothing; the younger gets what is left over. */
/* The oldest kernel's work-groups need a fifth of the GPU each. While there is no room for one, a younger
 * kernel with small ones must not slip in, or the oldest might never run. */
static void a_younger_kernel_does_not_overtake(void)
{
    struct timeline *tl = tl_new(&card);
    struct command_spec large = { .kind = KIND_KERNEL, .work = model_work(&card, NULL, 1, 1, 512) };
    struct tl_command *a = launch(tl, 0, 9, NULL), *b = tl_add(tl, large, 0, NULL, 0, NULL);
    struct tl_command *c = launch(tl, 0, 1, NULL);
    tl_advance(tl, 1e6);
    CHECK_TIME(b->start, a->end);
    CHECK(c->start >= b->start);
    tl_unref(a);
    tl_unref(b);
    tl_unref(c);
    tl_free(tl);
}

static void an_older_kernel_has_the_first_call_on_the_gpu(void)
{
    struct model soft = card;
    soft.tail = 0.5;
    soft.gap_ns = 0;
    struct timeline *tl = tl_new(&soft);
    struct tl_command *a = launch(tl, 0, 4, NULL), *b = launch(tl, 0, 4, NULL);
    tl_advance(tl, 1e6);
    CHECK_TIME(a->end - a->start, 500);             /* throughput 0.8 of 1 */
    CHECK_TIME(b->end - b->start, 500 + 300 / 0.8); /* 0.2, then 0.8 for the other 300 of 400 */
    tl_unref(a);
    tl_unref(b);
    tl_free(tl);
}

static void stragglers_hold_up_their_own_queue_only(void)
{
    struct model slow = card;
    slow.straggle = 0.5;
    struct timeline *tl = tl_new(&slow);
    struct tl_command *a = launch(tl, 0, 10, NULL), *b = launch(tl, 0, 10, a);
    struct tl_command *other = launch(tl, 0, 10, NULL);
    tl_advance(tl, 1e6);
    CHECK_TIME(a->end, 100 + 1000 + 500);
    CHECK_TIME(other->start, 100 + 1000);
    CHECK_TIME(b->start, 100 + 2000); /* a's end is before that, but the slots were taken */
    tl_unref(a);
    tl_unref(b);
    tl_unref(other);
    tl_free(tl);
}

static void transfers_take_latency_and_bandwidth_one_at_a_time_per_path(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *up = transfer(tl, 0, PATH_UPLOAD, 100, NULL);
    struct tl_command *up2 = transfer(tl, 10, PATH_UPLOAD, 100, NULL);
    struct tl_command *down = transfer(tl, 10, PATH_DOWNLOAD, 100, NULL);
    struct tl_command *kernel = launch(tl, 0, 10, NULL);
    tl_advance(tl, 1e6);
    CHECK_TIME(up->end, 150);
    CHECK_TIME(up2->start, 150);
    CHECK_TIME(up2->end, 300);
    CHECK_TIME(down->start, 10); /* the other way there is another engine */
    CHECK_TIME(down->end, 10 + 50 + 200);
    CHECK_TIME(kernel->end, 1100); /* and neither disturbs the kernel */
    tl_unref(up);
    tl_unref(up2);
    tl_unref(down);
    tl_unref(kernel);
    tl_free(tl);
}

static void what_waits_for_a_user_event_has_no_end_until_it_is_set(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *user = tl_add(tl, (struct command_spec){ .kind = KIND_USER }, 0, NULL, 0, NULL);
    struct tl_command *c = launch(tl, 0, 10, user);
    CHECK(tl_predict(tl, c) == INFINITY);
    tl_advance(tl, 7000);
    CHECK(c->state == STATE_HELD);
    tl_set_user(tl, user, 7000, 0);
    CHECK_TIME(tl_predict(tl, c), 7000 + 20 + 1000);
    tl_unref(user);
    tl_unref(c);
    tl_free(tl);
}

static void a_failed_user_event_abandons_all_that_wait_for_it(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *user = tl_add(tl, (struct command_spec){ .kind = KIND_USER }, 0, NULL, 0, NULL);
    struct tl_command *a = launch(tl, 0, 10, user), *b = launch(tl, 0, 10, a);
    struct tl_command *other = launch(tl, 0, 10, NULL);
    tl_set_user(tl, user, 10, -5);
    tl_advance(tl, 11);
    struct tl_command *late = launch(tl, 20, 10, b);
    tl_advance(tl, 1e6);
    CHECK(user->error == -5);
    CHECK(a->error == -14 && b->error == -14 && late->error == -14);
    CHECK_TIME(b->end, 10);
    CHECK(other->error == 0);
    CHECK_TIME(other->end, 1100);
    tl_unref(user);
    tl_unref(a);
    tl_unref(b);
    tl_unref(late);
    tl_unref(other);
    tl_free(tl);
}

static unsigned seed;

static int any(int below)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)((seed >> 8) % (unsigned)below);
}

/* Random programs on three in-order queues and with random waits: what is predicted when the last
 * command is in is what happens, in whatever steps time is then advanced; and the GPU never does more
 * work than it can. */
static void what_is_predicted_happens(void)
{
    for (unsigned program = 0; program < 200; program++) {
        enum { N = 40 };
        struct model m = card;
        seed = program;
        m.tail = any(5) / 4.0;
        m.straggle = any(3) / 4.0;
        struct timeline *tl = tl_new(&m);
        struct tl_command *c[N], *last[3] = { NULL };
        double now = 0, predicted[N], work = 0;
        for (int i = 0; i < N; i++) {
            struct tl_command *after[2];
            int n = 0, queue = any(3);
            now += any(4) ? any(300) : 0;
            tl_advance(tl, now);
            if (last[queue])
                after[n++] = last[queue];
            if (i && any(3) == 0)
                after[n++] = c[any(i)];
            struct command_spec spec = { .kind = (enum command_kind)any(3) };
            if (spec.kind == KIND_KERNEL) {
                spec.work = model_work(&m, NULL, 1 + any(3), 1 + any(60), any(2) ? 64 : 256);
                work += spec.work.groups / spec.work.slots * spec.work.wave_ns;
            }
            if (spec.kind == KIND_TRANSFER) {
                spec.path = (enum transfer_path)any(PATH_COUNT);
                spec.transfer_ns = model_transfer_ns(&m, spec.path, any(5000));
            }
            last[queue] = c[i] = tl_add(tl, spec, now, after, n, NULL);
        }
        double end = 0;
        for (int i = 0; i < N; i++) {
            predicted[i] = tl_predict(tl, c[i]);
            end = fmax(end, predicted[i]);
        }
        while (now < end) {
            now += any(5) ? any(50) : any(5000);
            tl_advance(tl, now);
        }
        for (int i = 0; i < N; i++) {
            CHECK(c[i]->state == STATE_DONE);
            CHECK_TIME(c[i]->end, predicted[i]);
            CHECK(c[i]->start <= c[i]->end);
            tl_unref(c[i]);
        }
        CHECK(end >= work * 0.999999);
        CHECK(tl->all.n == 0);
        tl_free(tl);
    }
}

static void a_long_queue_is_no_burden(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *last = NULL;
    for (int i = 0; i < 20000; i++) {
        last = launch(tl, i, 1e6, last);
        if (i < 19999)
            forget(last);
    }
    CHECK_TIME(tl_predict(tl, last), 100 + 20000 * 1e8 + 19999 * 20.0);
    tl_unref(last);
    tl_free(tl); /* with all of them: a leak would show under the address sanitizer */
}

static void commands_that_the_program_dropped_still_run(void)
{
    struct timeline *tl = tl_new(&card);
    struct tl_command *a = forget(launch(tl, 0, 10, NULL));
    struct tl_command *b = launch(tl, 0, 10, a);
    tl_advance(tl, 1e6);
    CHECK_TIME(b->end, 2120);
    tl_unref(b);
    tl_free(tl);
}

static void a_kernels_cost_comes_from_its_entry_or_the_default(void)
{
    struct model m = card;
    m.kernels = 2;
    m.kernel[0] = (struct kernel_cost){ .name = "looping", .work_item_ns = 3, .times_argument = 0 };
    m.kernel[1] = (struct kernel_cost){ .name = "fixed", .wave_ns = 777, .times_argument = -1 };
    CHECK(model_kernel(&m, "unknown") == NULL);
    CHECK_TIME(model_work(&m, NULL, 1, 5, 64).wave_ns, 1000);
    CHECK_TIME(model_work(&m, model_kernel(&m, "fixed"), 1, 5, 64).wave_ns, 777);
    CHECK_TIME(model_work(&m, model_kernel(&m, "looping"), 4, 5, 64).wave_ns, 4 * 3 * 64 * 10);
    /* 512 resident work-items hold two work-groups of 256 or one of 512, and at most two of 64. */
    CHECK_TIME(model_work(&m, NULL, 1, 5, 256).slots, 10);
    CHECK_TIME(model_work(&m, NULL, 1, 5, 512).slots, 5);
    CHECK_TIME(model_work(&m, NULL, 1, 5, 64).slots, 10);
    model_scale(&m, 0.5);
    CHECK_TIME(model_work(&m, model_kernel(&m, "fixed"), 1, 5, 64).wave_ns, 388.5);
    CHECK_TIME(model_work(&m, NULL, 1, 5, 64).wave_ns, 500);
}

int main(void)
{
    a_kernel_takes_launch_latency_and_whole_waves();
    kernels_of_one_queue_follow_each_other_after_the_gap();
    an_idle_gpu_takes_the_launch_latency_again();
    another_queues_kernel_fills_the_last_wave();
    launches_pass_the_front_end_one_at_a_time();
    few_work_groups_run_faster_where_the_tail_is_soft();
    a_younger_kernel_does_not_overtake();
    an_older_kernel_has_the_first_call_on_the_gpu();
    stragglers_hold_up_their_own_queue_only();
    transfers_take_latency_and_bandwidth_one_at_a_time_per_path();
    what_waits_for_a_user_event_has_no_end_until_it_is_set();
    a_failed_user_event_abandons_all_that_wait_for_it();
    what_is_predicted_happens();
    a_long_queue_is_no_burden();
    commands_that_the_program_dropped_still_run();
    a_kernels_cost_comes_from_its_entry_or_the_default();
    printf(failures ? "%d failures\n" : "ok\n", failures);
    return failures != 0;
}
