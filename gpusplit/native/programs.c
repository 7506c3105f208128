#define _GNU_SOURCE
#include "programs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "objects.h"
#include "options.h"

struct program {
    struct object object;
    pthread_mutex_t lock;
    struct binaries *binaries; /* NULL: it is made from source */
    struct build *build;       /* NULL before it is built */
    struct build *compiled;    /* the same for what is linked of it */
};

struct build *build_get(handle handle_of)
{
    struct program *program = object_get(KIND_PROGRAM, handle_of);
    if (!program)
        return NULL;
    pthread_mutex_lock(&program->lock);
    struct build *build = build_hold(program->build);
    pthread_mutex_unlock(&program->lock);
    object_drop(program);
    return build;
}

static void program_end(void *given)
{
    struct program *program = given;
    build_drop(program->build);
    build_drop(program->compiled);
    binaries_drop(program->binaries);
    pthread_mutex_destroy(&program->lock);
    free(program);
}

/* binaries, build: NULL, or given to the program. */
static void made(handle handle_of, struct binaries *binaries, struct build *build)
{
    struct program *program = calloc(1, sizeof *program);
    if (!program) {
        binaries_drop(binaries);
        build_drop(build);
        return;
    }
    program->binaries = binaries;
    program->build = build;
    pthread_mutex_init(&program->lock, NULL);
    object_keep(&program->object, KIND_PROGRAM, handle_of, program_end);
}

handle our_clCreateProgramWithSource(handle context, cl_uint n, const char **strings,
                                     const size_t *lengths, cl_int *error)
{
    handle program = next_clCreateProgramWithSource(context, n, strings, lengths, error);
    if (program && may_split())
        made(program, NULL, NULL);
    return program;
}

handle our_clCreateProgramWithBinary(handle context, cl_uint n, const handle *devices,
                                     const size_t *lengths, const unsigned char **images,
                                     cl_int *statuses, cl_int *error)
{
    handle program =
        next_clCreateProgramWithBinary(context, n, devices, lengths, images, statuses, error);
    struct binaries *binaries = program && may_split() ? binaries_copy(n, lengths, images) : NULL;
    if (binaries)
        made(program, binaries, NULL);
    return program;
}

/* A module of SPIR-V, which is the same on every device: the judge reads it. */
handle our_clCreateProgramWithIL(handle context, const void *module, size_t size, cl_int *error)
{
    handle program = next_clCreateProgramWithIL(context, module, size, error);
    const unsigned char *image = module;
    struct binaries *binaries = program && may_split() ? binaries_copy(1, &size, &image) : NULL;
    if (binaries)
        made(program, binaries, NULL);
    return program;
}

cl_int our_clRetainProgram(handle program)
{
    const cl_int result = next_clRetainProgram(program);
    if (result == CL_SUCCESS && followed())
        object_retained(KIND_PROGRAM, program);
    return result;
}

cl_int our_clReleaseProgram(handle program)
{
    if (followed())
        object_released(KIND_PROGRAM, program);
    return next_clReleaseProgram(program);
}

/* The headers of a program while it is built; headers that change meanwhile are not known, nor are those
 * of a build that goes on when the call is back. */
struct watch {
    int judge; /* -1: there is nothing to be seen */
    char *source, *seen;
};

static struct watch watch(handle program, const char *options, bool asynchronous)
{
    struct watch watch = { -1, text_of(next_clGetProgramInfo, program, CL_PROGRAM_SOURCE), NULL };
    const char *source = watch.source;
    if (source && !asynchronous &&
        (strstr(source, "include") || strstr(source, "import") || strstr(source, "embed"))) {
        const struct question question = { .source = source, .options = options };
        watch.judge = judge_headers_begin(&question);
        watch.seen = judge_headers(watch.judge);
    }
    return watch;
}

static void watch_end(struct watch *watch)
{
    char *now = watch->seen ? judge_headers(watch->judge) : NULL;
    if (watch->seen && (!now || strcmp(watch->seen, now) != 0)) {
        free(watch->seen);
        watch->seen = NULL;
    }
    if (watch->judge >= 0)
        close(watch->judge);
    free(now);
    free(watch->source);
}

/* An earlier build that still holds keeps its kernels' verdicts. */
static void set_build(struct program *program, struct build **place, struct build *build)
{
    pthread_mutex_lock(&program->lock);
    struct build *before = *place;
    *place = build;
    pthread_mutex_unlock(&program->lock);
    build_drop(before);
}

cl_int our_clBuildProgram(handle given, cl_uint n, const handle *devices, const char *options,
                          void (*notify)(handle, void *), void *what)
{
    struct program *program = may_split() ? object_get(KIND_PROGRAM, given) : NULL;
    if (!program)
        return next_clBuildProgram(given, n, devices, options, notify, what);
    const char *said = options ? options : "";
    struct watch headers = { -1, NULL, NULL };
    if (!program->binaries)
        headers = watch(given, said, notify);
    const cl_int result = next_clBuildProgram(given, n, devices, options, notify, what);
    watch_end(&headers);
    if (result == CL_SUCCESS || result == CL_BUILD_PROGRAM_FAILURE)
        set_build(program, &program->build, build_new(said, headers.seen, program->binaries, NULL));
    free(headers.seen);
    object_drop(program);
    return result;
}

/* A source that is compiled and then linked alone is built in two steps (hashcat does so).  With other
 * programs for headers, with options of its own at the link, or together with others it is not known. */

cl_int our_clCompileProgram(handle given, cl_uint n, const handle *devices, const char *options,
                            cl_uint n_headers, const handle *input, const char **names,
                            void (*notify)(handle, void *), void *what)
{
    struct program *program = may_split() ? object_get(KIND_PROGRAM, given) : NULL;
    const bool known = program && !program->binaries && !n_headers && !notify;
    const char *said = options ? options : "";
    struct watch headers = { -1, NULL, NULL };
    if (known)
        headers = watch(given, said, false);
    const cl_int result =
        next_clCompileProgram(given, n, devices, options, n_headers, input, names, notify, what);
    char *source = known ? text_of(next_clGetProgramInfo, given, CL_PROGRAM_SOURCE) : NULL;
    watch_end(&headers);
    if (program)
        set_build(program, &program->compiled,
                  result == CL_SUCCESS && source ? build_new(said, headers.seen, NULL, source) : NULL);
    free(source);
    free(headers.seen);
    object_drop(program);
    return result;
}

handle our_clLinkProgram(handle context, cl_uint n, const handle *devices, const char *options,
                         cl_uint n_inputs, const handle *inputs, void (*notify)(handle, void *),
                         void *what, cl_int *error)
{
    const bool alone = may_split() && n_inputs == 1 && inputs && !notify &&
                       (!options || !options[strspn(options, " \t")]);
    struct program *input = alone ? object_get(KIND_PROGRAM, inputs[0]) : NULL;
    handle program =
        next_clLinkProgram(context, n, devices, options, n_inputs, inputs, notify, what, error);
    if (program && input) {
        pthread_mutex_lock(&input->lock);
        struct build *build = build_hold(input->compiled);
        pthread_mutex_unlock(&input->lock);
        if (build)
            made(program, NULL, build);
    }
    object_drop(input);
    return program;
}

/* Whoever asks for binaries may keep them, and make the program of them the next time. */
cl_int our_clGetProgramInfo(handle program, ANSWER)
{
    enum { MOST = 64 };
    const cl_int result = next_clGetProgramInfo(program, what, size, value, size_ret);
    size_t sizes[MOST];
    const size_t n = size / sizeof(void *);
    if (result != CL_SUCCESS || what != CL_PROGRAM_BINARIES || !value || !n || n > MOST || !may_split() ||
        next_clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, n * sizeof *sizes, sizes, NULL))
        return result;
    struct build *build = build_get(program);
    struct binaries *given = build ? binaries_copy((unsigned)n, sizes, value) : NULL;
    if (given)
        build_given_away(build, program, given);
    binaries_drop(given);
    build_drop(build);
    return result;
}
