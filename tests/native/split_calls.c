/* An OpenCL program in C, for test_native_split.py: threads on a queue of all and on queues of their own,
 * wait lists, user events, transfers that block, releases, a context for each round.  It knows nothing
 * of gpusplit, and prints the same with it and without. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 3
#define ITEMS 256
#define LAUNCHES 12

static const char *source[] = {
    "kernel void k0(global int *a, int v) { size_t i = get_global_id(0); a[i] = a[i] * 3 + v; }\n"
    "kernel void k1(global int *a, int v) { size_t i = get_global_id(0); a[i] = a[i] * 3 + v + "
    "get_group_id(0); }\n"
    "kernel void k2(global int *a, int v) { size_t i = get_global_id(0); a[i] = a[i] * 5 + v * "
    "get_num_groups(0) + get_global_size(0); }\n"
};

static void need(cl_int error, const char *what)
{
    if (error != CL_SUCCESS) {
        fprintf(stderr, "%s: %d\n", what, error);
        exit(1);
    }
}

struct worker {
    cl_context context;
    cl_device_id device;
    cl_program program;
    cl_command_queue shared;
    int at;
    long sum;
};

static void go(struct worker *w, cl_command_queue queue, cl_kernel kernel, cl_mem memory, int v)
{
    const size_t offset = 0, size = ITEMS, local = 8;
    cl_event event = NULL, user = NULL;
    cl_int error;
    need(clSetKernelArg(kernel, 0, sizeof memory, &memory), "argument");
    need(clSetKernelArg(kernel, 1, sizeof v, &v), "argument");
    if (v % 4 == 3) {
        user = clCreateUserEvent(w->context, &error);
        need(error, "user event");
    }
    need(clEnqueueNDRangeKernel(queue, kernel, 1, v % 2 ? &offset : NULL, &size, &local, user ? 1 : 0,
                                user ? &user : NULL, v % 3 ? &event : NULL),
         "launch");
    if (user) {
        need(clSetUserEventStatus(user, CL_COMPLETE), "user event's status");
        clReleaseEvent(user);
    }
    if (event) {
        clRetainEvent(event);
        clReleaseEvent(event);
        if (v % 3 == 1)
            need(clWaitForEvents(1, &event), "wait");
        clReleaseEvent(event);
    }
}

static void *work(void *given)
{
    struct worker *w = given;
    int host[ITEMS] = { 0 };
    char name[] = "k0";
    cl_int error;
    name[1] = (char)('0' + w->at);
    cl_kernel kernel = clCreateKernel(w->program, name, &error);
    need(error, "kernel");
    cl_command_queue own = clCreateCommandQueue(w->context, w->device, CL_QUEUE_PROFILING_ENABLE, &error);
    need(error, "queue");
    for (int round = 0; round < 2; round++) {
        cl_command_queue queue = round ? own : w->shared;
        cl_mem memory = clCreateBuffer(w->context, CL_MEM_COPY_HOST_PTR, sizeof host, host, &error);
        need(error, "buffer");
        for (int v = 0; v < LAUNCHES; v++)
            go(w, queue, kernel, memory, v);
        need(clEnqueueReadBuffer(queue, memory, CL_TRUE, 0, sizeof host, host, 0, NULL, NULL), "read");
        go(w, queue, kernel, memory, 0);
        clReleaseMemObject(memory); /* while it is used */
    }
    clReleaseKernel(kernel);
    clFinish(own);
    clReleaseCommandQueue(own);
    w->sum = 0;
    for (int i = 0; i < ITEMS; i++)
        w->sum = w->sum * 31 % 1000003 + host[i] % 1000003;
    return NULL;
}

int main(void)
{
    cl_platform_id platform;
    cl_device_id device;
    cl_int error;
    need(clGetPlatformIDs(1, &platform, NULL), "platform");
    need(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "device");
    for (int round = 0; round < 2; round++) {
        cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
        need(error, "context");
        cl_program program = clCreateProgramWithSource(context, 1, source, NULL, &error);
        need(error, "program");
        need(clBuildProgram(program, 1, &device, "", NULL, NULL), "build");
        cl_command_queue shared = clCreateCommandQueue(context, device, 0, &error);
        need(error, "queue");
        struct worker workers[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){ context, device, program, shared, i, 0 };
            pthread_create(&threads[i], NULL, work, &workers[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            printf("%d %ld\n", i, workers[i].sum);
        }
        clFinish(shared);
        clReleaseCommandQueue(shared);
        clReleaseProgram(program);
        clReleaseContext(context);
    }
    return 0;
}
