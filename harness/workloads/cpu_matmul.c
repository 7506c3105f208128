/* The CPU job: multiplies square matrices of 64-bit integers until told to stop, and tells when
 * each multiplication ended.
 *
 * Integers, because the emulated host computes floating point in slow software helpers: it would
 * measure the emulator. Small matrices, because one multiplication is the grain of the
 * measurement. One static binary, so that a guest needs nothing for it.
 *
 * Commands on standard input, answers on standard output, a line of JSON each:
 *     time    {"event":"time","time":CLOCK_REALTIME}        at any time
 *     go      starts multiplying; {"event":"warm"} after the warm-up
 *     stop    {"event":"report","ends":[CLOCK_REALTIME,...]} and the end
 * The end of the input ends the program at once: a lost connection leaves no job behind.
 *
 * Usage: cpu_matmul SIZE WARM_UP
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static size_t size;
static uint64_t *a, *b, *c; /* unsigned: overflow wraps, and sums modulo 2^64 stay checkable */

static void fail(const char *why)
{
    fprintf(stderr, "cpu_matmul: %s\n", why);
    exit(1);
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory)
        fail("out of memory");
    return memory;
}

static double now(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_REALTIME, &t) != 0)
        fail("no clock");
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fill(void)
{
    uint64_t x = 88172645463325252ull; /* xorshift64: any fixed numbers would do */
    for (size_t i = 0; i < 2 * size * size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (i < size * size ? a : b)[i % (size * size)] = x;
    }
}

static void multiply(void)
{
    memset(c, 0, size * size * sizeof *c);
    for (size_t i = 0; i < size; i++)
        for (size_t k = 0; k < size; k++) {
            const uint64_t factor = a[i * size + k];
            const uint64_t *row = b + k * size;
            uint64_t *out = c + i * size;
            for (size_t j = 0; j < size; j++)
                out[j] += factor * row[j];
        }
}

/* The sum of all elements of a product needs no product: it is the sum over k of (the sum of
 * a's column k) times (the sum of b's row k). */
static void check(void)
{
    uint64_t sum = 0, expected = 0;
    for (size_t i = 0; i < size * size; i++)
        sum += c[i];
    for (size_t k = 0; k < size; k++) {
        uint64_t column = 0, row = 0;
        for (size_t i = 0; i < size; i++) {
            column += a[i * size + k];
            row += b[k * size + i];
        }
        expected += column * row;
    }
    if (sum != expected)
        fail("the product is wrong");
}

enum command { NONE, TIME, GO, STOP };

/* Return the next command, or NONE if there is none and `wait` is 0. */
static enum command next_command(int wait)
{
    static char line[64];
    static size_t length;
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        char byte;
        int ready = poll(&input, 1, wait ? -1 : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready < 0)
            fail("cannot poll the input");
        if (ready == 0)
            return NONE;
        if (read(STDIN_FILENO, &byte, 1) <= 0)
            exit(0);
        if (byte != '\n') {
            if (length == sizeof line - 1)
                fail("a command is too long");
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
        fail("unknown command");
    }
}

static void say_time(void)
{
    printf("{\"event\":\"time\",\"time\":%.9f}\n", now());
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("usage: cpu_matmul SIZE WARM_UP");
    size = strtoul(argv[1], NULL, 10);
    const size_t warm_up = strtoul(argv[2], NULL, 10);
    if (size < 2 || size > 4096)
        fail("SIZE must be from 2 to 4096");
    a = allocate(size * size * sizeof *a);
    b = allocate(size * size * sizeof *b);
    c = allocate(size * size * sizeof *c);
    fill();
    multiply();
    check();
    printf("{\"event\":\"ready\",\"size\":%zu}\n", size);
    fflush(stdout);

    for (enum command command; (command = next_command(1)) != GO;) {
        if (command == STOP)
            return 0;
        say_time();
    }

    size_t done = 0, room = 4096;
    double *ends = allocate(room * sizeof *ends);
    for (;;) {
        enum command command = next_command(0);
        if (command == STOP)
            break;
        if (command == TIME)
            say_time();
        a[done % (size * size)]++; /* another product each time: none can be left out */
        multiply();
        if (done == room) {
            room *= 2;
            ends = realloc(ends, room * sizeof *ends);
            if (!ends)
                fail("out of memory");
        }
        ends[done++] = now();
        if (done == warm_up) {
            printf("{\"event\":\"warm\"}\n");
            fflush(stdout);
        }
    }
    check();

    printf("{\"event\":\"report\",\"ends\":[");
    for (size_t i = 0; i < done; i++)
        printf("%s%.6f", i ? "," : "", ends[i]);
    printf("]}\n");
    return fflush(stdout) == 0 ? 0 : 1;
}
