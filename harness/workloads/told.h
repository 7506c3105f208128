/* What a job is told on standard input, the time, and its report: of cpu_matmul.c and of keeper.c. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Each has its own: something failed, which ends it; the input has ended, and after this it ends. */
static void fail(const char *why);
static void input_ends(void);

static double clock_seconds(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        fail("has no clock");
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double now(void)
{
    static double ahead;
    if (ahead == 0)
        ahead = clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_MONOTONIC);
    return ahead + clock_seconds(CLOCK_MONOTONIC);
}

enum command { NONE, TIME, GO, STOP };

/* Return the next command, or NONE if there is none and `wait` is 0. */
static enum command next_command(int wait)
{
    static char line[64];
    static size_t length;
    for (;;) {
        struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
        char byte;
        int ready = poll(&input, 1, wait ? -1 : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready < 0)
            fail("has no input that can be polled");
        if (ready == 0)
            return NONE;
        if (read(STDIN_FILENO, &byte, 1) <= 0) {
            input_ends();
            exit(0);
        }
        if (byte != '\n') {
            if (length == sizeof line - 1)
                fail("is given a command that is too long");
            line[length++] = byte;
            continue;
        }
        line[length] = '\0';
        length = 0;
        if (strcmp(line, "time") == 0)
            return TIME;
        if (strcmp(line, "go") == 0)
            return GO;
        if (strcmp(line, "stop") == 0)
            return STOP;
        fail("is given an unknown command");
    }
}

static void say_time(void)
{
    printf("{\"event\":\"time\",\"time\":%.9f}\n", now());
    fflush(stdout);
}

/* When each of `done` parts ended, as the time since the one before.  Differences are short to send, and sending
 * costs the host CPU time. They are taken of rounded times, so that rounding does not add up. */
static void say_report(double start, const double *ends, size_t done)
{
    long long before = (long long)(start * 1e6 + 0.5);
    printf("{\"event\":\"report\",\"start\":%.6f,\"steps\":[", start);
    for (size_t i = 0; i < done; i++) {
        const long long end = (long long)(ends[i] * 1e6 + 0.5);
        printf("%s%lld", i ? "," : "", end - before);
        before = end;
    }
    printf("]}\n");
    if (fflush(stdout) != 0)
        fail("cannot write the report");
}
