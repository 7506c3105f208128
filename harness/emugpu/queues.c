#include <stdlib.h>

#include "layer.h"

static void adopt(cl_command_queue handle, cl_command_queue_properties properties)
{
    cl_device_id device;
    cl_device_type type = 0;
    emu.next->clGetCommandQueueInfo(handle, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    emu.next->clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    /* Only the CPU device below plays the GPU; a device-side queue is part of a kernel. */
    if (!(type & CL_DEVICE_TYPE_CPU) || properties & CL_QUEUE_ON_DEVICE)
        return;
    state_lock();
    queue_new(handle, properties);
    state_unlock();
}

static cl_command_queue CL_API_CALL emu_clCreateCommandQueue(cl_context context, cl_device_id device,
                                                             cl_command_queue_properties properties,
                                                             cl_int *error)
{
    cl_command_queue q = emu.next->clCreateCommandQueue(context, device, properties, error);
    if (q)
        adopt(q, properties);
    return q;
}

static cl_command_queue CL_API_CALL emu_clCreateCommandQueueWithProperties(
    cl_context context, cl_device_id device, const cl_queue_properties *properties, cl_int *error)
{
    cl_command_queue q =
        emu.next->clCreateCommandQueueWithProperties(context, device, properties, error);
    if (q) {
        cl_command_queue_properties bits = 0;
        for (const cl_queue_properties *p = properties; p && p[0]; p += 2)
            if (p[0] == CL_QUEUE_PROPERTIES)
                bits = p[1];
        adopt(q, bits);
    }
    return q;
}

static cl_int CL_API_CALL emu_clSetCommandQueueProperty(cl_command_queue handle,
                                                        cl_command_queue_properties properties,
                                                        cl_bool enable,
                                                        cl_command_queue_properties *old)
{
    cl_int error = emu.next->clSetCommandQueueProperty(handle, properties, enable, old);
    if (error != CL_SUCCESS)
        return error;
    state_lock();
    struct queue *q = queue_of(handle);
    if (q && properties & CL_QUEUE_PROFILING_ENABLE)
        q->profiled = enable;
    state_unlock();
    return error;
}

static cl_int CL_API_CALL emu_clRetainCommandQueue(cl_command_queue handle)
{
    cl_int error = emu.next->clRetainCommandQueue(handle);
    state_lock();
    struct queue *q = queue_of(handle);
    if (q && error == CL_SUCCESS)
        q->app_refs++;
    state_unlock();
    return error;
}

/* Commands still in the queue go on: they don't need it any more, the timeline has them. */
static cl_int CL_API_CALL emu_clReleaseCommandQueue(cl_command_queue handle)
{
    state_lock();
    struct queue *q = queue_of(handle);
    /* Ours first: below, the handle may be given to a new queue as soon as it is released. */
    if (q && --q->app_refs == 0)
        queue_free(q);
    state_unlock();
    return emu.next->clReleaseCommandQueue(handle);
}

static cl_int CL_API_CALL emu_clGetCommandQueueInfo(cl_command_queue handle,
                                                    cl_command_queue_info param_name,
                                                    size_t param_value_size, void *param_value,
                                                    size_t *param_value_size_ret)
{
    if (param_name == CL_QUEUE_REFERENCE_COUNT) {
        state_lock();
        struct queue *q = queue_of(handle);
        cl_uint references = q ? q->app_refs : 0;
        state_unlock();
        if (q)
            ANSWER(cl_uint, references);
    }
    return emu.next->clGetCommandQueueInfo(handle, param_name, param_value_size, param_value,
                                           param_value_size_ret);
}

static cl_int CL_API_CALL emu_clFinish(cl_command_queue handle)
{
    state_lock();
    struct queue *q = queue_of(handle);
    if (q) {
        int n;
        struct command *const *tail = queue_tail(q, true, &n);
        struct command **waited = malloc((n + 1) * sizeof *waited);
        for (int i = 0; i < n; i++) {
            waited[i] = tail[i];
            command_ref(waited[i]);
        }
        state_unlock();
        for (int i = 0; i < n; i++)
            wait_for_command(waited[i]);
        state_lock();
        for (int i = 0; i < n; i++)
            command_unref(waited[i]);
        free(waited);
    }
    state_unlock();
    return emu.next->clFinish(handle);
}

void install_queues(cl_icd_dispatch *table)
{
    LAYER(clCreateCommandQueue);
    LAYER(clCreateCommandQueueWithProperties);
    LAYER(clSetCommandQueueProperty);
    LAYER(clRetainCommandQueue);
    LAYER(clReleaseCommandQueue);
    LAYER(clGetCommandQueueInfo);
    LAYER(clFinish);
}
