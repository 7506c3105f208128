#include "flights.h"

#include <pthread.h>
#include <stdlib.h>

/* Launches whose queue is gone, though they were not over (PoCL aborts if a command fails whose event
 * nobody holds). */
static struct flight *orphans;
static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_over(handle event)
{
    return !event || event_status(event) <= CL_COMPLETE;
}

void flight_look(struct flight *flight)
{
    while (flight->n_done < flight->n_sent) {
        const handle event = flight->sent[flight->n_done];
        const cl_int status = event ? event_status(event) : CL_COMPLETE; /* the last ones tell */
        if (status > CL_COMPLETE)
            return;
        flight->n_done++;
        if (status < CL_COMPLETE && !flight->failure) {
            flight->failure = status;
            flight->n_parts = flight->n_sent;
        }
    }
}

bool flight_over(const struct flight *flight)
{
    if (flight->until || flight->n_sent < flight->n_parts)
        return false;
    const unsigned first = flight->keep ? 0 : flight->n_sent - flight_ends(flight);
    for (unsigned i = flight->n_sent; i-- > first;)
        if (!is_over(flight->sent[i]))
            return false;
    return !flight->keep || (is_over(flight->start) && is_over(flight->end));
}

void flight_free(struct flight *flight)
{
    for (unsigned i = 0; i < flight->n_sent; i++)
        if (flight->sent[i])
            next_clReleaseEvent(flight->sent[i]);
    if (flight->start)
        next_clReleaseEvent(flight->start);
    if (flight->end)
        next_clReleaseEvent(flight->end);
    if (flight->copied && flight->kernel)
        next_clReleaseKernel(flight->kernel);
    hold_end(flight->hold);
    object_drop(flight->stand);
    free(flight);
}

void flights_orphan(struct flight *list)
{
    struct flight *gone = NULL;
    pthread_mutex_lock(&orphans_lock);
    while (list) {
        struct flight *next = list->next;
        list->next = orphans;
        orphans = list;
        list = next;
    }
    for (struct flight **at = &orphans; *at;) {
        struct flight *flight = *at;
        if (flight->keep && !flight_over(flight)) {
            at = &flight->next;
            continue;
        }
        *at = flight->next;
        flight->next = gone;
        gone = flight;
    }
    pthread_mutex_unlock(&orphans_lock);
    while (gone) {
        struct flight *next = gone->next;
        flight_free(gone);
        gone = next;
    }
}
