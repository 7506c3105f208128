/* An OpenCL layer below gpusplit's, for test_native_split.py.  It says at the end how many kernels were at
 * most enqueued and not over, how many of them had an event, and how many markers there were.  It refuses the
 * kernel whose number WATCH_REFUSES is.  WATCH_NVIDIA: device and platform say that they are NVIDIA's, or the
 * device alone ("device"): then PoCL is taken care of.  WATCH_IL: what a
 * module of SPIR-V is taken to be compiled from.
 *
 * A driver may call a program's callback inside any call: this one does so, inside the call whose number
 * is the callback's argument, counted from when it was set; first before the call, and in another round
 * (WATCH_AFTER) when the driver has made it. */
#include "test_layer.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 100000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cl_event events[MOST];
static unsigned n_events, first_event, most, kernels, told, markers, refused;

static void (*callback)(cl_event, cl_int, void *);
static cl_event called_for;
static void *given;
static intptr_t calls_left;

static void count(cl_event event)
{
    unsigned in_flight = 0;
    pthread_mutex_lock(&lock);
    kernels++;
    events[n_events++ % MOST] = event;
    for (unsigned i = first_event; i < n_events; i++) {
        cl_int status = CL_COMPLETE;
        below.clGetEventInfo(events[i % MOST], CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                             NULL);
        in_flight += status > CL_COMPLETE;
        if (status <= CL_COMPLETE && i == first_event)
            below.clReleaseEvent(events[first_event++ % MOST]);
    }
    if (in_flight > most)
        most = in_flight;
    pthread_mutex_unlock(&lock);
}

static void a_call(int after)
{
    if (!callback || !!getenv("WATCH_AFTER") != after || calls_left-- > 0)
        return;
    void (*now)(cl_event, cl_int, void *) = callback;
    callback = NULL;
    now(called_for, CL_COMPLETE, given);
}

static cl_int CL_API_CALL kernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                 const size_t *offset, const size_t *global, const size_t *local,
                                 cl_uint n, const cl_event *list, cl_event *event)
{
    const char *refuses = getenv("WATCH_REFUSES");
    cl_event own;
    if (refuses && kernels + 1 == (unsigned)atoi(refuses) && !refused++)
        return CL_INVALID_OPERATION; /* after others, pyopencl tries once more */
    a_call(0);
    const cl_int result =
        below.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, n, list, &own);
    if (result != CL_SUCCESS)
        return result;
    if (event) {
        *event = own;
        below.clRetainEvent(own);
        told++;
    }
    count(own);
    a_call(1);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL marker(cl_command_queue queue, cl_uint n, const cl_event *list, cl_event *event)
{
    a_call(0);
    markers++;
    const cl_int result = below.clEnqueueMarkerWithWaitList(queue, n, list, event);
    a_call(1);
    return result;
}

static cl_int CL_API_CALL barrier(cl_command_queue queue, cl_uint n, const cl_event *list, cl_event *event)
{
    a_call(0);
    const cl_int result = below.clEnqueueBarrierWithWaitList(queue, n, list, event);
    a_call(1);
    return result;
}

static cl_int CL_API_CALL set_callback(cl_event event, cl_int type,
                                       void(CL_CALLBACK *notify)(cl_event, cl_int, void *), void *what)
{
    if (!getenv("WATCH_CALLS_BACK"))
        return below.clSetEventCallback(event, type, notify, what);
    called_for = event;
    given = what;
    calls_left = (intptr_t)what;
    callback = notify;
    return CL_SUCCESS;
}

static cl_program CL_API_CALL with_il(cl_context context, const void *module, size_t size, cl_int *error)
{
    const char *source = getenv("WATCH_IL");
    return source ? below.clCreateProgramWithSource(context, 1, &source, NULL, error)
                  : below.clCreateProgramWithIL(context, module, size, error);
}

static cl_int nvidia(size_t size, void *value, size_t *size_ret)
{
    static const char name[] = "NVIDIA Corporation";
    if (value && size >= sizeof name)
        memcpy(value, name, sizeof name);
    if (size_ret)
        *size_ret = sizeof name;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL device_info(cl_device_id device, cl_device_info what, size_t size, void *value,
                                      size_t *size_ret)
{
    return what == CL_DEVICE_VENDOR && getenv("WATCH_NVIDIA")
               ? nvidia(size, value, size_ret)
               : below.clGetDeviceInfo(device, what, size, value, size_ret);
}

static cl_int CL_API_CALL platform_info(cl_platform_id platform, cl_platform_info what, size_t size,
                                        void *value, size_t *size_ret)
{
    const char *poses = getenv("WATCH_NVIDIA");
    return what == CL_PLATFORM_NAME && poses && strcmp(poses, "device") != 0
               ? nvidia(size, value, size_ret)
               : below.clGetPlatformInfo(platform, what, size, value, size_ret);
}

static void take_places(void)
{
    ours.clEnqueueNDRangeKernel = kernel;
    ours.clEnqueueMarkerWithWaitList = marker;
    ours.clEnqueueBarrierWithWaitList = barrier;
    ours.clSetEventCallback = set_callback;
    ours.clCreateProgramWithIL = with_il;
    ours.clGetDeviceInfo = device_info;
    ours.clGetPlatformInfo = platform_info;
}

__attribute__((destructor)) static void tell(void)
{
    if (kernels)
        fprintf(stderr, "watched: %u kernels, %u in flight, %u events, %u markers\n", kernels, most, told,
                markers);
}
