#define _GNU_SOURCE
#include "tell.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than this nobody reads. */
#define MOST 1000

static struct message {
    struct message *next;
    enum telling kind;
    char text[512];
} *first, **last = &first;
static unsigned waiting;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
/* The process in which somebody listens: a child that was forked has no such thread. */
static _Atomic pid_t listener;

bool tell_heard(void)
{
    const pid_t heard = atomic_load_explicit(&listener, memory_order_relaxed);
    return heard && heard == getpid();
}

void tell(enum telling kind, const char *format, ...)
{
    const int saved_errno = errno;
    const bool heard = tell_heard();
    struct message *message = heard || kind != TELL_WHOLE ? calloc(1, sizeof *message) : NULL;
    if (message) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message->text, sizeof message->text, format, arguments);
        va_end(arguments);
        message->kind = kind;
    }
    if (message && heard) {
        pthread_mutex_lock(&lock);
        if (waiting < MOST) {
            waiting++;
            *last = message;
            last = &message->next;
            message = NULL;
            pthread_cond_signal(&more);
        }
        pthread_mutex_unlock(&lock);
    } else if (message) {
        fprintf(stderr, "gpusplit: %s\n", message->text);
    }
    free(message);
    errno = saved_errno;
}

/* What is told to the parent is the parent's, and a thread of its may have held the lock. */
static void in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&more, NULL);
    first = NULL;
    last = &first;
    waiting = 0;
}

static void hears(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

bool tell_hear(char *kind, char *text, size_t size, bool wait)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, hears);
    atomic_store(&listener, getpid());
    pthread_mutex_lock(&lock);
    while (wait && !first)
        pthread_cond_wait(&more, &lock);
    struct message *message = wait ? NULL : first;
    if (message) {
        waiting--;
        first = message->next;
        if (!first)
            last = &first;
    }
    pthread_mutex_unlock(&lock);
    if (!message)
        return wait;
    *kind = (char)message->kind;
    snprintf(text, size, "%s", message->text);
    free(message);
    return true;
}
