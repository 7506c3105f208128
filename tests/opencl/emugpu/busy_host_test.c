/* A kernel ends when the modelled GPU says so, even while no thread of the implementation below gets to
 * run: here its only worker is kept busy, as it is in a guest whose only CPU is elsewhere.
 *
 * Run with OPENCL_LAYERS, EMUGPU_EXEC=none and POCL_MAX_PTHREAD_COUNT=1; prints "ok". */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REQUIRE(condition)                                                 \
    do {                                                                   \
        if (!(condition)) {                                                \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                       \
        }                                                                  \
    } while (0)
#define OK(call) REQUIRE((call) == CL_SUCCESS)

static sem_t busy, let_go;
static atomic_int over;

static void CL_CALLBACK keep_busy(void *unused)
{
    (void)unused;
    sem_post(&busy);
    sem_wait(&let_go);
    atomic_store(&over, 1);
}

static cl_int status_of(cl_event event)
{
    cl_int status;
    OK(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL));
    return status;
}

int main(void)
{
    const char *source = "kernel void nothing(global int *a) { a[0] = 1; }";
    const size_t global = 64, local = 64;
    cl_platform_id platform;
    cl_device_id device;
    cl_int error;
    OK(clGetPlatformIDs(1, &platform, NULL));
    OK(clGetDeviceIDs(platform, CL_DEVICE_TYPE_GPU, 1, &device, NULL));
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    OK(error);
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &error);
    OK(error);
    OK(clBuildProgram(program, 1, &device, NULL, NULL, NULL));
    cl_kernel kernel = clCreateKernel(program, "nothing", &error);
    OK(error);
    cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 4, NULL, &error);
    OK(error);
    OK(clSetKernelArg(kernel, 0, sizeof buffer, &buffer));
    cl_command_queue blocked = clCreateCommandQueue(context, device, 0, &error);
    OK(error);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &error);
    OK(error);

    sem_init(&busy, 0, 0);
    sem_init(&let_go, 0, 0);
    OK(clEnqueueNativeKernel(blocked, keep_busy, NULL, 0, 0, NULL, NULL, 0, NULL, NULL));
    OK(clFlush(blocked));
    sem_wait(&busy);

    cl_event event;
    OK(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &global, &local, 0, NULL, &event));
    OK(clFlush(queue));
    for (int tries = 0; status_of(event) != CL_COMPLETE; tries++) {
        REQUIRE(tries < 10000);
        const struct timespec ms = { .tv_nsec = 1000000 };
        nanosleep(&ms, NULL);
    }
    OK(clWaitForEvents(1, &event));
    REQUIRE(!atomic_load(&over));

    sem_post(&let_go);
    OK(clFinish(blocked));
    OK(clFinish(queue));
    REQUIRE(atomic_load(&over));
    OK(clReleaseEvent(event));
    OK(clReleaseKernel(kernel));
    OK(clReleaseProgram(program));
    OK(clReleaseMemObject(buffer));
    OK(clReleaseCommandQueue(queue));
    OK(clReleaseCommandQueue(blocked));
    OK(clReleaseContext(context));
    printf("ok\n");
    return 0;
}
