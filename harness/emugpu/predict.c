/* Predicting an end: the timeline is copied and the copy runs ahead. The GPU's future has no closed
 * form once kernels overlap, and the simulation is cheap: whole waves are skipped at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "timeline.h"

static struct tl_command *twin(struct tl_command *copies, const struct tl_command *c)
{
    return &copies[c->index];
}

static void copy_list(struct command_list *to, const struct command_list *from,
                      struct tl_command *copies)
{
    to->n = from->n;
    to->cap = from->n + 1;
    to->at = malloc(to->cap * sizeof *to->at);
    for (int i = 0; i < from->n; i++)
        to->at[i] = twin(copies, from->at[i]);
}

static void copy_engine(struct engine *to, const struct engine *from, struct tl_command *copies)
{
    *to = *from;
    to->cap_kernels = from->n_kernels + 1;
    to->cap_batches = from->n_batches + 1;
    to->kernels = malloc(to->cap_kernels * sizeof *to->kernels);
    to->batches = malloc(to->cap_batches * sizeof *to->batches);
    for (int k = 0; k < from->n_kernels; k++)
        to->kernels[k] = twin(copies, from->kernels[k]);
    for (int b = 0; b < from->n_batches; b++) {
        to->batches[b] = from->batches[b];
        to->batches[b].kernel = twin(copies, from->batches[b].kernel);
    }
}

double tl_predict(struct timeline *tl, struct tl_command *c)
{
    if (c->state == STATE_DONE)
        return c->end;
    if (c->predicted_at == tl->version)
        return c->predicted;

    int n = tl->all.n;
    struct tl_command *copies = malloc(n * sizeof *copies);
    for (int i = 0; i < n; i++) {
        struct tl_command *copy = &copies[i];
        *copy = *tl->all.at[i];
        copy->refs = 2; /* so that finishing never frees a part of the array */
        copy->cap_followers = copy->n_followers;
        copy->followers = malloc((copy->n_followers + 1) * sizeof *copy->followers);
        for (int f = 0; f < copy->n_followers; f++)
            copy->followers[f] = twin(copies, tl->all.at[i]->followers[f]);
    }
    struct timeline ahead = *tl;
    ahead.on_done = NULL;
    copy_list(&ahead.all, &tl->all, copies);
    copy_list(&ahead.ready, &tl->ready, copies);
    copy_list(&ahead.draining, &tl->draining, copies);
    copy_list(&ahead.launching, &tl->launching, copies);
    for (int path = 0; path < PATH_COUNT; path++)
        copy_list(&ahead.transfers[path], &tl->transfers[path], copies);
    copy_engine(&ahead.engine, &tl->engine, copies);

    struct tl_command *target = twin(copies, c);
    tl_run(&ahead, INFINITY, target);
    c->predicted_start = target->state == STATE_DONE ? target->start : INFINITY;
    c->predicted = target->state == STATE_DONE ? target->end : INFINITY;
    c->predicted_at = tl->version;

    for (int i = 0; i < n; i++)
        free(copies[i].followers);
    free(copies);
    free(ahead.all.at);
    free(ahead.ready.at);
    free(ahead.draining.at);
    free(ahead.launching.at);
    for (int path = 0; path < PATH_COUNT; path++)
        free(ahead.transfers[path].at);
    engine_free(&ahead.engine);
    return c->predicted;
}
