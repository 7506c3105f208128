/* An OpenCL program in C, for test_native_sender.py: a callback enqueues a copy, which the driver may call in
 * the middle of a launch.  The copy comes before or after the launch, and never sees half of it.
 *
 *     callback_calls launches    it launches on another queue a kernel that another thread is about to launch on
 *                                the queue of the launch in whose middle it is */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ITEMS 256
#define ROUNDS 24

static const char *source =
    "kernel void k(global int *a, int v) { size_t i = get_global_id(0); if (a[i] >= 0) "
    "a[i] = v + (get_group_id(0) < 0); }";
static const char *others =
    "kernel void l(global int *a, int v) { size_t i = get_global_id(0); a[i] = v + (get_group_id(0) < 0); }";

static void need(cl_int error, const char *what)
{
    if (error != CL_SUCCESS) {
        fprintf(stderr, "%s: %d\n", what, error);
        exit(1);
    }
}

static cl_command_queue queue, other_queue;
static cl_kernel other;
static cl_mem a, b;
static unsigned called;
static pthread_t thread;
static const size_t size = ITEMS, local = 8;

static void CL_CALLBACK copy(cl_event event, cl_int status, void *what)
{
    (void)event, (void)status, (void)what;
    need(clEnqueueCopyBuffer(queue, a, b, 0, 0, ITEMS * sizeof(int), 0, NULL, NULL), "copy");
    called++;
}

/* Of a kernel that nobody has launched: it is judged first, which takes some time. */
static void *launch_beside(void *what)
{
    (void)what;
    need(clEnqueueNDRangeKernel(queue, other, 1, NULL, &size, &local, 0, NULL, NULL), "launch beside");
    return NULL;
}

static void CL_CALLBACK launch_between(cl_event event, cl_int status, void *what)
{
    (void)event, (void)status, (void)what;
    need(clEnqueueNDRangeKernel(other_queue, other, 1, NULL, &size, &local, 0, NULL, NULL), "launch between");
    called++;
}

static void set_callback(cl_event event, int round, int launches)
{
    if (!launches) {
        need(clSetEventCallback(event, CL_COMPLETE, copy, (void *)(intptr_t)(round - 1)), "callback");
    } else if (round == ROUNDS / 2) {
        pthread_create(&thread, NULL, launch_beside, NULL);
        nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
        need(clSetEventCallback(event, CL_COMPLETE, launch_between, (void *)3), "callback");
    }
}

int main(int argc, char **argv)
{
    const int launches = argc > 1 && !strcmp(argv[1], "launches");
    cl_platform_id platform;
    cl_device_id device;
    cl_int error;
    int host[ITEMS] = { 0 };
    need(clGetPlatformIDs(1, &platform, NULL), "platform");
    need(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "device");
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    need(error, "context");
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &error);
    need(error, "program");
    need(clBuildProgram(program, 1, &device, "", NULL, NULL), "build");
    cl_kernel kernel = clCreateKernel(program, "k", &error);
    need(error, "kernel");
    queue = clCreateCommandQueue(context, device, 0, &error);
    need(error, "queue");
    a = clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, sizeof host, host, &error);
    b = clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, sizeof host, host, &error);
    need(error, "buffers");
    need(clSetKernelArg(kernel, 0, sizeof a, &a), "argument");
    other_queue = clCreateCommandQueue(context, device, 0, &error);
    need(error, "queue");
    program = clCreateProgramWithSource(context, 1, &others, NULL, &error);
    need(error, "program");
    need(clBuildProgram(program, 1, &device, "", NULL, NULL), "build");
    other = clCreateKernel(program, "l", &error);
    need(error, "kernel");
    const int zero = 0;
    need(clSetKernelArg(other, 0, sizeof b, &b), "argument");
    need(clSetKernelArg(other, 1, sizeof zero, &zero), "argument");
    unsigned half = 0;
    for (int v = 1; v <= ROUNDS; v++) {
        cl_event user = clCreateUserEvent(context, &error);
        need(error, "user event");
        need(clSetKernelArg(kernel, 1, sizeof v, &v), "argument");
        set_callback(user, v, launches);
        need(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &size, &local, 0, NULL, NULL), "launch");
        need(clSetUserEventStatus(user, CL_COMPLETE), "status");
        need(clReleaseEvent(user), "release");
        need(clFinish(queue), "finish");
        need(clEnqueueReadBuffer(queue, b, CL_TRUE, 0, sizeof host, host, 0, NULL, NULL), "read");
        for (int i = 1; i < ITEMS; i++)
            if (host[i] != host[0]) {
                half++;
                break;
            }
    }
    if (launches)
        pthread_join(thread, NULL);
    need(clFinish(other_queue), "finish");
    need(clEnqueueReadBuffer(queue, a, CL_TRUE, 0, sizeof host, host, 0, NULL, NULL), "read");
    printf("%u seen by halves, last %d; called %d\n", half, host[ITEMS - 1], called > 0);
    return 0;
}
