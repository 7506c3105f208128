#define _GNU_SOURCE
#include "kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "options.h"
#include "scalars.h"

/* Memory objects and samplers are no arguments any more once they are released: their handles may be
 * other objects', and drivers differ in whether a kernel keeps its own alive.  Each release has a
 * number; handles share places, so that a place may say a later one than it was. */
#define PLACES 4096
static _Atomic uint64_t releases, released[PLACES];

static _Atomic uint64_t *release_of(const void *object)
{
    return &released[((uintptr_t)object >> 4) * 0x9e3779b97f4a7c15u >> 52];
}

static void release(const void *object)
{
    atomic_store(release_of(object), atomic_fetch_add(&releases, 1) + 1);
}

cl_int our_clReleaseMemObject(handle memory)
{
    release(memory);
    holds_released(memory, next_clRetainMemObject, next_clReleaseMemObject);
    return next_clReleaseMemObject(memory);
}

cl_int our_clReleaseSampler(handle sampler)
{
    release(sampler);
    holds_released(sampler, next_clRetainSampler, next_clReleaseSampler);
    return next_clReleaseSampler(sampler);
}

/* Kernels as the program makes them. */

static void kernel_end(void *given)
{
    struct kernel *kernel = given;
    while (kernel->stand_ins) {
        struct stand_in *one = kernel->stand_ins;
        kernel->stand_ins = one->next;
        if (one->kernel)
            next_clReleaseKernel(one->kernel);
        free(one);
    }
    for (cl_uint i = 0; i < kernel->n; i++)
        free(kernel->arguments[i].value);
    build_drop(kernel->build);
    pthread_mutex_destroy(&kernel->lock);
    free(kernel->arguments);
    free(kernel->name);
    free(kernel);
}

/* build: what it is of; ours from here on.  name: NULL, the driver says it.  Some programs make a kernel for
 * each launch, so nothing is asked that is known. */
static void made(handle handle_of, struct build *build, handle program, const char *name)
{
    cl_uint n = 0;
    struct kernel *kernel;
    if (!build || next_clGetKernelInfo(handle_of, CL_KERNEL_NUM_ARGS, sizeof n, &n, NULL) ||
        !(kernel = calloc(1, sizeof *kernel))) {
        build_drop(build);
        return;
    }
    kernel->build = build;
    kernel->program = program;
    kernel->name = name ? strdup(name) : text_of(next_clGetKernelInfo, handle_of, CL_KERNEL_FUNCTION_NAME);
    kernel->n = n;
    kernel->arguments = calloc(n ? n : 1, sizeof *kernel->arguments);
    pthread_mutexattr_t again; /* a callback of the driver's may come back to us */
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&kernel->lock, &again);
    pthread_mutexattr_destroy(&again);
    if (!kernel->name || !kernel->arguments) {
        kernel->n = 0;
        kernel_end(kernel);
        return;
    }
    object_keep(&kernel->object, KIND_KERNEL, handle_of, kernel_end);
}

handle our_clCreateKernel(handle program, const char *name, cl_int *error)
{
    handle kernel = next_clCreateKernel(program, name, error);
    if (kernel && may_split())
        made(kernel, build_get(program), program, name);
    if (kernel)
        scalars_is_named(kernel, name);
    return kernel;
}

cl_int our_clCreateKernelsInProgram(handle program, cl_uint n, handle *kernels, cl_uint *n_ret)
{
    cl_uint n_made = 0;
    const cl_int result = next_clCreateKernelsInProgram(program, n, kernels, &n_made);
    if (n_ret)
        *n_ret = n_made;
    for (cl_uint i = 0; result == CL_SUCCESS && kernels && may_split() && i < n_made && i < n; i++)
        made(kernels[i], build_get(program), program, NULL);
    return result;
}

cl_int our_clRetainKernel(handle kernel)
{
    const cl_int result = next_clRetainKernel(kernel);
    if (result == CL_SUCCESS && followed())
        object_retained(KIND_KERNEL, kernel);
    return result;
}

cl_int our_clReleaseKernel(handle kernel)
{
    scalars_forget_name(kernel);
    if (followed())
        object_released(KIND_KERNEL, kernel);
    return next_clReleaseKernel(kernel);
}

/* Arguments. */

static void remember(struct kernel *kernel, cl_uint index, size_t size, const void *value)
{
    struct argument *argument = &kernel->arguments[index];
    if (value && size > argument->room) {
        free(argument->value);
        argument->value = malloc(size);
        argument->room = argument->value ? size : 0;
        if (!argument->value)
            return; /* not set, as far as we know */
    }
    if (value)
        memcpy(argument->value, value, size);
    argument->has_value = value;
    argument->size = size;
    argument->version = ++kernel->version;
    argument->release = atomic_load(&releases);
    argument->set = true;
}

/* The kernel, locked, with the argument forgotten; NULL if it is not ours to know. */
static struct kernel *begin(handle given, cl_uint index)
{
    struct kernel *kernel = may_split() ? object_get(KIND_KERNEL, given) : NULL;
    if (!kernel)
        return NULL;
    pthread_mutex_lock(&kernel->lock);
    /* Should setting it fail, what holds then is unknown. */
    if (index < kernel->n)
        kernel->arguments[index].set = kernel->arguments[index].svm = false;
    return kernel;
}

static void end(struct kernel *kernel)
{
    pthread_mutex_unlock(&kernel->lock);
    object_drop(kernel);
}

cl_int our_clSetKernelArg(handle given, cl_uint index, size_t size, const void *value)
{
    struct kernel *kernel = begin(given, index);
    const cl_int result = next_clSetKernelArg(given, index, size, value);
    if (result == CL_SUCCESS)
        scalar_set(given, index, size, value);
    if (kernel) {
        if (result == CL_SUCCESS && index < kernel->n)
            remember(kernel, index, size, value);
        end(kernel);
    }
    return result;
}

cl_int our_clSetKernelArgSVMPointer(handle given, cl_uint index, const void *value)
{
    struct kernel *kernel = begin(given, index);
    const cl_int result = next_clSetKernelArgSVMPointer(given, index, value);
    if (kernel) {
        if (index < kernel->n)
            kernel->arguments[index].svm = true;
        end(kernel);
    }
    return result;
}

cl_int our_clSetKernelExecInfo(handle given, cl_uint what, size_t size, const void *value)
{
    struct kernel *kernel = begin(given, ~0u);
    const cl_int result = next_clSetKernelExecInfo(given, what, size, value);
    if (kernel) {
        kernel->unseen = true;
        end(kernel);
    }
    return result;
}

/* A clone has the arguments that its original has now. */
static void take_over(struct kernel *clone, const struct kernel *from)
{
    clone->unseen = from->unseen || clone->n != from->n;
    for (cl_uint i = 0; !clone->unseen && i < from->n; i++) {
        const struct argument *argument = &from->arguments[i];
        if (argument->set)
            remember(clone, i, argument->size, argument->has_value ? argument->value : NULL);
        clone->arguments[i].svm = argument->svm;
        clone->arguments[i].release = argument->release;
    }
}

handle our_clCloneKernel(handle given, cl_int *error)
{
    struct kernel *kernel = begin(given, ~0u);
    handle made_of = next_clCloneKernel(given, error);
    if (kernel && made_of) {
        made(made_of, build_hold(kernel->build), kernel->program, kernel->name); /* that may be gone */
        struct kernel *clone = object_get(KIND_KERNEL, made_of);
        if (clone)
            take_over(clone, kernel); /* nobody else has its handle yet */
        object_drop(clone);
    }
    if (kernel)
        end(kernel);
    return made_of;
}

const char *kernel_arguments(const struct kernel *kernel, bool replay)
{
    if (kernel->unseen)
        return "more than arguments was set on it";
    for (cl_uint i = 0; i < kernel->n; i++) {
        const struct argument *argument = &kernel->arguments[i];
        handle object;
        if (argument->svm)
            return "it works on shared virtual memory";
        if (!argument->set)
            return "its arguments were set where gpusplit could not see them";
        if (!replay || !argument->has_value || argument->size != sizeof object)
            continue;
        memcpy(&object, argument->value, sizeof object);
        if (atomic_load(release_of(object)) > argument->release)
            return "one of its arguments may have been released";
    }
    return NULL;
}

/* What tells the memory of an argument from any other's: NULL if it is none, HOSTS if it lies where
 * objects may overlap or cannot be told. */
#define HOSTS ((handle)1)

static handle memory_of(const struct argument *argument)
{
    handle memory, part_of = NULL;
    if (!argument->has_value)
        return NULL;
    if (argument->size != sizeof memory)
        return HOSTS;
    /* An image may be made of a buffer, and a buffer be a part of one. */
    for (memcpy(&part_of, argument->value, sizeof part_of), memory = NULL; part_of;) {
        cl_bitfield flags = 0;
        memory = part_of;
        if (next_clGetMemObjectInfo(memory, CL_MEM_FLAGS, sizeof flags, &flags, NULL) ||
            flags & CL_MEM_USE_HOST_PTR ||
            next_clGetMemObjectInfo(memory, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof part_of, &part_of, NULL))
            return HOSTS;
    }
    return memory;
}

bool kernel_shares(const struct kernel *kernel, uint64_t some, uint64_t others)
{
    for (cl_uint i = 0; i < kernel->n && i < 64; i++) {
        const handle memory = some >> i & 1 ? memory_of(&kernel->arguments[i]) : NULL;
        for (cl_uint j = 0; memory && j < kernel->n && j < 64; j++)
            if (others >> j & 1 && memory_of(&kernel->arguments[j]) == memory)
                return true;
    }
    return false;
}

static struct stand_in *stand_in_of(struct kernel *kernel, handle program)
{
    struct stand_in *one = kernel->stand_ins;
    while (one && one->program != program)
        one = one->next;
    if (one || !(one = calloc(1, sizeof *one)))
        return one;
    cl_int error;
    cl_uint n = 0;
    one->program = program;
    one->kernel = next_clCreateKernel(program, kernel->name, &error);
    if (one->kernel && (next_clGetKernelInfo(one->kernel, CL_KERNEL_NUM_ARGS, sizeof n, &n, NULL) ||
                        n != kernel->n)) {
        next_clReleaseKernel(one->kernel);
        one->kernel = NULL; /* it takes other arguments */
    }
    one->next = kernel->stand_ins;
    kernel->stand_ins = one;
    return one;
}

handle kernel_stand_in(struct kernel *kernel, handle program)
{
    struct stand_in *one = stand_in_of(kernel, program);
    if (!one || !one->kernel)
        return NULL;
    const uint64_t before = one->version;
    for (cl_uint i = 0; i < kernel->n; i++) {
        const struct argument *argument = &kernel->arguments[i];
        if (argument->version <= before)
            continue;
        one->version = 0; /* until all of them are set */
        if (next_clSetKernelArg(one->kernel, i, argument->size,
                                argument->has_value ? argument->value : NULL))
            return NULL;
    }
    one->version = kernel->version;
    return one->kernel;
}

handle kernel_copy(const struct kernel *kernel, handle program, struct hold **hold)
{
    handle objects[kernel->n + 1];
    unsigned n = 0;
    cl_int error;
    for (cl_uint i = 0; i < kernel->n; i++)
        if (kernel->arguments[i].has_value && kernel->arguments[i].size == sizeof *objects)
            memcpy(&objects[n++], kernel->arguments[i].value, sizeof *objects);
    *hold = hold_begin(objects, n);
    /* Asked now: what is released from here on is held. */
    handle copy = *hold && !kernel_arguments(kernel, true)
                      ? next_clCreateKernel(program, kernel->name, &error)
                      : NULL;
    for (cl_uint i = 0; copy && i < kernel->n; i++) {
        const struct argument *argument = &kernel->arguments[i];
        if (next_clSetKernelArg(copy, i, argument->size, argument->has_value ? argument->value : NULL)) {
            next_clReleaseKernel(copy);
            copy = NULL;
        }
    }
    if (!copy) {
        hold_end(*hold);
        *hold = NULL;
    }
    return copy;
}

bool kernel_accepted(const struct kernel *kernel, handle context, const struct ndrange *range)
{
    const struct accepted *before = &kernel->accepted;
    return before->context == context && before->has_local == range->has_local &&
           !memcmp(before->local, range->local, sizeof before->local);
}

void kernel_accepts(struct kernel *kernel, handle context, const struct ndrange *range)
{
    kernel->accepted.context = context;
    kernel->accepted.has_local = range->has_local;
    memcpy(kernel->accepted.local, range->local, sizeof range->local);
}
