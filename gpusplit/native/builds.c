#define _GNU_SOURCE
#include "builds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "background.h"
#include "device.h"
#include "options.h"
#include "tell.h"

/* Variants of a build beyond which none with constants compiled in is made: no endless compiling. */
#define MOST_CONSTANT 16

/* What is found out in the background: first asked for, then there for good. */
struct judged {
    handle device;
    atomic_bool known;
    struct answer answer;
    struct judged *next;
};
struct variant {
    handle device;
    atomic_bool known;
    struct form form;
    handle program;      /* NULL: there is none, ... */
    const char *refused; /* ... and why */
    struct variant *next;
};

struct build {
    atomic_uint uses;
    char *options;
    char *headers;             /* as they were seen; NULL: they were not */
    struct binaries *binaries; /* NULL: it is of a source */
    char *source;              /* NULL: the program says it */
    pthread_mutex_t lock; /* of the lists */
    pthread_mutex_t work; /* held by who finds something out while others wait for it */
    struct judged *judged;
    struct variant *variants;
    unsigned n_constant;
};

/* Finding out, by a thread that holds the program. */
struct finding {
    struct job job;
    struct build *build;
    handle program, device;
    struct judged *judged;         /* to be judged, or ... */
    struct variant *variant;       /* ... a variant to be built, ... */
    const struct answer *answer;   /* ... of this source */
};

void build_drop(struct build *build)
{
    if (!build || atomic_fetch_sub(&build->uses, 1) != 1)
        return;
    while (build->judged) {
        struct judged *judged = build->judged;
        build->judged = judged->next;
        answer_free(&judged->answer);
        free(judged);
    }
    while (build->variants) {
        struct variant *variant = build->variants;
        build->variants = variant->next;
        if (variant->program)
            next_clReleaseProgram(variant->program);
        free(variant);
    }
    pthread_mutex_destroy(&build->lock);
    pthread_mutex_destroy(&build->work);
    binaries_drop(build->binaries);
    free(build->headers);
    free(build->source);
    free(build->options);
    free(build);
}

struct build *build_hold(struct build *build)
{
    if (build)
        atomic_fetch_add(&build->uses, 1);
    return build;
}

struct build *build_new(const char *options, const char *headers, struct binaries *binaries,
                        const char *source)
{
    struct build *build = calloc(1, sizeof *build);
    if (!build)
        return NULL;
    atomic_init(&build->uses, 1);
    pthread_mutex_init(&build->lock, NULL);
    pthread_mutex_init(&build->work, NULL);
    build->options = strdup(options);
    build->headers = headers ? strdup(headers) : NULL;
    build->source = source ? strdup(source) : NULL;
    build->binaries = binaries_hold(binaries);
    if (build->options && (build->headers || !headers) && (build->source || !source))
        return build;
    build_drop(build);
    return NULL;
}

/* Finding out. */

/* Options that a program was first built with go before those of its building from a binary. */
static const char *options_of(const struct finding *f)
{
    const struct answer *answer = f->judged ? &f->judged->answer : f->answer;
    return answer->options ? answer->options : f->build->options;
}

static handle compile(const struct finding *f, const char *text)
{
    handle context = NULL;
    cl_int error;
    if (next_clGetProgramInfo(f->program, CL_PROGRAM_CONTEXT, sizeof context, &context, NULL))
        return NULL;
    handle made = next_clCreateProgramWithSource(context, 1, &text, NULL, &error);
    if (made && next_clBuildProgram(made, 1, &f->device, options_of(f), NULL, NULL)) {
        next_clReleaseProgram(made);
        made = NULL;
    }
    return made;
}

static char *kernels_of(void *what, const char *text)
{
    handle made = compile(what, text);
    if (!made)
        return NULL;
    char *names = text_of(next_clGetProgramInfo, made, CL_PROGRAM_KERNEL_NAMES);
    next_clReleaseProgram(made);
    return names;
}

/* The driver's binary for the device; NULL where there is none to be had. */
static void *image_of(const struct finding *f, size_t *size)
{
    enum { MOST = 64 };
    cl_uint n = 0;
    handle devices[MOST];
    size_t sizes[MOST], at = 0;
    unsigned char *images[MOST] = { NULL };
    if (next_clGetProgramInfo(f->program, CL_PROGRAM_NUM_DEVICES, sizeof n, &n, NULL) || n > MOST ||
        next_clGetProgramInfo(f->program, CL_PROGRAM_DEVICES, n * sizeof *devices, devices, NULL) ||
        next_clGetProgramInfo(f->program, CL_PROGRAM_BINARY_SIZES, n * sizeof *sizes, sizes, NULL))
        return NULL;
    while (at < n && devices[at] != f->device)
        at++;
    if (at == n || !sizes[at] || !(images[at] = malloc(sizes[at])))
        return NULL;
    *size = sizes[at];
    if (!next_clGetProgramInfo(f->program, CL_PROGRAM_BINARIES, n * sizeof *images, images, NULL))
        return images[at];
    free(images[at]);
    return NULL;
}

static void whole(struct answer *answer, const char *why)
{
    memset(answer, 0, sizeof *answer);
    answer->otherwise = strdup(why);
    answer->variant = strdup("");
}

/* What there is of the program's source; it is to be freed. */
static char *say_origin(struct question *question, const struct build *build, handle program)
{
    if (build->binaries) {
        question->binaries = build->binaries;
        return NULL;
    }
    char *source = build->source ? strdup(build->source)
                                 : text_of(next_clGetProgramInfo, program, CL_PROGRAM_SOURCE);
    question->source = source && source[strspn(source, " \n")] ? source : NULL;
    question->options = build->options;
    question->headers = build->headers;
    return source;
}

static void ask_judge(struct finding *f)
{
    static const cl_uint of_device[] = { CL_DEVICE_VENDOR, CL_DEVICE_NAME, CL_DEVICE_VERSION,
                                         CL_DRIVER_VERSION, CL_DEVICE_OPENCL_C_VERSION };
    handle platform = NULL;
    char failure[200], *called[7];
    struct answer *answer = &f->judged->answer;
    struct question question = { 0 };
    char *source = say_origin(&question, f->build, f->program);
    bool read = question.source || question.binaries;
    next_clGetDeviceInfo(f->device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    next_clGetDeviceInfo(f->device, CL_DEVICE_ADDRESS_BITS, sizeof question.address_bits,
                         &question.address_bits, NULL);
    called[0] = text_of(next_clGetPlatformInfo, platform, CL_PLATFORM_NAME);
    called[1] = text_of(next_clGetPlatformInfo, platform, CL_PLATFORM_VERSION);
    for (unsigned i = 0; i < 5; i++)
        called[2 + i] = text_of(next_clGetDeviceInfo, f->device, of_device[i]);
    for (unsigned i = 0; i < 7; i++) {
        question.called[i] = called[i];
        read = read && called[i];
    }
    void *image = read && strstr(called[2], "NVIDIA") ? image_of(f, &question.image_size) : NULL;
    question.image = image;
    if (!image)
        question.image_size = 0;
    if (!read) {
        whole(answer, "its source is not known");
    } else if (!judge_ask(&question, kernels_of, f, answer, failure)) {
        static atomic_bool told;
        if (!judge_ended() && !atomic_exchange(&told, true))
            tell(TELL_JUDGE, "launches stay whole: %s", failure);
        whole(answer, failure);
    }
    for (unsigned i = 0; i < 7; i++)
        free(called[i]);
    free(image);
    free(source);
}

static bool headers_as_judged(const struct finding *f)
{
    struct question question = { 0 };
    char *source = say_origin(&question, f->build, f->program);
    const int judge = judge_headers_begin(&question);
    char *now = judge_headers(judge);
    const bool same = now && !strcmp(now, f->answer->headers);
    if (judge >= 0)
        close(judge);
    free(now);
    free(source);
    return same;
}

void build_given_away(struct build *build, handle program, const struct binaries *binaries)
{
    struct question question = { 0 };
    char *source = build->binaries ? NULL : say_origin(&question, build, program);
    question.binaries = binaries;
    if (question.source)
        judge_given_away(&question);
    free(source);
}

static void build_it(struct finding *f)
{
    struct variant *variant = f->variant;
    char *text = malloc(FORM_TEXT + strlen(f->answer->variant) + 1);
    variant->refused = "the compiler refused the variant";
    if (!text)
        return;
    split_macros(&variant->form, text);
    strcat(text, f->answer->variant);
    variant->program = compile(f, text);
    if (variant->program && f->answer->headers && !headers_as_judged(f)) {
        next_clReleaseProgram(variant->program);
        variant->program = NULL;
        variant->refused = "a header has changed since the program was built";
    }
    free(text);
}

static void find_out(struct finding *f)
{
    atomic_bool *known = f->judged ? &f->judged->known : &f->variant->known;
    pthread_mutex_lock(&f->build->work);
    if (!atomic_load(known)) {
        if (f->judged)
            ask_judge(f);
        else
            build_it(f);
        atomic_store(known, true);
    }
    pthread_mutex_unlock(&f->build->work);
}

static void finding_drop(struct job *job)
{
    struct finding *f = (struct finding *)job;
    next_clReleaseProgram(f->program);
    build_drop(f->build);
    free(f);
}

static void finding_work(struct job *job)
{
    find_out((struct finding *)job);
    finding_drop(job);
}

/* Finds out now, or has it found out in the background if nobody does yet. */
static void find(struct finding f, bool is_new)
{
    if (options()->waits) {
        find_out(&f);
        return;
    }
    struct finding *later = is_new ? malloc(sizeof *later) : NULL;
    if (!later || next_clRetainProgram(f.program)) {
        free(later);
        return;
    }
    *later = f;
    later->job = (struct job){ finding_work, finding_drop, NULL };
    atomic_fetch_add(&f.build->uses, 1);
    background_do(&later->job);
}

const struct answer *build_answer(struct build *build, handle program, handle device)
{
    bool is_new = false;
    pthread_mutex_lock(&build->lock);
    struct judged *judged = build->judged;
    while (judged && judged->device != device)
        judged = judged->next;
    if (!judged && (judged = calloc(1, sizeof *judged))) {
        judged->device = device;
        judged->next = build->judged;
        build->judged = judged;
        is_new = true;
    }
    pthread_mutex_unlock(&build->lock);
    if (!judged)
        return NULL;
    if (!atomic_load(&judged->known))
        find((struct finding){ .build = build, .program = program, .device = device, .judged = judged },
             is_new);
    return atomic_load(&judged->known) ? &judged->answer : NULL;
}

const struct verdict *answer_verdict(const struct answer *answer, const char *kernel,
                                     struct verdict *otherwise)
{
    for (unsigned i = 0; i < answer->n; i++)
        if (!strcmp(answer->kernels[i].kernel, kernel))
            return &answer->kernels[i];
    *otherwise = (struct verdict){ .refusal = answer->otherwise };
    return otherwise;
}

handle build_variant(struct build *build, const struct answer *answer, handle program, handle device,
                     const struct form *form, bool constant, const char **why)
{
    bool is_new = false;
    pthread_mutex_lock(&build->lock);
    struct variant *variant = build->variants;
    while (variant && (variant->device != device || memcmp(&variant->form, form, sizeof *form) != 0))
        variant = variant->next;
    const bool too_many = !variant && constant && build->n_constant >= MOST_CONSTANT;
    if (!variant && !too_many && (variant = calloc(1, sizeof *variant))) {
        variant->device = device;
        variant->form = *form;
        variant->next = build->variants;
        build->variants = variant;
        build->n_constant += constant;
        is_new = true;
    }
    pthread_mutex_unlock(&build->lock);
    *why = too_many ? "too many different NDRanges, each to be compiled" : "its variant is being built";
    if (!variant)
        return NULL;
    if (!atomic_load(&variant->known))
        find((struct finding){ .build = build, .program = program, .device = device, .variant = variant,
                               .answer = answer }, is_new);
    if (!atomic_load(&variant->known))
        return NULL;
    *why = variant->refused;
    return variant->program;
}
