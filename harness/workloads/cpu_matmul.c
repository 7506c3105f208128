/* The CPU job: multiplies square matrices of 64-bit integers until told to stop, and tells when
 * each multiplication ended. Each of its threads has multiplications of its own.
 *
 * Integers, because the emulated host computes floating point in slow software helpers: it would
 * measure the emulator. Small matrices, because one multiplication is the grain of the
 * measurement. One static binary, so that a guest needs nothing for it.
 *
 * A multiplication may be recorded in parts: the paper's takes longer than the window it is counted
 * in, and commands are looked for between parts only.
 *
 * Commands on standard input, answers on standard output, a line of JSON each:
 *     (start) {"event":"ready","size":SIZE,"parts":PARTS,"threads":THREADS}
 *     time    {"event":"time","time":T}        at any time
 *     go      starts multiplying; {"event":"warm"} after WARM_UP parts of every thread
 *     stop    {"event":"report","start":T,"steps":[MICROSECONDS,...]}: when each part, of
 *             whichever thread, ended, as the time since the one before, since `start` for the
 *             first; then it waits for another go
 * Times are seconds of the monotonic clock, set to CLOCK_REALTIME when this started: a clock that is
 * set meanwhile moves nothing.
 * The end of the input ends the program at once: a lost connection leaves no job behind.
 *
 * Usage: cpu_matmul SIZE PARTS WARM_UP THREADS
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "told.h"

struct worker {
    pthread_t thread;
    uint64_t *c;
    uint64_t added; /* to each element of a: another product, of which none can be left out */
    double *ends;
    size_t done, room;
};

static size_t size, parts, warm_up, threads;
static uint64_t *a, *b; /* unsigned: overflow wraps, and sums modulo 2^64 stay checkable */
static struct worker *workers;
static atomic_size_t warm;
static atomic_bool stopped;

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

/* Do the steps from `from` up to `to` of a product's size * size: step i * size + k adds
 * a[i][k] + added times row k of b to row i of c. */
static void multiply(struct worker *worker, size_t from, size_t to)
{
    const size_t n = size; /* which no store to the product can change, as the compiler sees it */
    for (size_t i = from / n, k = from % n; from < to; from++) {
        const uint64_t factor = a[i * n + k] + worker->added;
        const uint64_t *row = b + k * n;
        uint64_t *out = worker->c + i * n;
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
static void check(const struct worker *worker, size_t rows)
{
    uint64_t sum = 0, expected = 0;
    for (size_t i = 0; i < rows * size; i++)
        sum += worker->c[i];
    for (size_t k = 0; k < size; k++) {
        uint64_t column = rows * worker->added, row = 0;
        for (size_t i = 0; i < rows; i++)
            column += a[i * size + k];
        for (size_t j = 0; j < size; j++)
            row += b[k * size + j];
        expected += column * row;
    }
    if (sum != expected)
        fail("the product is wrong");
}

/* Multiply until told to stop. The first worker is told, and the others see it. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    const size_t steps = size * size;

    for (worker->done = 0;;) {
        enum command command = worker == workers ? next_command(0) : NONE;
        if (command == STOP)
            stopped = true;
        if (command == TIME)
            say_time();
        if (stopped)
            break;
        const size_t part = worker->done % parts;
        if (part == 0)
            worker->added = worker->done / parts * threads + (size_t)(worker - workers);
        multiply(worker, part * steps / parts, (part + 1) * steps / parts);
        if (worker->done == worker->room) {
            worker->room = worker->room ? 2 * worker->room : 4096;
            worker->ends = realloc(worker->ends, worker->room * sizeof *worker->ends);
            if (!worker->ends)
                fail("out of memory");
        }
        worker->ends[worker->done++] = now();
        if (worker->done == warm_up && ++warm == threads) {
            printf("{\"event\":\"warm\"}\n");
            fflush(stdout);
        }
    }

    if (worker->done) /* the rows of the latest product that are there */
        check(worker, ((worker->done - 1) % parts + 1) * steps / parts / size);
    return NULL;
}

static int earlier(const void *one, const void *other)
{
    const double x = *(const double *)one, y = *(const double *)other;
    return (x > y) - (x < y);
}

/* Have all threads multiply until told to stop; report. */
static void measure(void)
{
    const double start = now();
    size_t done = 0;

    stopped = false;
    warm = 0;
    for (size_t i = 1; i < threads; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("has no thread");
    work(&workers[0]);
    for (size_t i = 1; i < threads; i++)
        pthread_join(workers[i].thread, NULL);

    for (size_t i = 0; i < threads; i++)
        done += workers[i].done;
    double *ends = allocate(done * sizeof *ends);
    for (size_t i = 0, at = 0; i < threads; at += workers[i++].done)
        memcpy(ends + at, workers[i].ends, workers[i].done * sizeof *ends);
    qsort(ends, done, sizeof *ends, earlier);
    say_report(start, ends, done);
    free(ends);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        fail("usage: cpu_matmul SIZE PARTS WARM_UP THREADS");
    size = strtoul(argv[1], NULL, 10);
    parts = strtoul(argv[2], NULL, 10);
    warm_up = strtoul(argv[3], NULL, 10);
    threads = strtoul(argv[4], NULL, 10);
    if (size < 2 || size > 4096)
        fail("SIZE must be from 2 to 4096");
    if (parts < 1 || parts > size * size)
        fail("PARTS must be from 1 to SIZE squared");
    if (threads < 1 || threads > 128)
        fail("THREADS must be from 1 to 128");
    a = allocate(size * size * sizeof *a);
    b = allocate(size * size * sizeof *b);
    workers = calloc(threads, sizeof *workers);
    if (!workers)
        fail("out of memory");
    for (size_t i = 0; i < threads; i++)
        workers[i].c = allocate(size * size * sizeof *workers[i].c);
    fill();
    now(); /* from here on time goes by the monotonic clock */
    /* A whole large product would take minutes: its first row must do. */
    multiply(&workers[0], 0, size);
    check(&workers[0], 1);
    printf("{\"event\":\"ready\",\"size\":%zu,\"parts\":%zu,\"threads\":%zu}\n", size, parts, threads);
    fflush(stdout);

    for (;;)
        switch (next_command(1)) {
        case GO:
            measure();
            break;
        case TIME:
            say_time();
            break;
        default:
            fail("there is nothing to stop");
        }
}
