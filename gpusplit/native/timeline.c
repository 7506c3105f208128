#define _GNU_SOURCE
#include "timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "settings.h"

static int file = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* One that is there is another process's of this program: `gpusplit run` begins a new one.  The list is
 * not closed at its end, which the format allows. */
static void open_file(void)
{
    static const char begin[] = "[\n";
    const char *path = settings()->timeline;
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    else if (write(file, begin, sizeof begin - 1) < 0)
        perror("gpusplit: the timeline");
}

void timeline_wait(uint64_t begin, uint64_t end, uint64_t cpu, unsigned naps)
{
    const int saved_errno = errno;
    char line[256];
    pthread_once(&once, open_file);
    const int n = snprintf(line, sizeof line,
                           "{\"name\": \"wait\", \"cat\": \"wait\", \"ph\": \"X\", \"ts\": %.3f, \"dur\": %.3f, "
                           "\"pid\": %d, \"tid\": %d, \"args\": {\"CPU us\": %.3f, \"naps\": %u}},\n",
                           (double)begin * 1e-3, (double)(end - begin) * 1e-3, (int)getpid(),
                           (int)gettid(), (double)cpu * 1e-3, naps);
    if (file >= 0 && write(file, line, (size_t)n) < 0) {
        close(file); /* a full disk, say: what is there stays */
        file = -1;
    }
    errno = saved_errno;
}
