#define _GNU_SOURCE
#include "background.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "holds.h"
#include "judge.h"
#include "options.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct job *first, **last = &first;
static pthread_t thread;
static bool started, ending;
static pid_t process;

static void *run(void *nothing)
{
    (void)nothing;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!first && !ending)
            pthread_cond_wait(&more, &lock);
        struct job *job = first;
        if (!job)
            break;
        first = job->next;
        if (!first)
            last = &first;
        const bool drop = ending;
        pthread_mutex_unlock(&lock);
        (drop ? job->drop : job->work)(job);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* The program ends.  What is not begun is not done, and the judge is not waited for; but a device's
 * compiler that is at work when its library is taken down would crash. */
static void end(void)
{
    if (process != getpid())
        return; /* a child, which has no such thread */
    judge_ends();
    pthread_mutex_lock(&lock);
    ending = true;
    pthread_cond_signal(&more);
    const bool join = started;
    pthread_mutex_unlock(&lock);
    if (join)
        pthread_join(thread, NULL);
}

static bool start(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = !pthread_create(&thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        process = getpid();
        atexit(end); /* late, and so before what the driver registered */
    }
    return started;
}

void background_do(struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&lock);
    const bool good = !ending && (started || start());
    if (good) {
        *last = job;
        last = &job->next;
        pthread_cond_signal(&more);
    }
    pthread_mutex_unlock(&lock);
    if (!good)
        job->drop(job);
}

/* A child may have been forked in the middle of anything. */
static void in_child(void)
{
    splitting_ends_in_child();
    holds_forget();
}

void background_init(void)
{
    pthread_atfork(NULL, NULL, in_child);
}
