/* A C program that calls the paper's function by its own name, for test_native_split.py: `paper_calls by-name`
 * is linked with it, `paper_calls by-address` asks the platform for it. */
#define CL_TARGET_OPENCL_VERSION 120
#include <gpusplit.h>
#include <stdio.h>
#include <string.h>

#define ITEMS 256

int main(int argc, char **argv)
{
    static const char *source = "kernel void k(global int *a) { a[get_global_id(0)] += get_group_id(0); }";
    static const char name[] = "clEnqueueNDRangeKernel_N";
    const size_t size = ITEMS, local = 8;
    int host[ITEMS] = { 0 }, sum = 0;
    cl_platform_id platform;
    cl_device_id device;
    cl_int error = CL_SUCCESS;
    cl_event event = NULL;
    cl_command_type type = 0;
    clGetPlatformIDs(1, &platform, NULL);
    clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL);
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &error);
    cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, &error);
    clBuildProgram(program, 1, &device, "", NULL, NULL);
    cl_kernel kernel = clCreateKernel(program, "k", &error);
    cl_mem memory = clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, sizeof host, host, &error);
    clSetKernelArg(kernel, 0, sizeof memory, &memory);

    clEnqueueNDRangeKernel_N_fn launch = clEnqueueNDRangeKernel_N;
    if (argc > 1 && !strcmp(argv[1], "by-address")) {
        launch = (clEnqueueNDRangeKernel_N_fn)clGetExtensionFunctionAddressForPlatform(platform, name);
        if (!launch) {
            puts("the library is not there");
            launch = clEnqueueNDRangeKernel;
        }
    }
    const cl_int refused = launch(queue, kernel, 4, NULL, &size, &local, 0, NULL, NULL);
    error = launch(queue, kernel, 1, NULL, &size, &local, 0, NULL, &event);
    if (error == CL_SUCCESS)
        clGetEventInfo(event, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL);
    clEnqueueReadBuffer(queue, memory, CL_TRUE, 0, sizeof host, host, 1, &event, NULL);
    for (int i = 0; i < ITEMS; i++)
        sum += host[i];
    printf("%d %d %d %d\n", refused, error, type == CL_COMMAND_NDRANGE_KERNEL, sum);
    clReleaseEvent(event);
    clReleaseMemObject(memory);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return 0;
}
