/* A libcuda.so.1 without a GPU, for tests: kernels of modelled time, waits that spin, the rules of
 * streams and of their capture.  Nothing is computed, but copies copy. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "standin.h"

#define API __attribute__((visibility("default"))) CUresult

enum { CU_STREAM_NON_BLOCKING = 1, FAIL_NS = 10000000, COPY_NS = 5000, COPY_BYTES_PER_NS = 10 };

/* The device. */

static pid_t initialised;
static struct {
    CUcontext context;
    unsigned users, flags;
} primary;

API cuInit(unsigned flags)
{
    standin_lock();
    /* Who forks after this has a child without a driver. */
    CUresult result = flags                                     ? CUDA_ERROR_INVALID_VALUE
                      : initialised && initialised != getpid() ? CUDA_ERROR_NOT_INITIALIZED
                                                                : CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        initialised = getpid();
    standin_unlock();
    return result;
}

/* Every function but the first begins so, and ends with `leave`. */
static CUresult enter(void)
{
    standin_lock();
    return initialised == getpid() ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

/* Named streams are looked at first: to ask one that is gone is wrong whatever else is. */
static CUresult enter_asking(CUstream stream)
{
    CUresult result = enter();
    if (result == CUDA_SUCCESS && (uintptr_t)stream > (uintptr_t)STREAM_PER_THREAD)
        standin_stream(stream, false);
    if (result == CUDA_SUCCESS && !(standin_current && standin_current->live))
        result = CUDA_ERROR_INVALID_CONTEXT;
    return result != CUDA_SUCCESS ? result : standin_state(standin_current);
}

static CUresult enter_current(void)
{
    return enter_asking(NULL);
}

static CUresult leave(CUresult result)
{
    standin_unlock();
    return result;
}

/* Goes on only where all is well until here. */
#define TRY(call)                                                                                    \
    do {                                                                                             \
        CUresult tried = (call);                                                                     \
        if (tried != CUDA_SUCCESS)                                                                   \
            return leave(tried);                                                                     \
    } while (0)

/* Most functions give something back, or nothing where it cannot be had. */
#define GIVE(to, value)                                                                              \
    do {                                                                                             \
        *(to) = (value);                                                                             \
        return leave(*(to) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);                               \
    } while (0)

API cuDriverGetVersion(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

API cuDeviceGetCount(int *count)
{
    TRY(enter());
    *count = 1;
    return leave(CUDA_SUCCESS);
}

API cuDeviceGet(CUdevice *device, int ordinal)
{
    TRY(enter());
    *device = 0;
    return leave(ordinal ? 101 : CUDA_SUCCESS);
}

API cuDeviceGetName(char *name, int length, CUdevice device)
{
    strncpy(name, "Stand-in", (size_t)length);
    return device ? 101 : CUDA_SUCCESS;
}

API cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags)
{
    TRY(enter());
    primary.flags = flags;
    if (primary.context)
        primary.context->flags = flags;
    return leave(device ? 101 : CUDA_SUCCESS);
}

API cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    TRY(enter());
    *flags = primary.flags;
    *active = primary.context != NULL;
    return leave(device ? 101 : CUDA_SUCCESS);
}

API cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    TRY(enter());
    if (device)
        return leave(101);
    if (!primary.context)
        primary.context = standin_new_context(primary.flags);
    primary.users++;
    GIVE(context, primary.context);
}

API cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    TRY(enter());
    if (device || !primary.users)
        return leave(CUDA_ERROR_INVALID_CONTEXT);
    if (--primary.users == 0) {
        standin_end_context(primary.context);
        primary.context = NULL;
    }
    return leave(CUDA_SUCCESS);
}

API cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    TRY(enter());
    GIVE(context, standin_current = device ? NULL : standin_new_context(flags));
}

API cuCtxDestroy_v2(CUcontext context)
{
    TRY(enter());
    standin_end_context(context);
    if (standin_current == context)
        standin_current = NULL;
    return leave(CUDA_SUCCESS);
}

API cuCtxGetCurrent(CUcontext *context)
{
    TRY(enter());
    *context = standin_current;
    return leave(CUDA_SUCCESS);
}

API cuCtxSetCurrent(CUcontext context)
{
    TRY(enter());
    standin_current = context;
    return leave(CUDA_SUCCESS);
}

API cuCtxGetFlags(unsigned *flags)
{
    TRY(enter_current());
    *flags = standin_current->flags;
    return leave(CUDA_SUCCESS);
}

API cuCtxSetFlags(unsigned flags)
{
    TRY(enter_current());
    standin_current->flags = flags;
    return leave(CUDA_SUCCESS);
}

API cuCtxGetDevice(CUdevice *device)
{
    TRY(enter_current());
    *device = 0;
    return leave(CUDA_SUCCESS);
}

static bool sleeps(CUcontext context)
{
    return (context->flags & CU_CTX_SCHED_MASK) == CU_CTX_SCHED_BLOCKING_SYNC;
}

API cuCtxSynchronize_v2(CUcontext context)
{
    TRY(enter());
    TRY(standin_may_ask_context(context));
    return leave(standin_wait(context, standin_context_end(context), sleeps(context)));
}

API cuCtxSynchronize(void)
{
    CUcontext context = NULL;
    CUresult result = cuCtxGetCurrent(&context);
    return result ? result : context ? cuCtxSynchronize_v2(context) : CUDA_ERROR_INVALID_CONTEXT;
}

/* Streams and events. */

API cuStreamCreate(CUstream *stream, unsigned flags)
{
    TRY(enter_current());
    GIVE(stream, standin_new_stream(!(flags & CU_STREAM_NON_BLOCKING), NULL));
}

API cuStreamDestroy_v2(CUstream stream)
{
    TRY(enter());
    standin_stream(stream, false)->live = false;
    return leave(CUDA_SUCCESS);
}

API cuStreamGetCtx(CUstream stream, CUcontext *context)
{
    TRY(enter_current());
    *context = standin_stream(stream, false)->context;
    return leave(CUDA_SUCCESS);
}

API cuThreadExchangeStreamCaptureMode(int *mode)
{
    const enum mode before = standin_mode;
    standin_mode = (enum mode)*mode;
    *mode = (int)before;
    return CUDA_SUCCESS;
}

API cuEventCreate(CUevent *event, unsigned flags)
{
    TRY(enter_current());
    GIVE(event, standin_new_event(flags));
}

API cuEventDestroy_v2(CUevent event)
{
    TRY(enter());
    standin_event(event)->live = false;
    return leave(CUDA_SUCCESS);
}

API cuEventQuery(CUevent event)
{
    TRY(enter());
    TRY(standin_may_ask_event(standin_event(event)));
    TRY(standin_state(event->context));
    return leave(event->end <= standin_now() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

API cuEventSynchronize(CUevent event)
{
    TRY(enter());
    TRY(standin_may_ask_event(standin_event(event)));
    return leave(standin_wait(event->context, event->end, event->flags & CU_EVENT_BLOCKING_SYNC));
}

/* Kernels and graphs. */

struct CUfunc_st {
    const char *name;
};

static struct CUfunc_st kernels[] = { { "spin" }, { "fail" }, { "spin_as_said" } };
enum { SPIN, FAIL, SPIN_AS_SAID, KERNELS };

/* What the third has for an argument. */
struct said {
    void *memory;
    uint32_t microseconds;
    float number;
};

API cuModuleLoadData(void **module, const void *image)
{
    TRY(enter_current());
    TRY(standin_unsafe());
    GIVE(module, image ? kernels : NULL);
}

API cuModuleGetFunction(CUfunction *function, void *module, const char *name)
{
    TRY(enter_current());
    for (unsigned i = 0; module && i < KERNELS; i++)
        if (!strcmp(kernels[i].name, name))
            GIVE(function, &kernels[i]);
    return leave(CUDA_ERROR_NOT_FOUND);
}

/* Those that spin have an argument: how long. */
API cuFuncGetParamInfo(CUfunction f, size_t index, size_t *offset, size_t *size)
{
    if (f == &kernels[FAIL] || index)
        return CUDA_ERROR_INVALID_VALUE;
    *offset = 0;
    *size = f == &kernels[SPIN] ? sizeof(uint64_t) : sizeof(struct said);
    return CUDA_SUCCESS;
}

static struct load load_of(CUfunction f, void **params)
{
    return f == &kernels[SPIN]   ? (struct load){ *(const uint64_t *)params[0], false }
           : f == &kernels[FAIL] ? (struct load){ FAIL_NS, true }
                                 : (struct load){
                                       ((const struct said *)params[0])->microseconds * 1000u, false
                                   };
}

struct CUgraphExec_st {
    struct load load;
};

API cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    TRY(enter_current());
    *exec = flags ? NULL : malloc(sizeof **exec);
    if (*exec)
        (*exec)->load = graph->load;
    return leave(*exec ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

API cuGraphDestroy(CUgraph graph)
{
    free(graph);
    return CUDA_SUCCESS;
}

API cuGraphExecDestroy(CUgraphExec exec)
{
    free(exec);
    return CUDA_SUCCESS;
}

/* Memory. */

#define BLOCKS 64

static struct block {
    char *begin;
    size_t bytes;
    unsigned type; /* CU_MEMORYTYPE_HOST or _DEVICE */
    CUcontext context;
} blocks[BLOCKS];

static const struct block *block_of(CUdeviceptr p)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        if (blocks[i].begin && p - (uintptr_t)blocks[i].begin < blocks[i].bytes)
            return &blocks[i];
    return NULL;
}

static void *new_block(size_t bytes, unsigned type)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        if (!blocks[i].begin) {
            blocks[i] = (struct block){ calloc(1, bytes), bytes, type, standin_current };
            return blocks[i].begin;
        }
    return NULL;
}

static CUresult free_block(const void *begin)
{
    for (unsigned i = 0; begin && i < BLOCKS; i++)
        if (blocks[i].begin == begin) {
            free(blocks[i].begin), blocks[i].begin = NULL;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_VALUE;
}

API cuMemAlloc_v2(CUdeviceptr *p, size_t bytes)
{
    TRY(enter_current());
    TRY(standin_unsafe());
    GIVE(p, (uintptr_t)new_block(bytes, 2));
}

API cuMemAllocHost_v2(void **p, size_t bytes)
{
    TRY(enter_current());
    TRY(standin_unsafe());
    GIVE(p, new_block(bytes, 1));
}

/* Most frees wait for the whole context. */
static CUresult free_when_over(const void *p)
{
    TRY(enter_current());
    TRY(standin_unsafe());
    TRY(standin_wait(standin_current, standin_context_end(standin_current), sleeps(standin_current)));
    return leave(free_block(p));
}

API cuMemFree_v2(CUdeviceptr p)
{
    return free_when_over((const void *)(uintptr_t)p);
}

API cuMemFreeHost(void *p)
{
    return free_when_over(p);
}

/* But not all: memory that was the program's own stays, and this one does not wait. */
API cuMemHostRegister_v2(void *p, size_t bytes, unsigned flags)
{
    TRY(enter_current());
    for (unsigned i = 0; i < BLOCKS; i++)
        if (!blocks[i].begin) {
            blocks[i] = (struct block){ p, bytes, 1, standin_current };
            return leave(flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS);
        }
    return leave(CUDA_ERROR_OUT_OF_MEMORY);
}

API cuMemHostUnregister(void *p)
{
    TRY(enter_current());
    for (unsigned i = 0; p && i < BLOCKS; i++)
        if (blocks[i].begin == p) {
            blocks[i].begin = NULL;
            return leave(CUDA_SUCCESS);
        }
    return leave(CUDA_ERROR_INVALID_VALUE);
}

API cuModuleUnload(void *module)
{
    TRY(enter_current());
    TRY(standin_unsafe());
    TRY(standin_wait(standin_current, standin_context_end(standin_current), sleeps(standin_current)));
    return leave(module ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

API cuPointerGetAttribute(void *value, int attribute, CUdeviceptr p)
{
    TRY(enter_current());
    const struct block *block = block_of(p);
    if (block && attribute == CU_POINTER_ATTRIBUTE_MEMORY_TYPE)
        *(unsigned *)value = block->type;
    else if (block && attribute == CU_POINTER_ATTRIBUTE_CONTEXT)
        *(CUcontext *)value = block->context;
    else
        return leave(CUDA_ERROR_INVALID_VALUE);
    return leave(CUDA_SUCCESS);
}

/* What is copied is what is there now: no kernel here writes. */
static CUresult copy(void *to, const void *from, size_t bytes, CUstream stream, bool waits)
{
    if (stream->capture && waits) {
        stream->capture = CAPTURE_INVALIDATED;
        return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    TRY(standin_give(stream, (struct load){ COPY_NS + bytes / COPY_BYTES_PER_NS, false }));
    memcpy(to, from, bytes);
    CUcontext in = stream->context;
    return leave(waits ? standin_wait(in, standin_end(stream), sleeps(in)) : CUDA_SUCCESS);
}

static bool is_host(CUdeviceptr p)
{
    const struct block *block = block_of(p);
    return !block || block->type == CU_MEMORYTYPE_HOST;
}

static char *place_of_side(const CUcopySide2D *side)
{
    uintptr_t begin = side->type == CU_MEMORYTYPE_HOST ? (uintptr_t)side->host : (uintptr_t)side->device;
    return (char *)begin + side->y * side->pitch + side->x;
}

/* All but the last row take no time. */
static CUresult copy_rows(const CUcopy2D *plan, CUstream stream, bool waits)
{
    char *to = place_of_side(&plan->to);
    const char *from = place_of_side(&plan->from);
    size_t row = 0;
    for (; row + 1 < plan->height; row++)
        memcpy(to + row * plan->to.pitch, from + row * plan->from.pitch, plan->width);
    return copy(to + row * plan->to.pitch, from + row * plan->from.pitch, plan->width, stream, waits);
}

#include "standin_streams.h"
