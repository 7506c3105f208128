#define _GNU_SOURCE
#include "timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "settings.h"
#include "tell.h"

static int file = -1;
static const char *opened; /* what it is, of settings() */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* One that is there is another process's of this program: `gpusplit run` begins a new one.  The list is
 * not closed at its end, which the format allows. */
static void open_file(const char *path)
{
    static const char begin[] = "[\n";
    if (file >= 0)
        close(file);
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool new = file >= 0;
    if (!new)
        file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0)
        tell(TELL_OTHER, "the timeline %s: %s", path, strerror(errno));
    else if (new && write(file, begin, sizeof begin - 1) < 0)
        tell(TELL_OTHER, "the timeline %s: %s", path, strerror(errno));
    opened = path;
}

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
    const int saved_errno = errno;
    const char *path = settings()->timeline;
    char line[640];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    if (path && path != opened)
        open_file(path);
    if (file >= 0 && n < (int)sizeof line && write(file, line, (size_t)n) < 0) {
        close(file); /* a full disk, say: what is there stays */
        file = -1;
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

void timeline_wait(uint64_t begin, uint64_t end, uint64_t cpu, unsigned naps)
{
    add("{\"name\": \"wait\", \"cat\": \"wait\", \"ph\": \"X\", \"ts\": %.3f, \"dur\": %.3f, "
        "\"pid\": %d, \"tid\": %d, \"args\": {\"CPU us\": %.3f, \"naps\": %u}},\n",
        (double)begin * 1e-3, (double)(end - begin) * 1e-3, (int)getpid(), (int)gettid(),
        (double)cpu * 1e-3, naps);
}

void timeline_launch(const char *kernel, unsigned slices, const char *reason)
{
    char plain[200];
    snprintf(plain, sizeof plain, "%s", reason);
    for (char *c = plain; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
            *c = '\''; /* what a compiler said may be among the reasons */
    add("{\"name\": \"%.200s\", \"cat\": \"launch\", \"ph\": \"i\", \"s\": \"t\", \"ts\": %.3f, "
        "\"pid\": %d, \"tid\": %d, \"args\": {\"groups\": %u, \"reason\": \"%.200s\"}},\n",
        kernel, (double)engine_now() * 1e-3, (int)getpid(), (int)gettid(), slices, plain);
}
