#include "layer.h"

#include <stdlib.h>

/* A command found and held, or NULL. */
static struct command *hold(cl_event handle)
{
    state_lock();
    struct command *c = command_of(handle);
    if (c)
        command_ref(c);
    state_unlock();
    return c;
}

static void let_go(struct command *c)
{
    state_lock();
    command_unref(c);
    state_unlock();
}

static cl_int CL_API_CALL emu_clWaitForEvents(cl_uint n, const cl_event *events)
{
    int refused = n == 0 || !events;
    for (cl_uint i = 0; !refused && i < n; i++)
        refused = !events[i];
    if (refused)
        return emu.next->clWaitForEvents(n, events);
    cl_int result = CL_SUCCESS;
    for (cl_uint i = 0; i < n; i++) {
        struct command *c = hold(events[i]);
        if (c) {
            if (wait_for_command(c) < 0)
                result = CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
            let_go(c);
        } else {
            cl_int error = emu.next->clWaitForEvents(1, &events[i]);
            if (error != CL_SUCCESS)
                result = error;
        }
    }
    return result;
}

static cl_int CL_API_CALL emu_clRetainEvent(cl_event handle)
{
    cl_int error = emu.next->clRetainEvent(handle);
    state_lock();
    struct command *c = command_of(handle);
    if (c && error == CL_SUCCESS) {
        c->app_refs++;
        c->refs++;
    }
    state_unlock();
    return error;
}

static cl_int CL_API_CALL emu_clReleaseEvent(cl_event handle)
{
    state_lock();
    struct command *c = command_of(handle);
    if (c && c->app_refs > 0) {
        c->app_refs--;
        command_unref(c);
    }
    state_unlock();
    return emu.next->clReleaseEvent(handle);
}

static cl_int CL_API_CALL emu_clGetEventInfo(cl_event handle, cl_event_info param_name,
                                             size_t param_value_size, void *param_value,
                                             size_t *param_value_size_ret)
{
    state_lock();
    struct command *c = command_of(handle);
    if (!c) {
        state_unlock();
        return emu.next->clGetEventInfo(handle, param_name, param_value_size, param_value,
                                        param_value_size_ret);
    }
    cl_int status = param_name == CL_EVENT_COMMAND_EXECUTION_STATUS ? command_status(c) : 0;
    cl_uint references = c->app_refs;
    cl_command_type type = c->type;
    cl_command_queue queue = c->queue;
    state_unlock();
    switch (param_name) {
    case CL_EVENT_COMMAND_EXECUTION_STATUS:
        ANSWER(cl_int, status);
    case CL_EVENT_REFERENCE_COUNT:
        ANSWER(cl_uint, references);
    case CL_EVENT_COMMAND_TYPE:
        ANSWER(cl_command_type, type);
    case CL_EVENT_COMMAND_QUEUE:
        ANSWER(cl_command_queue, queue);
    default:
        return emu.next->clGetEventInfo(handle, param_name, param_value_size, param_value,
                                        param_value_size_ret);
    }
}

static cl_int CL_API_CALL emu_clGetEventProfilingInfo(cl_event handle, cl_profiling_info param_name,
                                                      size_t param_value_size, void *param_value,
                                                      size_t *param_value_size_ret)
{
    state_lock();
    struct command *c = command_of(handle);
    if (!c) {
        state_unlock();
        return emu.next->clGetEventProfilingInfo(handle, param_name, param_value_size, param_value,
                                                 param_value_size_ret);
    }
    bool available = c->profiled && command_status(c) == CL_COMPLETE;
    double t = -1;
    switch (param_name) {
    case CL_PROFILING_COMMAND_QUEUED:
        t = c->queued;
        break;
    case CL_PROFILING_COMMAND_SUBMIT:
        t = c->submitted;
        break;
    case CL_PROFILING_COMMAND_START:
        t = c->tl->start;
        break;
    case CL_PROFILING_COMMAND_END:
    case CL_PROFILING_COMMAND_COMPLETE:
        t = c->tl->end;
        break;
    }
    state_unlock();
    if (!available)
        return CL_PROFILING_INFO_NOT_AVAILABLE;
    if (t < 0)
        return CL_INVALID_VALUE;
    ANSWER(cl_ulong, clock_stamp(t));
}

static cl_event CL_API_CALL emu_clCreateUserEvent(cl_context context, cl_int *error)
{
    cl_event handle = emu.next->clCreateUserEvent(context, error);
    if (!handle)
        return NULL;
    emu.next->clRetainEvent(handle); /* one reference is the program's, one ours */
    state_lock();
    struct command *c = command_new(handle, CL_COMMAND_USER, NULL,
                                    (struct command_spec){ .kind = KIND_USER }, clock_now(), NULL, 0);
    c->app_refs = 1;
    c->refs++;
    state_unlock();
    return handle;
}

static cl_int CL_API_CALL emu_clSetUserEventStatus(cl_event handle, cl_int status)
{
    cl_int error = emu.next->clSetUserEventStatus(handle, status);
    if (error != CL_SUCCESS)
        return error;
    state_lock();
    struct command *c = command_of(handle);
    if (c && c->type == CL_COMMAND_USER && c->tl->state != STATE_DONE) {
        tl_set_user(emu.timeline, c->tl, clock_now(), status);
        state_changed();
    }
    state_unlock();
    return CL_SUCCESS;
}

void install_events(cl_icd_dispatch *table)
{
    LAYER(clWaitForEvents);
    LAYER(clRetainEvent);
    LAYER(clReleaseEvent);
    LAYER(clGetEventInfo);
    LAYER(clGetEventProfilingInfo);
    LAYER(clCreateUserEvent);
    LAYER(clSetUserEventStatus);
}
