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
    binaries_drop(program->binaries);
    pthread_mutex_destroy(&program->lock);
    free(program);
}

static void made(handle handle_of, struct binaries *binaries)
{
    struct program *program = calloc(1, sizeof *program);
    if (!program) {
        binaries_drop(binaries);
        return;
    }
    program->binaries = binaries;
    pthread_mutex_init(&program->lock, NULL);
    object_keep(&program->object, KIND_PROGRAM, handle_of, program_end);
}

handle our_clCreateProgramWithSource(handle context, cl_uint n, const char **strings,
                                     const size_t *lengths, cl_int *error)
{
    handle program = next_clCreateProgramWithSource(context, n, strings, lengths, error);
    if (program && may_split())
        made(program, NULL);
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
        made(program, binaries);
    return program;
}

cl_int our_clRetainProgram(handle program)
{
    const cl_int result = next_clRetainProgram(program);
    if (result == CL_SUCCESS && may_split())
        object_retained(KIND_PROGRAM, program);
    return result;
}

cl_int our_clReleaseProgram(handle program)
{
    if (may_split())
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
    /* An earlier build that still holds keeps its kernels' verdicts. */
    if (result == CL_SUCCESS || result == CL_BUILD_PROGRAM_FAILURE) {
        struct build *build = build_new(said, headers.seen, program->binaries);
        pthread_mutex_lock(&program->lock);
        struct build *before = program->build;
        program->build = build;
        pthread_mutex_unlock(&program->lock);
        build_drop(before);
    }
    free(headers.seen);
    object_drop(program);
    return result;
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
