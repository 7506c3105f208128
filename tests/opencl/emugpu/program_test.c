/* An OpenCL program in C that uses the emulated GPU as programs use a GPU: queues of both kinds,
 * transfers, maps, events, user events, markers, callbacks, many threads. It checks results and event
 * states; that is also what the sanitizers watch.
 *
 * Run with OPENCL_LAYERS and EMUGPU_EXEC=full; prints "ok". */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 64, ITEMS = SIDE * SIDE, THREADS = 4, ROUNDS = 25 };

static const char source[] = "kernel void add(global int *a, int n)\n"
                             "{ a[get_global_id(1) * get_global_size(0) + get_global_id(0)] += n; }\n";
static cl_context context;
static cl_device_id device;
static cl_program program;
static atomic_int called;

#define REQUIRE(condition)                                                        \
    do {                                                                          \
        if (!(condition)) {                                                       \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            exit(1);                                                              \
        }                                                                         \
    } while (0)
#define OK(call) REQUIRE((call) == CL_SUCCESS)

static cl_int status_of(cl_event event)
{
    cl_int status;
    OK(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    return status;
}

static void CL_CALLBACK count_call(cl_event event, cl_int status, void *data)
{
    (void)event;
    REQUIRE(status == CL_COMPLETE);
    atomic_fetch_add((atomic_int *)data, 1);
}

static cl_command_queue new_queue(cl_command_queue_properties properties)
{
    cl_int error;
    cl_command_queue queue = clCreateCommandQueue(context, device, properties, &error);
    OK(error);
    return queue;
}

static cl_mem new_buffer(void)
{
    cl_int error;
    int zero[ITEMS] = { 0 };
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof zero, zero,
                                   &error);
    OK(error);
    return buffer;
}

static cl_kernel new_add(cl_mem buffer, int n)
{
    cl_int error;
    cl_kernel kernel = clCreateKernel(program, "add", &error);
    OK(error);
    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    OK(clSetKernelArg(kernel, 1, sizeof n, &n));
    return kernel;
}

static void launch(cl_command_queue queue, cl_kernel kernel, cl_uint n, const cl_event *wait,
                   cl_event *event)
{
    const size_t global[] = { SIDE, SIDE }, local[] = { 16, 16 };
    OK(clEnqueueNDRangeKernel(queue, kernel, 2, NULL, global, local, n, wait, event));
}

static void every_item_is(cl_command_queue queue, cl_mem buffer, int expected)
{
    int got[ITEMS];
    OK(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL));
    for (int i = 0; i < ITEMS; i++)
        REQUIRE(got[i] == expected);
}

/* Launches without events, with events dropped at once, kept, retained and asked. */
static void *use_a_queue_of_its_own(void *shared)
{
    cl_command_queue queue = new_queue(CL_QUEUE_PROFILING_ENABLE);
    cl_mem buffer = new_buffer();
    cl_kernel kernel = new_add(buffer, 1);
    for (int round = 0; round < ROUNDS; round++) {
        cl_event dropped, kept;
        launch(queue, kernel, 0, NULL, NULL);
        launch(queue, kernel, 0, NULL, &dropped);
        OK(clReleaseEvent(dropped));
        launch(queue, kernel, 0, NULL, &kept);
        OK(clRetainEvent(kept));
        OK(clReleaseEvent(kept));
        if (round % 5 == 0)
            OK(clSetEventCallback(kept, CL_COMPLETE, count_call, &called));
        launch(shared, kernel, 1, &kept, NULL); /* a queue that all threads use */
        OK(clFlush(shared));
        OK(clWaitForEvents(1, &kept));
        REQUIRE(status_of(kept) == CL_COMPLETE);
        cl_ulong start, end;
        OK(clGetEventProfilingInfo(kept, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL));
        OK(clGetEventProfilingInfo(kept, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL));
        REQUIRE(start < end);
        OK(clReleaseEvent(kept));
        OK(clFinish(shared));
    }
    every_item_is(queue, buffer, 4 * ROUNDS);
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(queue));
    return NULL;
}

static void threads_use_queues_of_their_own_and_a_shared_one(void)
{
    cl_command_queue shared = new_queue(0);
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++)
        REQUIRE(pthread_create(&threads[t], NULL, use_a_queue_of_its_own, shared) == 0);
    for (int t = 0; t < THREADS; t++)
        REQUIRE(pthread_join(threads[t], NULL) == 0);
    OK(clReleaseCommandQueue(shared));
}

static void out_of_order_commands_keep_the_order_of_their_events(void)
{
    cl_command_queue queue = new_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_mem buffer = new_buffer();
    cl_kernel kernel = new_add(buffer, 1);
    int one[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        one[i] = 1;
    cl_event written, first, marker, second;
    OK(clEnqueueWriteBuffer(queue, buffer, CL_FALSE, 0, sizeof one, one, 0, NULL, &written));
    launch(queue, kernel, 1, &written, &first);
    OK(clEnqueueMarkerWithWaitList(queue, 1, &first, &marker));
    launch(queue, kernel, 1, &marker, &second);
    OK(clEnqueueBarrierWithWaitList(queue, 0, NULL, NULL));
    launch(queue, kernel, 0, NULL, NULL); /* after the barrier, so after second */
    OK(clFinish(queue));
    REQUIRE(status_of(second) == CL_COMPLETE);
    every_item_is(queue, buffer, 4);
    OK(clReleaseEvent(written));
    OK(clReleaseEvent(first));
    OK(clReleaseEvent(marker));
    OK(clReleaseEvent(second));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(queue));
}

static void a_user_event_holds_back_what_waits_for_it(void)
{
    cl_int error;
    cl_command_queue queue = new_queue(0);
    cl_mem buffer = new_buffer();
    cl_kernel kernel = new_add(buffer, 7);
    cl_event user = clCreateUserEvent(context, &error), held;
    OK(error);
    REQUIRE(status_of(user) == CL_SUBMITTED);
    launch(queue, kernel, 1, &user, &held); /* returns: enqueueing never blocks */
    OK(clSetEventCallback(held, CL_COMPLETE, count_call, &called));
    OK(clFlush(queue));
    REQUIRE(status_of(held) == CL_QUEUED);
    OK(clSetUserEventStatus(user, CL_COMPLETE));
    OK(clWaitForEvents(1, &held));
    REQUIRE(clSetUserEventStatus(user, CL_COMPLETE) == CL_INVALID_OPERATION);
    every_item_is(queue, buffer, 7);
    OK(clReleaseEvent(user));
    OK(clReleaseEvent(held));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(queue));
}

static void maps_and_copies_move_the_data(void)
{
    cl_int error;
    cl_command_queue queue = new_queue(0);
    cl_mem from = new_buffer(), to = new_buffer();
    const int five = 5;
    int *mapped = clEnqueueMapBuffer(queue, from, CL_TRUE, CL_MAP_WRITE, 0, ITEMS * sizeof(int), 0, NULL,
                                     NULL, &error);
    OK(error);
    for (int i = 0; i < ITEMS; i++)
        mapped[i] = 3;
    OK(clEnqueueUnmapMemObject(queue, from, mapped, 0, NULL, NULL));
    OK(clEnqueueCopyBuffer(queue, from, to, 0, 0, ITEMS * sizeof(int), 0, NULL, NULL));
    every_item_is(queue, to, 3);
    OK(clEnqueueFillBuffer(queue, to, &five, sizeof five, 0, ITEMS * sizeof(int), 0, NULL, NULL));
    mapped = clEnqueueMapBuffer(queue, to, CL_TRUE, CL_MAP_READ, 0, ITEMS * sizeof(int), 0, NULL, NULL,
                                &error);
    OK(error);
    REQUIRE(mapped[0] == 5 && mapped[ITEMS - 1] == 5);
    OK(clEnqueueUnmapMemObject(queue, to, mapped, 0, NULL, NULL));
    OK(clFinish(queue));
    OK(clReleaseMemObject(from));
    OK(clReleaseMemObject(to));
    OK(clReleaseCommandQueue(queue));
}

/* The queue may be released with commands in it; they run, and their events answer. */
static void events_outlive_their_queue(void)
{
    cl_command_queue queue = new_queue(0);
    cl_mem buffer = new_buffer();
    cl_kernel kernel = new_add(buffer, 1);
    cl_event event;
    cl_uint references;
    launch(queue, kernel, 0, NULL, NULL);
    launch(queue, kernel, 0, NULL, &event);
    OK(clReleaseCommandQueue(queue));
    OK(clGetEventInfo(event, CL_EVENT_REFERENCE_COUNT, sizeof references, &references, NULL));
    REQUIRE(references == 1);
    OK(clWaitForEvents(1, &event));
    OK(clReleaseEvent(event));
    queue = new_queue(0);
    every_item_is(queue, buffer, 2);
    OK(clReleaseCommandQueue(queue));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
}

static void bad_calls_are_refused_and_leave_nothing_behind(void)
{
    cl_command_queue queue = new_queue(0);
    cl_mem buffer = new_buffer();
    cl_kernel kernel = new_add(buffer, 1);
    const size_t global[] = { 4096, 1 }, huge[] = { 4096, 1 };
    int got[1];
    REQUIRE(clEnqueueNDRangeKernel(queue, kernel, 2, NULL, global, huge, 0, NULL, NULL) ==
            CL_INVALID_WORK_GROUP_SIZE);
    REQUIRE(clEnqueueNDRangeKernel(queue, kernel, 4, NULL, global, NULL, 0, NULL, NULL) ==
            CL_INVALID_WORK_DIMENSION);
    REQUIRE(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 1 << 30, sizeof got, got, 0, NULL, NULL) !=
            CL_SUCCESS);
    REQUIRE(clWaitForEvents(0, NULL) == CL_INVALID_VALUE);
    OK(clFinish(queue));
    OK(clReleaseKernel(kernel));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(queue));
}

int main(void)
{
    cl_platform_id platform;
    cl_int error;
    char name[256];
    const char *text = source;
    OK(clGetPlatformIDs(1, &platform, NULL));
    OK(clGetDeviceIDs(platform, CL_DEVICE_TYPE_GPU, 1, &device, NULL));
    OK(clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL));
    REQUIRE(strstr(name, "(emulated)"));
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    OK(error);
    program = clCreateProgramWithSource(context, 1, &text, NULL, &error);
    OK(error);
    OK(clBuildProgram(program, 1, &device, NULL, NULL, NULL));

    threads_use_queues_of_their_own_and_a_shared_one();
    out_of_order_commands_keep_the_order_of_their_events();
    a_user_event_holds_back_what_waits_for_it();
    maps_and_copies_move_the_data();
    events_outlive_their_queue();
    bad_calls_are_refused_and_leave_nothing_behind();

    /* Callbacks come from a thread of the layer, soon after the wait that the same end ended. */
    for (int tries = 0; atomic_load(&called) < THREADS * (ROUNDS / 5) + 1 && tries < 10000; tries++) {
        const struct timespec ms = { .tv_nsec = 1000000 };
        nanosleep(&ms, NULL);
    }
    REQUIRE(atomic_load(&called) == THREADS * (ROUNDS / 5) + 1);
    OK(clReleaseProgram(program));
    OK(clReleaseContext(context));
    printf("ok\n");
    return 0;
}
