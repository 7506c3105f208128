/* Launches, and the commands that take no time: markers, barriers, native kernels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"
#include "submit.h"

/* A work-group of a launch that leaves its size to the driver: what GPU drivers choose if they can. */
#define DRIVERS_CHOICE 256

static double product(cl_uint n, const size_t *sizes)
{
    double all = 1;
    for (cl_uint d = 0; d < n; d++)
        all *= (double)sizes[d];
    return all;
}

/* Values of the argument by which a kernel's time is multiplied (times_argument), by kernel. An entry may
 * outlive its kernel: a new kernel at the same address has its arguments set before it is launched. */
static struct table arguments;

/* The table has pointers: the int is packed in one, with a bit that makes 0 not NULL. */
#define PRESENT ((uintptr_t)1 << 32)

static bool argument_of(cl_kernel kernel, double *value)
{
    uintptr_t packed = (uintptr_t)table_get(&arguments, kernel);
    *value = (int32_t)(uint32_t)packed;
    return packed & PRESENT;
}

static void remember_argument(cl_kernel kernel, void *packed)
{
    table_remove(&arguments, kernel);
    if (packed)
        table_put(&arguments, kernel, packed);
}

static cl_int CL_API_CALL emu_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size,
                                             const void *value)
{
    cl_int error = emu.next->clSetKernelArg(kernel, index, size, value);
    if (error != CL_SUCCESS)
        return error;
    for (int k = 0; k < emu.model.kernels; k++) {
        char name[256] = "";
        if (emu.model.kernel[k].times_argument != (int)index)
            continue;
        emu.next->clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, NULL);
        if (strcmp(emu.model.kernel[k].name, name) != 0)
            continue;
        uint32_t number = 0;
        bool usable = size == sizeof number && value;
        if (usable)
            memcpy(&number, value, sizeof number);
        state_lock();
        remember_argument(kernel, usable ? (void *)(PRESENT | number) : NULL);
        state_unlock();
    }
    return CL_SUCCESS;
}

static cl_kernel CL_API_CALL emu_clCloneKernel(cl_kernel kernel, cl_int *error)
{
    cl_kernel clone = emu.next->clCloneKernel(kernel, error);
    if (clone) {
        state_lock();
        remember_argument(clone, table_get(&arguments, kernel));
        state_unlock();
    }
    return clone;
}

/* The launch as the model sees it. The global offset says where a slice of an NDRange lies, not how
 * large it is: a slice counts its own work-groups. */
static struct command_spec launch_spec(cl_kernel kernel, cl_uint dims, const size_t *global,
                                       const size_t *local)
{
    char name[256] = "";
    emu.next->clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, NULL);
    const struct kernel_cost *cost = model_kernel(&emu.model, name);
    double times = 1;
    if (cost && cost->times_argument >= 0 && !argument_of(kernel, &times))
        cost = NULL;

    double groups = 1, local_items;
    if (local) {
        local_items = product(dims, local);
        for (cl_uint d = 0; d < dims; d++)
            groups *= ceil((double)global[d] / (double)local[d]);
    } else {
        local_items = fmin(product(dims, global), fmin(DRIVERS_CHOICE, emu.model.max_work_group_size));
        groups = local_items > 0 ? ceil(product(dims, global) / local_items) : 0;
    }
    if (groups == 0)
        return spec_marker();
    return (struct command_spec){ .kind = KIND_KERNEL,
                                  .work = model_work(&emu.model, cost, times, groups, local_items) };
}

/* A shadow that computes nothing: it only keeps the order of what is before and behind it. */
static cl_int empty_shadow(struct submission *s, cl_uint n_wait, const cl_event *wait)
{
    if (!s->queue->out_of_order || n_wait > 0)
        return emu.next->clEnqueueMarkerWithWaitList(s->queue->handle, n_wait, wait, &s->shadow);
    /* A marker without a wait list would wait for everything in the queue. */
    cl_context context;
    emu.next->clGetCommandQueueInfo(s->queue->handle, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    cl_int error;
    s->shadow = emu.next->clCreateUserEvent(context, &error);
    if (error == CL_SUCCESS)
        error = emu.next->clSetUserEventStatus(s->shadow, CL_COMPLETE);
    return error;
}

/* What the implementation below would refuse, for the case that it isn't asked. */
static cl_int check_launch(cl_kernel kernel, cl_uint dims, const size_t *global, const size_t *local)
{
    cl_uint n_arguments;
    if (!kernel || emu.next->clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof n_arguments, &n_arguments,
                                             NULL) != CL_SUCCESS)
        return CL_INVALID_KERNEL;
    if (dims < 1 || dims > 3)
        return CL_INVALID_WORK_DIMENSION;
    if (!global)
        return CL_INVALID_GLOBAL_WORK_SIZE;
    if (local && (product(dims, local) < 1 || product(dims, local) > emu.model.max_work_group_size))
        return CL_INVALID_WORK_GROUP_SIZE;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL emu_clEnqueueNDRangeKernel(
    cl_command_queue queue, cl_kernel kernel, cl_uint dims, const size_t *offset, const size_t *global,
    const size_t *local, cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, n_wait, wait,
                                                event);
    struct command_spec spec = { 0 };
    cl_int error = check_launch(kernel, dims, global, local);
    if (error == CL_SUCCESS) {
        spec = launch_spec(kernel, dims, global, local);
        if (emu.execute && spec.kind == KIND_KERNEL)
            error = emu.next->clEnqueueNDRangeKernel(queue, kernel, dims, offset, global, local, n_wait,
                                                     wait, &s.shadow);
        else
            error = empty_shadow(&s, n_wait, wait);
    }
    return submit_end(&s, error, CL_COMMAND_NDRANGE_KERNEL, spec, emu.execute ? 0 : SUBMIT_EMPTY, n_wait,
                      wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueTask(cl_command_queue queue, cl_kernel kernel, cl_uint n_wait,
                                            const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueTask(queue, kernel, n_wait, wait, event);
    const size_t one = 1;
    cl_int error = check_launch(kernel, 1, &one, &one);
    struct command_spec spec = { 0 };
    if (error == CL_SUCCESS) {
        spec = launch_spec(kernel, 1, &one, &one);
        error = emu.execute ? emu.next->clEnqueueTask(queue, kernel, n_wait, wait, &s.shadow)
                            : empty_shadow(&s, n_wait, wait);
    }
    return submit_end(&s, error, CL_COMMAND_TASK, spec, emu.execute ? 0 : SUBMIT_EMPTY, n_wait, wait,
                      event);
}

/* Runs on the host's CPU: the GPU has no part in it, and its real end is its end. */
static cl_int CL_API_CALL emu_clEnqueueNativeKernel(
    cl_command_queue queue, void(CL_CALLBACK *function)(void *), void *args, size_t size, cl_uint n_mem,
    const cl_mem *mem, const void **mem_at, cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueNativeKernel(queue, function, args, size, n_mem, mem, mem_at, n_wait,
                                               wait, event);
    cl_int error = emu.next->clEnqueueNativeKernel(queue, function, args, size, n_mem, mem, mem_at,
                                                   n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_NATIVE_KERNEL, spec_marker(), 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint n_wait,
                                                          const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueMarkerWithWaitList(queue, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueMarkerWithWaitList(queue, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_MARKER, spec_marker(), SUBMIT_ALL, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint n_wait,
                                                           const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueBarrierWithWaitList(queue, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueBarrierWithWaitList(queue, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_BARRIER, spec_marker(), SUBMIT_ALL | SUBMIT_BARRIER, n_wait,
                      wait, event);
}

/* OpenCL 1.0 and 1.1's names for the two. */
static cl_int CL_API_CALL emu_clEnqueueMarker(cl_command_queue queue, cl_event *event)
{
    return emu_clEnqueueMarkerWithWaitList(queue, 0, NULL, event);
}

static cl_int CL_API_CALL emu_clEnqueueBarrier(cl_command_queue queue)
{
    return emu_clEnqueueBarrierWithWaitList(queue, 0, NULL, NULL);
}

static cl_int CL_API_CALL emu_clEnqueueWaitForEvents(cl_command_queue queue, cl_uint n_wait,
                                                     const cl_event *wait)
{
    return n_wait ? emu_clEnqueueBarrierWithWaitList(queue, n_wait, wait, NULL) : CL_INVALID_VALUE;
}

/* A work-group size that the GPU would refuse must not be offered, and the size that fills it must. */
static cl_int CL_API_CALL emu_clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                                       cl_kernel_work_group_info param_name,
                                                       size_t param_value_size, void *param_value,
                                                       size_t *param_value_size_ret)
{
    cl_int error = emu.next->clGetKernelWorkGroupInfo(kernel, device, param_name, param_value_size,
                                                      param_value, param_value_size_ret);
    if (error != CL_SUCCESS || !param_value)
        return error;
    size_t *value = param_value;
    if (param_name == CL_KERNEL_WORK_GROUP_SIZE && *value > emu.model.max_work_group_size)
        *value = emu.model.max_work_group_size;
    if (param_name == CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE)
        *value = emu.model.wavefront;
    return error;
}

void install_kernels(cl_icd_dispatch *table)
{
    LAYER(clEnqueueNDRangeKernel);
    LAYER(clEnqueueTask);
    LAYER(clSetKernelArg);
    LAYER(clCloneKernel);
    LAYER(clEnqueueNativeKernel);
    LAYER(clEnqueueMarkerWithWaitList);
    LAYER(clEnqueueBarrierWithWaitList);
    LAYER(clEnqueueMarker);
    LAYER(clEnqueueBarrier);
    LAYER(clEnqueueWaitForEvents);
    LAYER(clGetKernelWorkGroupInfo);
}
