/* The doors of the OpenCL layer, which a loader puts between a program and every driver (OPENCL_LAYERS;
 * Khronos' "OpenCL-ICD-Loader, layers" and ocl-icd), and what of it needs no more than a line. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "background.h"
#include "drivers.h"
#include "layer.h"
#include "loaders.h"
#include "opencl.h"
#include "options.h"
#include "queues.h"
#include "reach.h"
#include "settings.h"
#include "spawn.h"

#define EXPORT __attribute__((visibility("default")))

#define DEFINE(name, place, result, parameters, ...) result(*next_##name) parameters;
FUNCTIONS(DEFINE)
COMMANDS(DEFINE)

/* What stands for the event of those commands that have none. */
static handle *const event = NULL;

/* No command comes between the slices of a launch. */
#define COMMAND(name, place, result, parameters, call)                                               \
    result our_##name parameters                                                                     \
    {                                                                                                \
        struct queue *entered = may_split() ? queue_enter(queue) : NULL;                             \
        result done = next_##name call;                                                              \
        queue_leave(entered);                                                                        \
        command_given(queue, place, event);                                                          \
        return done;                                                                                 \
    }
COMMANDS(COMMAND)

/* Whoever asks for what stands in no table may enqueue, or set arguments, where we do not see it. */
static void asked_for(const char *name)
{
    static const char *const unseen[] = { "clEnqueue", "clSetKernel", "clCommand", "clCloneKernel" };
    char why[120];
    for (unsigned i = 0; name && i < sizeof unseen / sizeof *unseen; i++)
        if (!strncmp(name, unseen[i], strlen(unseen[i]))) {
            snprintf(why, sizeof why, "the program asks for %.60s, which is not seen here", name);
            splitting_ends(why);
        }
}

/* The paper's function (gpusplit.h): what clEnqueueNDRangeKernel does here anyway.  A program that is
 * linked with us where we are no layer has only the loader's. */
EXPORT cl_int clEnqueueNDRangeKernel_N(handle queue, handle kernel, cl_uint dimensions, const size_t *offset,
                                       const size_t *global, const size_t *local, WAIT_LIST)
{
    cl_int (*enqueue)(handle, handle, cl_uint, const size_t *, const size_t *, const size_t *, WAIT_LIST) =
        our_clEnqueueNDRangeKernel;
    if (!next_clEnqueueNDRangeKernel)
        *(void **)&enqueue = reach_real(RTLD_DEFAULT, "clEnqueueNDRangeKernel");
    return enqueue ? enqueue(queue, kernel, dimensions, offset, global, local, GIVEN_LIST)
                   : CL_INVALID_OPERATION;
}

static bool is_the_papers(const char *name)
{
    return name && !strcmp(name, "clEnqueueNDRangeKernel_N");
}

void *our_clGetExtensionFunctionAddress(const char *name)
{
    if (is_the_papers(name))
        return (void *)clEnqueueNDRangeKernel_N;
    asked_for(name);
    return next_clGetExtensionFunctionAddress(name);
}

void *our_clGetExtensionFunctionAddressForPlatform(handle platform, const char *name)
{
    if (is_the_papers(name))
        return (void *)clEnqueueNDRangeKernel_N;
    asked_for(name);
    return next_clGetExtensionFunctionAddressForPlatform(platform, name);
}

EXPORT cl_int clGetLayerInfo(cl_uint what, size_t size, void *value, size_t *size_ret)
{
    static const char name[] = "gpusplit";
    const cl_uint version = CL_LAYER_API_VERSION_100;
    const void *answer = what == CL_LAYER_NAME ? (const void *)name : &version;
    const size_t needed = what == CL_LAYER_NAME ? sizeof name : sizeof version;
    if ((what != CL_LAYER_NAME && what != CL_LAYER_API_VERSION) || (value && size < needed))
        return CL_INVALID_VALUE;
    if (value)
        memcpy(value, answer, needed);
    if (size_ret)
        *size_ret = needed;
    return CL_SUCCESS;
}

/* More places than any loader's table has. */
#define PLACES 512

static void *table[PLACES];
/* Whether all is answered that splitting needs. */
static bool all_is_seen;

#define NEXT(name, place, ...)                                                                       \
    if (place < known)                                                                               \
        *(void **)&next_##name = target[place];
#define WRAP(name, place, ...)                                                                       \
    if (place < known && next_##name)                                                                \
        table[place] = (void *)our_##name;

/* What is answered whatever the options say, as COMMANDS are. */
#define WAITS(X)                                                                                     \
    X(clReleaseKernel, 37)                                                                           \
    X(clWaitForEvents, 41)                                                                           \
    X(clSetKernelArg, 38)                                                                            \
    X(clReleaseEvent, 44)                                                                            \
    X(clCreateUserEvent, 84)                                                                         \
    X(clSetUserEventStatus, 85)                                                                      \
    X(clFinish, 47)                                                                                  \
    X(clEnqueueReadBuffer, 48)                                                                       \
    X(clEnqueueWriteBuffer, 49)                                                                      \
    X(clEnqueueReadImage, 51)                                                                        \
    X(clEnqueueWriteImage, 52)                                                                       \
    X(clEnqueueMapBuffer, 56)                                                                        \
    X(clEnqueueMapImage, 57)                                                                         \
    X(clEnqueueNDRangeKernel, 59)                                                                    \
    X(clGetExtensionFunctionAddress, 65)                                                             \
    X(clEnqueueReadBufferRect, 86)                                                                   \
    X(clEnqueueWriteBufferRect, 87)                                                                  \
    X(clGetExtensionFunctionAddressForPlatform, 107)                                                 \
    X(clEnqueueSVMMemcpy, 129)                                                                       \
    X(clEnqueueSVMMap, 131)

/* What is answered for launches to be split, which Python may want at any time (control.h). */
#define SPLITTING(X)                                                                                 \
    X(clCreateCommandQueue, 9)                                                                       \
    X(clRetainCommandQueue, 10)                                                                      \
    X(clReleaseCommandQueue, 11)                                                                     \
    X(clSetCommandQueueProperty, 13)                                                                 \
    X(clReleaseMemObject, 18)                                                                        \
    X(clReleaseSampler, 24)                                                                          \
    X(clCreateProgramWithSource, 26)                                                                 \
    X(clCreateProgramWithBinary, 27)                                                                 \
    X(clRetainProgram, 28)                                                                           \
    X(clReleaseProgram, 29)                                                                          \
    X(clBuildProgram, 30)                                                                            \
    X(clGetProgramInfo, 32)                                                                          \
    X(clCreateKernel, 34)                                                                            \
    X(clCreateKernelsInProgram, 35)                                                                  \
    X(clRetainKernel, 36)                                                                            \
    X(clGetEventInfo, 42)                                                                            \
    X(clRetainEvent, 43)                                                                             \
    X(clGetEventProfilingInfo, 45)                                                                   \
    X(clSetEventCallback, 81)                                                                        \
    X(clEnqueueTask, 60)                                                                             \
    X(clCompileProgram, 98)                                                                          \
    X(clLinkProgram, 99)                                                                             \
    X(clCreateCommandQueueWithProperties, 123)                                                       \
    X(clSetKernelArgSVMPointer, 134)                                                                 \
    X(clSetKernelExecInfo, 135)                                                                      \
    X(clCloneKernel, 137)                                                                            \
    X(clCreateProgramWithIL, 138)

/* Launches need all of these; a loader whose table is shorter, or a driver without them, has none. */
static bool can_split(void)
{
    return next_clEnqueueMarkerWithWaitList && next_clEnqueueBarrierWithWaitList &&
           next_clCreateCommandQueue && next_clRetainEvent && next_clGetDeviceInfo;
}

bool layer_below(void)
{
    return all_is_seen && (drivers_reached() ? drivers_all_reached() : true);
}

EXPORT cl_int clInitLayer(cl_uint count, void *const *target, cl_uint *count_ret, void *const **ours)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static cl_uint filled;
    if (!target || !count_ret || !ours)
        return CL_INVALID_VALUE;
    const cl_uint known = count < PLACES ? count : PLACES;
    *count_ret = known;
    *ours = table;
    if ((known > 47 && target[47] == (void *)our_clFinish) || drivers_reached()) {
        *ours = target; /* we are there twice, and once is enough */
        return CL_SUCCESS;
    }
    loader_knows_us();
    pthread_mutex_lock(&lock);
    /* A second loader in this process (pyopencl brings its own) has the same drivers below it. */
    if (!filled) {
        filled = known;
        memcpy(table, target, known * sizeof *table);
        FUNCTIONS(NEXT)
        COMMANDS(NEXT)
        WAITS(WRAP)
        COMMANDS(WRAP)
        all_is_seen = can_split();
        if (all_is_seen) {
            spawn_remember();
            background_init();
            SPLITTING(WRAP)
        } else {
            splitting_ends("this OpenCL loader is too old");
        }
    }
    for (; filled < known; filled++)
        table[filled] = target[filled];
    pthread_mutex_unlock(&lock);
    return CL_SUCCESS;
}
