/* Asking the judge: a process of Python's that reads one question and writes one answer (asked.py). */
#ifndef GPUSPLIT_JUDGE_H
#define GPUSPLIT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "binaries.h"

struct question {
    const char *source, *options; /* NULL: the program was made from binaries */
    const char *headers;          /* while it was built, as judge_headers() said it; or NULL */
    const struct binaries *binaries;
    unsigned address_bits;
    const char *called[7]; /* what the device is called: see asking.device_key */
    const void *image;     /* the driver's binary of the program, where it is worth reading */
    size_t image_size;
};

/* What was found for one kernel. */
struct verdict {
    char *kernel;
    char *refusal;  /* why it stays whole; empty: it may be split */
    bool asks;      /* it needs the program's variant */
    bool asks_size; /* ... and in it the size of the whole launch */
    bool shows_work_group;
    /* A bit for each argument: no memory of the first may be memory of the second. */
    uint64_t still, changed;
};

struct answer {
    struct verdict *kernels;
    unsigned n;
    char *otherwise; /* why other kernels stay whole */
    char *variant;   /* the variant's source */
    char *options;   /* to compile it with, where the program's are not known; or NULL */
    char *headers;   /* that have to be as they were for it; NULL: it has none */
};

/* Compiles `text` on the device: the names of its kernels, to be freed; NULL if it is refused. */
typedef char *compile_fn(void *what, const char *text);

/* Asks; false where there is no answer, and then failure says why.  Takes as long as it takes, but ends
 * at once after judge_ends(). */
bool judge_ask(const struct question *question, compile_fn *compile, void *what, struct answer *answer,
               char failure[200]);
void answer_free(struct answer *answer);

/* Begins to look at the headers of a program, by what it is made from: a judge, to be closed; or -1. */
int judge_headers_begin(const struct question *question);
/* What these headers are now, in the folder where the program runs; to be freed.  NULL: unknown. */
char *judge_headers(int judge);

/* Has it kept which source the question's binaries are made from; does not wait until it is. */
void judge_given_away(const struct question *question);

/* Nobody is to be asked any more: the program ends. */
void judge_ends(void);
bool judge_ended(void);

#endif
