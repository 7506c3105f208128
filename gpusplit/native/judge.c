#define _GNU_SOURCE
#include "judge.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "spawn.h"

/* Milliseconds after which a judge that says nothing is given up: it takes 90 s at most twice; but to
 * look at headers a program waits. */
#define PATIENCE 200000
#define PATIENCE_HEADERS 10000
#define SLICE 50
/* Longer frames are none of ours. */
#define LONGEST ((uint32_t)256 << 20)

/* To a judge. */
struct line {
    int fd; /* -1: there is none */
    int patience;
};

static atomic_bool ending;

void judge_ends(void)
{
    atomic_store(&ending, true);
}

bool judge_ended(void)
{
    return atomic_load(&ending);
}

/* Waits until the judge may be read or written; false if it is not to be waited for. */
static bool ready(struct line line, short events)
{
    for (int waited = 0; waited < line.patience && !judge_ended(); waited += SLICE) {
        struct pollfd one = { line.fd, events, 0 };
        const int n = poll(&one, 1, SLICE);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static bool get(struct line line, void *to, size_t size)
{
    for (char *at = to; size > 0;) {
        const ssize_t n = ready(line, POLLIN) ? read(line.fd, at, size) : -1;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool put(struct line line, char kind, const void *payload, size_t size)
{
    const uint32_t length = (uint32_t)size;
    unsigned char head[5] = { (unsigned char)kind, length & 255, length >> 8 & 255, length >> 16 & 255,
                              length >> 24 };
    const void *parts[2] = { head, payload };
    size_t sizes[2] = { sizeof head, size };
    if (size > LONGEST)
        return false;
    for (unsigned i = 0; i < 2; i++)
        for (const char *at = parts[i]; sizes[i] > 0;) {
            const ssize_t n = ready(line, POLLOUT) ? spawn_write(line.fd, at, sizes[i]) : -1;
            if (n <= 0)
                return false;
            at += n;
            sizes[i] -= (size_t)n;
        }
    return true;
}

static bool put_text(struct line line, char kind, const char *text)
{
    return put(line, kind, text, strlen(text));
}

/* A frame: its kind and its payload with a null byte behind, to be freed; 0 if there is none. */
static char get_frame(struct line line, char **payload, uint32_t *size)
{
    unsigned char head[5];
    *payload = NULL;
    if (!get(line, head, sizeof head))
        return 0;
    *size = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
    if (*size > LONGEST || !(*payload = malloc((size_t)*size + 1)))
        return 0;
    (*payload)[*size] = 0;
    if (get(line, *payload, *size))
        return (char)head[0];
    free(*payload);
    *payload = NULL;
    return 0;
}

static bool put_origin(struct line line, const struct question *q)
{
    bool sent = line.fd >= 0;
    if (q->source)
        sent = sent && put_text(line, 'S', q->source) && put_text(line, 'O', q->options);
    if (q->headers)
        sent = sent && put_text(line, 'H', q->headers);
    for (unsigned i = 0; q->binaries && i < q->binaries->n; i++)
        sent = sent && put(line, 'B', q->binaries->each[i].bytes, q->binaries->each[i].size);
    return sent;
}

static bool ask(struct line line, const struct question *q)
{
    char bits[16];
    snprintf(bits, sizeof bits, "%u", q->address_bits);
    bool sent = put_origin(line, q) && put_text(line, 'A', bits);
    for (unsigned i = 0; i < 7; i++)
        sent = sent && put_text(line, 'D', q->called[i]);
    if (q->image_size)
        sent = sent && put(line, 'P', q->image, q->image_size);
    return sent && put(line, 'E', "", 0);
}

/* Reads a kernel's verdict: six texts with null bytes between. */
static bool read_verdict(struct answer *answer, char *payload, uint32_t size)
{
    const char *parts[6];
    uint32_t at = 0;
    for (unsigned i = 0; i < 6; i++) {
        if (at > size)
            return false;
        parts[i] = payload + at;
        at += (uint32_t)strlen(payload + at) + 1;
    }
    struct verdict *kernels = realloc(answer->kernels, (answer->n + 1) * sizeof *kernels);
    if (!kernels)
        return false;
    answer->kernels = kernels;
    kernels[answer->n] = (struct verdict){
        .kernel = strdup(parts[0]),
        .refusal = strdup(parts[1]),
        .asks = parts[2][0],
        .asks_size = strstr(parts[2], "get_global_size") || strstr(parts[2], "get_num_groups") ||
                     strstr(parts[2], "get_global_linear_id"),
        .shows_work_group = parts[3][0],
        .still = strtoull(parts[4], NULL, 10),
        .changed = strtoull(parts[5], NULL, 10),
    };
    return kernels[answer->n].kernel && kernels[answer->n++].refusal;
}

/* Answers what the judge asks, until it has said all; why it has not, or NULL. */
static const char *converse(struct line line, compile_fn *compile, void *what, struct answer *answer,
                            char failure[200])
{
    for (;;) {
        char *payload, *names;
        uint32_t size;
        bool good = true;
        const char kind = get_frame(line, &payload, &size);
        switch (kind) {
        case 'C':
            names = compile(what, payload);
            good = names ? put_text(line, 'N', names) : put_text(line, 'R', "the compiler refuses it");
            free(names);
            break;
        case 'K':
            good = read_verdict(answer, payload, size);
            break;
        case 'W':
        case 'V':
        case 'O':
        case 'H': {
            char **to = kind == 'W'   ? &answer->otherwise
                        : kind == 'V' ? &answer->variant
                        : kind == 'O' ? &answer->options
                                      : &answer->headers;
            free(*to);
            *to = payload;
            payload = NULL;
            break;
        }
        case 'F':
            snprintf(failure, 200, "%s", payload);
            free(payload);
            return failure;
        case 'E':
            free(payload);
            return answer->otherwise && answer->variant ? NULL : "the judge's answer is not understood";
        default:
            good = false;
        }
        free(payload);
        if (!good)
            return "the judge gave no answer";
    }
}

static struct line begin(int patience)
{
    return (struct line){ spawn_asked(options()->python), patience };
}

bool judge_ask(const struct question *question, compile_fn *compile, void *what, struct answer *answer,
               char failure[200])
{
    memset(answer, 0, sizeof *answer);
    const struct line line = begin(PATIENCE);
    const char *why = "the judge does not start";
    if (line.fd >= 0) {
        why = ask(line, question) ? converse(line, compile, what, answer, failure)
                                  : "the judge does not listen";
        close(line.fd);
    }
    if (!why)
        return true;
    if (why != failure)
        snprintf(failure, 200, "%s", why);
    answer_free(answer);
    return false;
}

void answer_free(struct answer *answer)
{
    for (unsigned i = 0; i < answer->n; i++) {
        free(answer->kernels[i].kernel);
        free(answer->kernels[i].refusal);
    }
    free(answer->kernels);
    free(answer->otherwise);
    free(answer->variant);
    free(answer->options);
    free(answer->headers);
    memset(answer, 0, sizeof *answer);
}

int judge_headers_begin(const struct question *question)
{
    const struct line line = begin(PATIENCE_HEADERS);
    if (put_origin(line, question))
        return line.fd;
    if (line.fd >= 0)
        close(line.fd);
    return -1;
}

char *judge_headers(int judge)
{
    const struct line line = { judge, PATIENCE_HEADERS };
    char here[PATH_MAX], *payload = NULL;
    uint32_t size;
    if (judge < 0 || !getcwd(here, sizeof here) || !put_text(line, 'T', here))
        return NULL;
    if (get_frame(line, &payload, &size) == 'H')
        return payload;
    free(payload);
    return NULL;
}

void judge_given_away(const struct question *question)
{
    const struct line line = begin(PATIENCE_HEADERS);
    if (put_origin(line, question))
        put(line, 'G', "", 0);
    if (line.fd >= 0)
        close(line.fd);
}
