#define _GNU_SOURCE
#include "launch.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "kernels.h"
#include "lanes.h"
#include "loaders.h"
#include "objects.h"
#include "options.h"
#include "policy.h"
#include "programs.h"
#include "queues.h"
#include "records.h"
#include "sender.h"
#include "split.h"
#include "uses.h"

/* IDs of variants are worked out in 32 bits. */
#define LARGEST UINT32_MAX
/* Bits of a global offset that a device keeps: NVIDIA 32; PoCL 3.1 only 16 where the launch is small. */
#define OFFSET_BITS 32
#define POCLS_BITS 16
/* Of one launch; cutting more than one dimension can make more slices than were wanted. */
#define MOST_PARTS 2000000

/* A call, as the program made it, and the options that hold for it. */
struct call {
    const struct options *o;
    handle queue, kernel;
    cl_uint dimensions;
    const size_t *offset, *global, *local;
    cl_uint n_wait;
    const handle *wait_list;
    handle *event;
    bool is_task;
    uint64_t work; /* tells the kernel from others, whatever its sizes */
};

/* How it goes out in slices. */
struct plan {
    struct decision decision;
    unsigned lanes, bound; /* companions that it travels on; slices in flight */
    struct cut cut;
    handle kernel;      /* the program's, or its variant's */
    handle program;     /* that this one is of */
    struct shape shape; /* carriers is 0 for the program's own */
};

static cl_int whole(const struct call *c)
{
    if (c->is_task)
        return next_clEnqueueTask(c->queue, c->kernel, c->n_wait, c->wait_list, c->event);
    return next_clEnqueueNDRangeKernel(c->queue, c->kernel, c->dimensions, c->offset, c->global, c->local,
                                       c->n_wait, c->wait_list, c->event);
}

/* What to do.  Each function says why the launch stays whole, or NULL. */

static const char *fix_local(struct ndrange *range, const struct call *c, const struct device *device,
                             const struct verdict *verdict)
{
    size_t limit = 0;
    if (range->has_local)
        return NULL;
    if (verdict->shows_work_group)
        return "it sees the local size, which the driver is to choose";
    if (next_clGetKernelWorkGroupInfo(c->kernel, device->handle, CL_KERNEL_WORK_GROUP_SIZE, sizeof limit,
                                      &limit, NULL))
        return "the driver does not say how large its work-groups may be";
    split_fix_local(range, limit, device->largest); /* else the driver chooses for each slice */
    return NULL;
}

static const char *use_variant(struct plan *plan, struct kernel *kernel, const struct answer *answer,
                               const struct verdict *verdict, const struct device *device)
{
    const struct ndrange *range = &plan->cut.whole;
    const char *why = "the variant's kernel cannot be used";
    for (unsigned d = 0; d < 3; d++)
        if (range->offset[d] + range->global[d] > LARGEST)
            return "IDs beyond 32 bits";
    if (ndrange_items(range) > LARGEST)
        return "IDs beyond 32 bits";
    plan->shape = split_shape(&plan->cut, verdict->asks_size, device->pocl ? POCLS_BITS : OFFSET_BITS);
    handle program = build_variant(kernel->build, answer, kernel->program, device->handle,
                                   &plan->shape.form, plan->shape.constant, &why);
    if (!program)
        return why;
    plan->program = program;
    plan->kernel = kernel_stand_in(kernel, program);
    return plan->kernel ? NULL : why;
}

static const char *make_plan(struct plan *plan, const struct call *c, struct queue *queue,
                             struct kernel *kernel)
{
    const struct options *o = c->o;
    const struct device *device = &queue->device;
    /* Cores that the user names stand for the whole device. */
    const size_t cores = o->cores ? o->cores : device->cores;
    const size_t units = device->gpu && !o->cores ? device->units : 1;
    struct verdict otherwise;
    struct ndrange range;
    const char *why;
    plan->decision = (struct decision){ 1, NULL, -1 };
    if (c->is_task)
        return "a task is one work-item";
    if (!ndrange_read(&range, c->dimensions, c->offset, c->global, c->local))
        return "its sizes are not understood";
    plan->decision = policy_decide(o, c->work, ndrange_items(&range));
    if (plan->decision.groups < 2)
        return plan->decision.reason;
    if (ndrange_items(&range) < cores)
        return "fewer work-items than the device has cores";
    if (!device->modern)
        return "the device has no OpenCL 1.2";
    if (!kernel)
        return "its program was not built from one source";
    if (!loaders_all_know_us())
        return "another OpenCL loader is in this process, whose calls are not seen";
    const struct answer *answer = build_answer(kernel->build, kernel->program, device->handle);
    if (!answer)
        return "its verdict is being looked for";
    const struct verdict *verdict = answer_verdict(answer, kernel->name, &otherwise);
    if (!verdict->kernel || verdict->refusal[0])
        return verdict->refusal ? verdict->refusal : "its verdict is unknown";
    if ((why = kernel_arguments(kernel, verdict->asks || verdict->still)))
        return why;
    if (verdict->still && kernel_shares(kernel, verdict->still, verdict->changed))
        return "it may change what it reads to find the end of a loop";
    if ((why = split_beyond(&range, device->address_bits, device->nvidia)) ||
        (why = fix_local(&range, c, device, verdict)))
        return why;
    size_t groups = plan->decision.groups;
    do {
        plan->cut = split_cut(&range, groups, cores, units);
        plan->lanes = lanes_wanted(o, queue, &plan->cut);
        plan->bound = lanes_in_flight(o, plan->lanes);
    } while (o->sleeps && !lanes_send_later(queue) && plan->cut.parts > plan->bound &&
             (groups = groups * 7 / 8) > 1);
    if (plan->cut.parts < 2)
        return "one slice fills the device";
    if (plan->cut.parts > MOST_PARTS)
        return "it cannot be cut into few enough slices";
    plan->kernel = c->kernel;
    plan->program = kernel->program;
    plan->shape.carriers = 0;
    return verdict->asks ? use_variant(plan, kernel, answer, verdict, device) : NULL;
}

/* Doing it. */

/* The kernel that slices are sent of when the call is back. */
static handle copy_for_later(const struct plan *plan, const struct kernel *kernel, struct hold **hold)
{
    struct build *now = plan->kernel == kernel->object.handle ? build_get(plan->program) : NULL;
    const bool other = now && now != kernel->build; /* the program was built again since */
    build_drop(now);
    return other ? NULL : kernel_copy(kernel, plan->program, hold);
}

/* What tells how long its slices take from how long others do (FNV-1a). */
static uint64_t key_of(const struct kernel *kernel, const struct cut *cut)
{
    uint64_t key = 0xcbf29ce484222325u ^ cut->parts;
    for (const char *c = kernel->name; *c; c++)
        key = (key ^ (unsigned char)*c) * 0x100000001b3u;
    for (unsigned d = 0; d < 3; d++)
        key = (key ^ cut->whole.global[d]) * 0x100000001b3u;
    return key;
}

/* The launch is on its way: its event, and who goes on with it. */
static void go_on(struct queue *queue, struct flight *flight, const struct call *c, struct use *use)
{
    if (use && flight->end)
        use_add(use, queue, flight->end, true, flight->start);
    if (c->event && flight->end) {
        flight->stand = event_stands(flight->end);
        next_clRetainEvent(*c->event = flight->end);
    }
    if (flight->stand) {
        stand_begins(flight->stand, flight->sent, flight_ends(flight));
        if (!flight->until) {
            const unsigned n = flight_ends(flight);
            stand_ends(flight->stand, flight->sent + flight->n_sent - n, n);
            object_drop(flight->stand);
            flight->stand = NULL;
        }
    }
    if (!flight->keep && flight->end) {
        next_clReleaseEvent(flight->end);
        flight->end = NULL;
    }
    const bool more = flight->until;
    queue_flies(queue, flight);
    if (more)
        sender_wakes(queue);
}

/* Whether the call may wait for slices: not for a launch that another call may have to let begin; and a
 * callback comes in a thread of the driver's, which may be kept from going on with the slices. */
static bool may_pace(const struct call *c)
{
    for (cl_uint i = 0; c->wait_list && i < c->n_wait; i++)
        if (event_status(c->wait_list[i]) > CL_COMPLETE)
            return false;
    return !events_call_back();
}

/* Sends the slices, or as many as may be in flight; why it did not, and then nothing has happened and the
 * driver is to say what is wrong.  An error at a later slice is the program's. */
static const char *send(const struct plan *plan, const struct call *c, struct queue *queue,
                        struct kernel *kernel, struct use *use, struct sent *sent, cl_int *result)
{
    const struct ndrange *range = &plan->cut.whole;
    const unsigned bound = plan->bound, parts = (unsigned)plan->cut.parts;
    struct hold *hold = NULL;
    struct enqueueing e;
    bool unsent;
    const unsigned in_flight = queue_in_flight(queue, bound, &unsent);
    /* Behind slices that are yet to be sent none can be sent now. */
    unsigned now = unsent ? 0 : in_flight + 1 < bound ? bound - in_flight : 1;
    now = now < parts && c->o->sleeps ? now : parts;
    if (unsent && !c->o->sleeps)
        return "another launch is not sent yet";
    if (now < parts && !lanes_send_later(queue))
        return "too many slices are in flight";
    if (!now && !kernel_accepted(kernel, queue->context, range))
        return "another launch is not sent yet, and one like it was never sent";
    handle copy = now < parts ? copy_for_later(plan, kernel, &hold) : NULL;
    if (now < parts && !copy)
        return "its kernel cannot be copied";
    if (!lanes_begin(&e, queue, plan->lanes, bound, &plan->cut, &plan->shape, copy ? copy : plan->kernel,
                     c->n_wait, c->wait_list)) {
        if (copy)
            next_clReleaseKernel(copy);
        hold_end(hold);
        return "the driver refused what holds its slices together";
    }
    struct flight *flight = e.flight;
    flight->key = key_of(kernel, &plan->cut);
    flight->copied = copy;
    flight->hold = hold;
    /* Whoever waits for single slices needs their events; else these cost more than all else that we add. */
    flight->few_events = c->o->sleeps && !flight->out_of_order && !flight->keep && !lanes_send_later(queue);
    *result = CL_SUCCESS;
    bool paced = !c->o->sleeps && in_flight + parts > bound && may_pace(c) && lanes_begins(queue, flight);
    if (!c->o->sleeps && !paced && !lanes_send_later(queue) && parts > LANE_IN_FLIGHT * plan->lanes) {
        lanes_give_up(&e);
        return "too many slices would be in flight";
    }
    while (flight->n_sent < now) {
        if (paced && flight->n_sent - flight->n_done >= bound)
            paced = !events_call_back() && lanes_pace(flight, bound);
        if ((*result = lanes_send(flight)) != CL_SUCCESS)
            break;
        flight->n_sent++;
    }
    if (*result != CL_SUCCESS && !flight->n_sent) {
        lanes_give_up(&e);
        return "the driver refused its first slice";
    }
    if (*result != CL_SUCCESS) /* what is enqueued cannot be taken back, but what comes next waits for it */
        lanes_stop(flight);
    else
        kernel_accepts(kernel, queue->context, range);
    const cl_int joined = lanes_join(&e);
    *result = *result != CL_SUCCESS ? *result : joined;
    *sent = (struct sent){ parts, e.since };
    struct call told = *c;
    if (*result != CL_SUCCESS)
        told.event = NULL;
    go_on(queue, flight, &told, use);
    return NULL;
}

/* A whole launch on a device where slices must not run beside it. */
static cl_int whole_in_use(const struct call *c, struct queue *queue, struct use *use)
{
    handle event = NULL;
    struct call more = *c;
    handle *list = use_list(use, queue, &more.n_wait, c->wait_list);
    if (list)
        more.wait_list = list;
    more.event = &event;
    const cl_int result = whole(&more);
    free(list);
    if (result != CL_SUCCESS)
        return result;
    use_add(use, queue, event, false, NULL);
    if (c->event)
        *c->event = event;
    else
        next_clReleaseEvent(event);
    return result;
}

/* The launch, with its kernel locked and its queue's gate held; why: it stays whole. */
static cl_int launch_on(struct queue *queue, struct kernel *kernel, const char *name,
                        const struct call *c, struct use *use, const struct plan *plan, const char *why,
                        struct sent *sent)
{
    cl_int result;
    queue_tidy(queue);
    if (!why && atomic_load(&queue->blocked))
        why = "another thread waits in a transfer of the same queue";
    if (!why && use && use_elsewhere(use, queue))
        why = "PoCL before version 6 cannot run it on two queues at once";
    if (!why && !queue->plain)
        why = "its queue has properties of its own";
    if (!why && !(why = send(plan, c, queue, kernel, use, sent, &result))) {
        record(name, c->dimensions, c->global, sent->slices, &plan->decision, plan->decision.reason);
        return result;
    }
    queue->ends_with_launch = false;
    result = use ? whole_in_use(c, queue, use) : whole(c);
    if (result == CL_SUCCESS)
        record(name, c->dimensions, c->global, 1, &plan->decision, why);
    return result;
}

/* Whether it has fewer work-items than the device has cores (the paper's second exception), which nobody
 * hears of: programs have many such launches, and nothing more need be looked at. */
static bool is_small(const struct call *c, const struct queue *queue)
{
    struct ndrange range;
    return !c->is_task && !queue->device.one_at_a_time && !records_words() &&
           ndrange_read(&range, c->dimensions, c->offset, c->global, c->local) &&
           ndrange_items(&range) < (c->o->cores ? c->o->cores : queue->device.cores);
}

/* A launch that is not to be split.  Another thread may have been told otherwise, and be in the middle of one. */
static cl_int unsplit(const struct call *c)
{
    struct queue *queue = may_split() ? queue_enter(c->queue) : NULL;
    const cl_int result = whole(c);
    queue_leave(queue);
    return result;
}

/* This thread is in the middle of a launch. */
static __thread bool launching __attribute__((tls_model("initial-exec")));

/* A callback of the driver's, called in the middle of a launch, launches: with a gate held, for which who has this
 * kernel may wait.  So nothing is locked but a gate. */
static cl_int launch_between(const struct call *c)
{
    const struct decision alone = { 1, NULL, -1 };
    struct kernel *kernel = object_get(KIND_KERNEL, c->kernel);
    const cl_int result = unsplit(c);
    if (result == CL_SUCCESS && kernel)
        record(kernel->name, c->dimensions, c->global, 1, &alone,
               "it comes from a callback in the middle of another launch");
    object_drop(kernel);
    return result;
}

static cl_int launch_call(const struct call *c, struct sent *sent)
{
    *sent = (struct sent){ 1, 0 };
    if (launching)
        return launch_between(c);
    struct queue *queue = queue_lock(c->queue);
    if (!queue)
        return whole(c); /* it was made in a way that is not seen here */
    queue_ask(queue);
    if (is_small(c, queue)) {
        queue->ends_with_launch = false;
        const cl_int result = whole(c);
        queue_leave(queue);
        return result;
    }
    pthread_mutex_unlock(&queue->gate);

    struct kernel *kernel = object_get(KIND_KERNEL, c->kernel);
    char *asked = kernel ? NULL : text_of(next_clGetKernelInfo, c->kernel, CL_KERNEL_FUNCTION_NAME);
    const char *name = kernel ? kernel->name : asked ? asked : "";
    struct plan plan;
    /* Kernel, use, gate: always in this order.  One launch of a kernel at a time, since its slices share
     * the variant's arguments. */
    launching = true;
    if (kernel)
        pthread_mutex_lock(&kernel->lock);
    const char *why = make_plan(&plan, c, queue, kernel);
    struct use *use = queue->device.one_at_a_time ? use_enter(name) : NULL;
    pthread_mutex_lock(&queue->gate);
    const cl_int result = launch_on(queue, kernel, name, c, use, &plan, why, sent);
    pthread_mutex_unlock(&queue->gate);
    use_leave(use);
    if (kernel)
        pthread_mutex_unlock(&kernel->lock);
    launching = false;
    free(asked);
    object_drop(kernel);
    object_drop(queue);
    return result;
}

cl_int launch(uint64_t work, handle queue, handle kernel, cl_uint dimensions, const size_t *offset,
              const size_t *global, const size_t *local, WAIT_LIST, struct sent *sent)
{
    const struct call call = { options(), queue,  kernel,    dimensions, offset, global, local,
                               n_wait, wait_list, event,      false,  work };
    return sent ? launch_call(&call, sent) : unsplit(&call);
}

cl_int our_clEnqueueTask(handle queue, handle kernel, WAIT_LIST)
{
    const struct call call = { options(), queue, kernel, 1, NULL, NULL, NULL, n_wait, wait_list, event, true, 0 };
    struct sent sent;
    return splitting() ? launch_call(&call, &sent) : unsplit(&call);
}
