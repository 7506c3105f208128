/* What splitting a launch costs on a modelled card, worked out without a clock: a program that
 * enqueues, waits and enqueues again is played through virtual time. For fitting a profile to
 * measurements of a real card, and for the test that the shipped profiles do fit.
 *
 *   split-cost PROFILE KERNEL SIZE HOST_US GROUPS...
 *
 * HOST_US is what the program itself takes between the end of a wait and its next enqueue.
 * The launch is the matrix product of SIZE x SIZE, local size 16 x 16, cut into GROUPS groups of whole
 * tile rows, as equal as whole rows can be. One line per number of groups: the number, milliseconds
 * unsplit, and the slow-down in per cent
 *   one queue, waiting for each group;      one queue, one group ahead;
 *   two queues in turn, one group ahead;    two queues in turn, two groups ahead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "timeline.h"

#define TILE 16

static struct model model;
static double host_ns;

static struct command_spec rows_of(const struct kernel_cost *cost, int size, int rows)
{
    double groups = (double)rows * (size / TILE);
    double times = cost && cost->times_argument >= 0 ? size : 1;
    return (struct command_spec){ .kind = KIND_KERNEL,
                                  .work = model_work(&model, cost, times, groups, TILE * TILE) };
}

/* The time of the whole launch in `n` slices over `queues` in-order queues, with at most `ahead` slices
 * enqueued behind the one that is waited for. */
static double play(const struct kernel_cost *cost, int size, int n, int queues, int ahead)
{
    struct timeline *tl = tl_new(&model);
    int rows = size / TILE;
    struct tl_command **slices = calloc((size_t)n, sizeof(void *));
    double now = 0; /* the program's time */
    for (int i = 0; i < n; i++) {
        if (i > ahead) {
            now = fmax(now, tl_predict(tl, slices[i - 1 - ahead]));
            now += host_ns;
        }
        int own = (int)((long)(i + 1) * rows / n - (long)i * rows / n);
        now += model.submit_ns;
        tl_advance(tl, now);
        slices[i] = tl_add(tl, rows_of(cost, size, own), now, &slices[i >= queues ? i - queues : 0],
                           i >= queues, NULL);
    }
    double end = 0;
    for (int i = 0; i < n; i++) {
        end = fmax(end, tl_predict(tl, slices[i]));
        tl_unref(slices[i]);
    }
    tl_free(tl);
    free(slices);
    return end;
}

int main(int n_args, char **args)
{
    char message[512];
    if (n_args < 6) {
        fprintf(stderr, "usage: split-cost PROFILE KERNEL SIZE HOST_US GROUPS...\n");
        return 2;
    }
    if (!profile_read(args[1], &model, message, sizeof message)) {
        fprintf(stderr, "split-cost: %s\n", message);
        return 1;
    }
    const struct kernel_cost *cost = model_kernel(&model, args[2]);
    host_ns = atof(args[4]) * 1e3;
    int size = atoi(args[3]), rows = size / TILE;
    if (rows < 1) {
        fprintf(stderr, "split-cost: SIZE must be at least %d\n", TILE);
        return 2;
    }
    for (int a = 5; a < n_args; a++) {
        int groups = atoi(args[a]);
        if (groups < 1 || groups > rows) {
            fprintf(stderr, "split-cost: GROUPS must be from 1 to %d\n", rows);
            return 2;
        }
        double whole = play(cost, size, 1, 1, 0);
        printf("%d %.3f", groups, whole / 1e6);
        static const int ways[][2] = { { 1, 0 }, { 1, 1 }, { 2, 1 }, { 2, 2 } };
        for (int w = 0; w < 4; w++)
            printf(" %.2f", 100 * (play(cost, size, groups, ways[w][0], ways[w][1]) / whole - 1));
        printf("\n");
    }
    return 0;
}
