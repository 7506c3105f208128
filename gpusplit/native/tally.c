#define _GNU_SOURCE
#include "tally.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

/* Why launches stayed whole, the latest reason first. */
struct cause {
    unsigned long launches;
    char text[120];
    struct cause *next;
};

static struct entry {
    char *kernel;
    unsigned long launches, split, slices;
    struct cause *whole;
    struct entry *next;
} *first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct entry *entry_of(const char *kernel)
{
    struct entry *entry = first;
    while (entry && strcmp(entry->kernel, kernel) != 0)
        entry = entry->next;
    if (entry || !(entry = calloc(1, sizeof *entry)))
        return entry;
    if (!(entry->kernel = strdup(kernel))) {
        free(entry);
        return NULL;
    }
    entry->next = first;
    return first = entry;
}

/* Counts a reason, and brings it to the front. */
static void count_cause(struct entry *entry, const char *reason)
{
    const size_t length = strnlen(reason, sizeof entry->whole->text - 1);
    struct cause **at = &entry->whole, *cause;
    while ((cause = *at) && (strncmp(cause->text, reason, length) != 0 || cause->text[length]))
        at = &cause->next;
    if (cause) {
        *at = cause->next;
    } else {
        if (!(cause = calloc(1, sizeof *cause)))
            return;
        memcpy(cause->text, reason, length);
    }
    cause->launches++;
    cause->next = entry->whole;
    entry->whole = cause;
}

void tally(const char *kernel, unsigned slices, const char *reason)
{
    if (!options()->summary)
        return;
    pthread_mutex_lock(&lock);
    struct entry *entry = entry_of(kernel);
    if (entry) {
        entry->launches++;
        entry->split += slices > 1;
        entry->slices += slices;
        if (slices == 1)
            count_cause(entry, reason);
    }
    pthread_mutex_unlock(&lock);
}

/* A line a kernel, with the latest reason; then one for each earlier reason. */
__attribute__((destructor)) static void tell(void)
{
    if (!first || !followed())
        return; /* nothing to tell; or a child, which has its parent's counts and may have a thread's lock */
    pthread_mutex_lock(&lock);
    for (const struct entry *entry = first; entry; entry = entry->next) {
        const struct cause *cause = entry->whole;
        fprintf(stderr, "gpusplit: %s: %lu launches, %lu split, %lu slices%s%s\n", entry->kernel,
                entry->launches, entry->split, entry->slices, cause ? "; whole: " : "",
                cause ? cause->text : "");
        while (cause && (cause = cause->next))
            fprintf(stderr, "gpusplit: %s: %lu of these whole: %s\n", entry->kernel, cause->launches,
                    cause->text);
    }
    pthread_mutex_unlock(&lock);
}
