#define _GNU_SOURCE
#include "tally.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static struct entry {
    char *kernel;
    unsigned long launches, split, slices;
    char whole[120]; /* why the last whole one was */
    struct entry *next;
} *first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void tally(const char *kernel, unsigned slices, const char *reason)
{
    if (!options()->summary)
        return;
    pthread_mutex_lock(&lock);
    struct entry *entry = first;
    while (entry && strcmp(entry->kernel, kernel) != 0)
        entry = entry->next;
    if (!entry && (entry = calloc(1, sizeof *entry))) {
        if (!(entry->kernel = strdup(kernel))) {
            free(entry);
            entry = NULL;
        } else {
            entry->next = first;
            first = entry;
        }
    }
    if (entry) {
        entry->launches++;
        entry->split += slices > 1;
        entry->slices += slices;
        if (slices == 1)
            snprintf(entry->whole, sizeof entry->whole, "%s", reason);
    }
    pthread_mutex_unlock(&lock);
}

__attribute__((destructor)) static void tell(void)
{
    pthread_mutex_lock(&lock);
    for (const struct entry *entry = first; entry; entry = entry->next)
        fprintf(stderr, "gpusplit: %s: %lu launches, %lu split, %lu slices%s%s\n", entry->kernel,
                entry->launches, entry->split, entry->slices, entry->whole[0] ? "; whole: " : "",
                entry->whole);
    pthread_mutex_unlock(&lock);
}
