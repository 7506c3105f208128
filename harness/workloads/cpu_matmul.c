/* The CPU job: multiplies square matrices of 64-bit integers until told to stop, and tells when
 * each multiplication ended.
 *
 * Integers, because the emulated host computes floating point in slow software helpers: it would
 * measure the emulator. Small matrices, because one multiplication is the grain of the
 * measurement. One static binary, so that a guest needs nothing for it.
 *
 * A multiplication may be recorded in parts: the paper's takes longer than the window it is counted
 * in, and commands are looked for between parts only.
 *
 * Commands on standard input, answers on standard output, a line of JSON each:
 *     (start) {"event":"ready","size":SIZE,"parts":PARTS}
 *     time    {"event":"time","time":T}        at any time
 *     go      starts multiplying; {"event":"warm"} after WARM_UP parts
 *     stop    {"event":"report","start":T,"steps":[MICROSECONDS,...]}: when each part
 *             ended, as the time since the one before, since `start` for the first; then it
 *             waits for another go
 * Times are seconds of the monotonic clock, set to CLOCK_REALTIME when this started: a clock that is
 * set meanwhile moves nothing.
 * The end of the input ends the program at once: a lost connection leaves no job behind.
 *
 * Usage: cpu_matmul SIZE PARTS WARM_UP
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "told.h"

static size_t size;
static uint64_t *a, *b, *c; /* unsigned: overflow wraps, and sums modulo 2^64 stay checkable */

static void fail(const char *why)
{
    fprintf(stderr, "cpu_matmul: %s\n", why);
    exit(1);
}

static void input_ends(void)
{
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory)
        fail("out of memory");
    return memory;
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

/* Do the steps from `from` up to `to` of a product's size * size: step i * size + k adds a[i][k]
 * times row k of b to row i of c. */
static void multiply(size_t from, size_t to)
{
    const size_t n = size; /* which no store to the product can change, as the compiler sees it */
    for (size_t i = from / n, k = from % n; from < to; from++) {
        const uint64_t factor = a[i * n + k];
        const uint64_t *row = b + k * n;
        uint64_t *out = c + i * n;
        if (k == 0)
            memset(out, 0, n * sizeof *out);
        for (size_t j = 0; j < n; j++)
            out[j] += factor * row[j];
        if (++k == n) {
            k = 0;
            i++;
        }
    }
}

/* The sum of the elements of a product's first rows needs no product: it is the sum over k of (the
 * sum of those rows of a's column k) times (the sum of b's row k). */
static void check(size_t rows)
{
    uint64_t sum = 0, expected = 0;
    for (size_t i = 0; i < rows * size; i++)
        sum += c[i];
    for (size_t k = 0; k < size; k++) {
        uint64_t column = 0, row = 0;
        for (size_t i = 0; i < rows; i++)
            column += a[i * size + k];
        for (size_t j = 0; j < size; j++)
            row += b[k * size + j];
        expected += column * row;
    }
    if (sum != expected)
        fail("the product is wrong");
}

/* Multiply until told to stop; report. */
static void measure(size_t parts, size_t warm_up)
{
    static double *ends;
    static size_t room;
    const size_t steps = size * size;
    size_t done = 0;
    const double start = now();

    for (;;) {
        enum command command = next_command(0);
        if (command == STOP)
            break;
        if (command == TIME)
            say_time();
        const size_t part = done % parts;
        if (part == 0)
            a[done / parts % steps]++; /* another product: none can be left out */
        multiply(part * steps / parts, (part + 1) * steps / parts);
        if (done == room) {
            room = room ? 2 * room : 4096;
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

    if (done) /* the rows of the latest product that are there */
        check(((done - 1) % parts + 1) * steps / parts / size);

    say_report(start, ends, done);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        fail("usage: cpu_matmul SIZE PARTS WARM_UP");
    size = strtoul(argv[1], NULL, 10);
    const size_t parts = strtoul(argv[2], NULL, 10), warm_up = strtoul(argv[3], NULL, 10);
    if (size < 2 || size > 4096)
        fail("SIZE must be from 2 to 4096");
    if (parts < 1 || parts > size * size)
        fail("PARTS must be from 1 to SIZE squared");
    a = allocate(size * size * sizeof *a);
    b = allocate(size * size * sizeof *b);
    c = allocate(size * size * sizeof *c);
    fill();
    now(); /* from here on time goes by the monotonic clock */
    /* A whole large product would take minutes: its first row must do. */
    multiply(0, size);
    check(1);
    printf("{\"event\":\"ready\",\"size\":%zu,\"parts\":%zu}\n", size, parts);
    fflush(stdout);

    for (;;)
        switch (next_command(1)) {
        case GO:
            measure(parts, warm_up);
            break;
        case TIME:
            say_time();
            break;
        default:
            fail("there is nothing to stop");
        }
}
