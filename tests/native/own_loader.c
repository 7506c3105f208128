/* What programs bring along that are linked with a loader of their own: it opens one driver by itself, in
 * OPENCL_DRIVER, and calls it by the table that every object begins with (OpenCL extension cl_khr_icd). */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <dlfcn.h>
#include <stdlib.h>

/* Sanitizers refuse it. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define OWN_NAMES_FIRST 0
#else
#define OWN_NAMES_FIRST RTLD_DEEPBIND
#endif

#define TABLE(object) (*(const cl_icd_dispatch *const *)(object))

cl_int clGetPlatformIDs(cl_uint n, cl_platform_id *platforms, cl_uint *count)
{
    void *driver = dlopen(getenv("OPENCL_DRIVER"), RTLD_NOW | RTLD_LOCAL | OWN_NAMES_FIRST);
    void *(*address)(const char *) = NULL;
    cl_int (*get)(cl_uint, cl_platform_id *, cl_uint *) = NULL;
    if (driver)
        *(void **)&address = dlsym(driver, "clGetExtensionFunctionAddress");
    if (address)
        *(void **)&get = address("clIcdGetPlatformIDsKHR");
    return get ? get(n, platforms, count) : CL_INVALID_VALUE;
}

#define CALLS(X)                                                                                     \
    X(cl_int, clGetDeviceIDs,                                                                        \
      (cl_platform_id o, cl_device_type a, cl_uint b, cl_device_id *c, cl_uint *d), (o, a, b, c, d)) \
    X(cl_int, clSetKernelArg, (cl_kernel o, cl_uint a, size_t b, const void *c), (o, a, b, c))       \
    X(cl_event, clCreateUserEvent, (cl_context o, cl_int *a), (o, a))                                \
    X(cl_int, clEnqueueNDRangeKernel,                                                                \
      (cl_command_queue o, cl_kernel a, cl_uint b, const size_t *c, const size_t *d,                 \
       const size_t *e, cl_uint f, const cl_event *g, cl_event *h), (o, a, b, c, d, e, f, g, h))     \
    X(cl_int, clSetUserEventStatus, (cl_event o, cl_int a), (o, a))                                  \
    X(cl_int, clRetainEvent, (cl_event o), (o))                                                      \
    X(cl_int, clReleaseEvent, (cl_event o), (o))                                                     \
    X(cl_kernel, clCreateKernel, (cl_program o, const char *a, cl_int *b), (o, a, b))                \
    X(cl_command_queue, clCreateCommandQueue,                                                        \
      (cl_context o, cl_device_id a, cl_command_queue_properties b, cl_int *c), (o, a, b, c))        \
    X(cl_mem, clCreateBuffer, (cl_context o, cl_mem_flags a, size_t b, void *c, cl_int *d),          \
      (o, a, b, c, d))                                                                               \
    X(cl_int, clEnqueueReadBuffer,                                                                   \
      (cl_command_queue o, cl_mem a, cl_bool b, size_t c, size_t d, void *e, cl_uint f,              \
       const cl_event *g, cl_event *h), (o, a, b, c, d, e, f, g, h))                                 \
    X(cl_int, clReleaseMemObject, (cl_mem o), (o))                                                   \
    X(cl_int, clReleaseKernel, (cl_kernel o), (o))                                                   \
    X(cl_int, clFinish, (cl_command_queue o), (o))                                                   \
    X(cl_int, clReleaseCommandQueue, (cl_command_queue o), (o))                                      \
    X(cl_program, clCreateProgramWithSource,                                                         \
      (cl_context o, cl_uint a, const char **b, const size_t *c, cl_int *d), (o, a, b, c, d))        \
    X(cl_int, clBuildProgram,                                                                        \
      (cl_program o, cl_uint a, const cl_device_id *b, const char *c,                                \
       void(CL_CALLBACK *d)(cl_program, void *), void *e), (o, a, b, c, d, e))                       \
    X(cl_int, clReleaseProgram, (cl_program o), (o))                                                 \
    X(cl_int, clReleaseContext, (cl_context o), (o))

#define CALL(result, name, parameters, call)                                                         \
    result name parameters                                                                           \
    {                                                                                                \
        return TABLE(o)->name call;                                                                  \
    }
CALLS(CALL)

cl_context clCreateContext(const cl_context_properties *properties, cl_uint n, const cl_device_id *devices,
                           void(CL_CALLBACK *told)(const char *, const void *, size_t, void *),
                           void *what, cl_int *error)
{
    return TABLE(devices[0])->clCreateContext(properties, n, devices, told, what, error);
}

cl_int clWaitForEvents(cl_uint n, const cl_event *events)
{
    return TABLE(events[0])->clWaitForEvents(n, events);
}
