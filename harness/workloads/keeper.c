/* Keeps somebody's own program: starts it, counts its work, ends it.
 *
 * Work is counted by marks. In the way `once` the program runs once, and its end is the mark; in
 * `again` it is run again and again, and each end is one; in `lines` it runs on, and each line that
 * it prints is one. There its output is a terminal, for most programs keep lines for a pipe back.
 *
 * Commands on standard input, answers on standard output, a line of JSON each:
 *     (start) {"event":"ready"}
 *     time    {"event":"time","time":T}          at any time
 *     go      starts the program: {"event":"warm"} once it has started, in `lines` at its first line
 *     stop    {"event":"report","start":T,"steps":[MICROSECONDS,...]} after the next mark; what ran
 *             is ended then. Steps are the times between marks, the first since `start`.
 *             `once` reports by itself, at its mark.
 * Times are seconds of the monotonic clock, set to CLOCK_REALTIME when this started: a clock that is
 * set meanwhile moves nothing.
 *
 * The end of the input ends all of it at once: a lost connection leaves no program behind. A program
 * that fails, or ends where it should run on, ends this with status 1 and its last words.
 *
 * One static binary, so that a guest needs nothing for it.
 *
 * Usage: keeper once|again|lines FOLDER PROGRAM [ARGUMENT...]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "told.h"

enum way { ONCE, AGAIN, LINES };

/* Milliseconds that a program gets to end by itself. */
enum { PATIENCE = 5000 };

static enum way way;
static const char *folder;
static char **program;

static pid_t pid; /* of the program that runs; 0: none does */
static int ended; /* a descriptor that is readable once it has ended */
static int output[2]; /* its standard output and error, as they are read here; -1: closed */

static char words[1024]; /* its last ones */
static size_t said;

static double start;
static double *marks;
static size_t done;

static void end_program(int signal_first);

static void fail(const char *why)
{
    const size_t kept = said < sizeof words ? said : sizeof words;
    end_program(0);
    fprintf(stderr, "%s %s", program ? program[0] : "keeper", why);
    if (kept)
        fprintf(stderr, "; its last words: %.*s", (int)kept, words);
    fprintf(stderr, "\n");
    exit(1);
}

static void input_ends(void)
{
    end_program(0);
}

static void mark(void)
{
    static size_t room;
    if (done == room) {
        room = room ? 2 * room : 1024;
        marks = realloc(marks, room * sizeof *marks);
        if (!marks)
            fail("leaves no memory");
    }
    marks[done++] = now();
}

static void say(const char *event)
{
    printf("{\"event\":\"%s\"}\n", event);
    fflush(stdout);
}

/* Make the two ends of what a program writes to: a terminal, or a pipe. */
static void channel(int ends[2], int terminal)
{
    if (!terminal) {
        if (pipe2(ends, O_CLOEXEC) != 0)
            fail("gets no pipe");
        return;
    }
    struct termios plain;
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[0] < 0 || grantpt(ends[0]) != 0 || unlockpt(ends[0]) != 0)
        fail("gets no terminal");
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[1] < 0 || tcgetattr(ends[1], &plain) != 0)
        fail("gets no terminal");
    cfmakeraw(&plain); /* what is written is read, byte for byte */
    tcsetattr(ends[1], TCSANOW, &plain);
}

static void begin_program(void)
{
    int out[2], err[2];
    channel(out, way == LINES);
    channel(err, 0);
    said = 0;
    pid = fork();
    if (pid < 0)
        fail("cannot be started");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* however this ends */
        setpgid(0, 0);
        const int nothing = open("/dev/null", O_RDONLY);
        if (dup2(nothing, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
            _exit(127);
        if (chdir(folder) != 0)
            perror(folder);
        else if (execvp(program[0], program), 1)
            perror("it cannot be run");
        _exit(127);
    }
    setpgid(pid, pid); /* whoever is first */
    close(out[1]);
    close(err[1]);
    output[0] = out[0];
    output[1] = err[0];
    ended = (int)syscall(SYS_pidfd_open, pid, 0);
    if (ended < 0)
        fail("cannot be watched: Linux 5.3 is needed");
}

static int is_over(int patience)
{
    struct pollfd end = { .fd = ended, .events = POLLIN };
    return poll(&end, 1, patience) > 0;
}

static void close_output(int which)
{
    if (output[which] >= 0)
        close(output[which]);
    output[which] = -1;
}

/* End what runs, if something does, with all that it started; return its status as wait() has it. */
static int reap(void)
{
    int status = 0;
    kill(-pid, SIGKILL); /* it is not reaped yet, so that the group is still its own */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(ended);
    close_output(0);
    close_output(1);
    pid = 0;
    return status;
}

static void end_program(int signal_first)
{
    if (pid == 0)
        return;
    if (signal_first && kill(-pid, signal_first) == 0)
        is_over(PATIENCE);
    reap();
}

/* Read what the program printed, and return how many lines of standard output ended in it. */
static size_t hear(int which)
{
    char chunk[4096];
    size_t lines = 0;
    const ssize_t length = read(output[which], chunk, sizeof chunk);
    if (length <= 0) {
        if (length == 0 || errno == EIO) /* EIO: nobody has the terminal any more */
            close_output(which);
        return 0;
    }
    for (ssize_t i = 0; i < length; i++)
        lines += which == 0 && chunk[i] == '\n';
    /* The last words: what is too much goes at the beginning. */
    size_t add = (size_t)length;
    const char *from = chunk;
    if (add > sizeof words) {
        from += add - sizeof words;
        add = sizeof words;
    }
    if (said + add > sizeof words) {
        const size_t gone = said + add - sizeof words;
        memmove(words, words + gone, said - gone);
        said -= gone;
    }
    memcpy(words + said, from, add);
    said += add;
    return lines;
}

static void say_why(int status)
{
    char why[128];
    const char *early = way == LINES ? ", while its lines were counted" : "";
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "was ended by signal %d%s", WTERMSIG(status), early);
    else
        snprintf(why, sizeof why, "ended with status %d%s", WEXITSTATUS(status), early);
    fail(why);
}

/* The program has ended by itself. Return whether the work is done. */
static int over(int stopping)
{
    for (int which = 0; which < 2; which++) /* what it said last */
        for (struct pollfd left = { .fd = output[which], .events = POLLIN };
             output[which] >= 0 && poll(&left, 1, 0) > 0;)
            hear(which);
    mark();
    const int status = reap();
    if (status != 0 || (way == LINES && !stopping))
        say_why(status);
    if (way == AGAIN && !stopping)
        begin_program();
    return way != AGAIN || stopping;
}

static void serve(void)
{
    int stopping = 0, warm = 0;
    for (;;) {
        struct pollfd watched[4] = {
            { .fd = STDIN_FILENO, .events = POLLIN },
            { .fd = pid ? output[0] : -1, .events = POLLIN },
            { .fd = pid ? output[1] : -1, .events = POLLIN },
            { .fd = pid ? ended : -1, .events = POLLIN },
        };
        if (poll(watched, 4, -1) < 0 && errno != EINTR)
            fail("cannot be watched");
        switch (watched[0].revents ? next_command(0) : NONE) {
        case TIME:
            say_time();
            break;
        case GO:
            if (pid)
                fail("runs already");
            stopping = warm = 0;
            done = 0;
            start = now();
            begin_program();
            break;
        case STOP:
            stopping = 1;
            break;
        case NONE:
            break;
        }
        if (!pid)
            continue;
        int finished = 0;
        for (int which = 0; which < 2; which++) {
            if (!watched[1 + which].revents)
                continue;
            for (size_t lines = hear(which); way == LINES && lines; lines--) {
                mark();
                finished = stopping;
            }
        }
        if (finished)
            end_program(SIGTERM);
        else if (watched[3].revents)
            finished = over(stopping);
        if (!warm && (way != LINES || done)) {
            warm = 1;
            say("warm");
        }
        if (finished)
            say_report(start, marks, done);
    }
}

int main(int argc, char **argv)
{
    static const char *const ways[] = { "once", "again", "lines" };
    for (int i = 0; argc > 3 && i < 3; i++)
        if (strcmp(argv[1], ways[i]) == 0) {
            way = (enum way)i;
            folder = argv[2];
            program = argv + 3;
        }
    if (!program) {
        fprintf(stderr, "keeper: usage: keeper once|again|lines FOLDER PROGRAM [ARGUMENT...]\n");
        return 1;
    }
    now(); /* from here on time goes by the monotonic clock */
    say("ready");
    serve();
}
