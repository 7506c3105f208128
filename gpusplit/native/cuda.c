#define _GNU_SOURCE
#include "cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "cuda_functions.h"
#include "engine.h"
#include "reach.h"
#include "report.h"
#include "settings.h"
#include "work.h"

/* The driver. */

#define DECLARE(name, parameters) static CUresult(*real_##name) parameters;
WRAPPED(DECLARE)
NEEDED(DECLARE)

#define PROTOTYPE(name, parameters)                                                                  \
    static CUresult our_##name parameters;                                                           \
    __attribute__((visibility("default"), alias("our_" #name))) CUresult name parameters;
WRAPPED(PROTOTYPE)

static const struct entry {
    const char *name;
    void **real;
    void *ours;
} entries[] = {
#define WRAPPER(name, parameters) { #name, (void **)&real_##name, (void *)our_##name },
    WRAPPED(WRAPPER)
};

static const struct entry needed[] = {
#define HELPER(name, parameters) { #name, (void **)&real_##name, NULL },
    NEEDED(HELPER)
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static pthread_mutex_t load_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool loaded;

bool cuda_has(const char *name)
{
    for (size_t i = 0; i < COUNT(entries); i++)
        if (!strcmp(entries[i].name, name))
            return true;
    return false;
}

static void after_fork(void);

/* Fills in the driver's functions from the library that has `function`, which then stays. */
static void load(void *function)
{
    Dl_info info;
    if (atomic_load(&loaded) || !function || !dladdr(function, &info) || !info.dli_fname)
        return;
    const int saved_errno = errno;
    pthread_mutex_lock(&load_mutex);
    void *driver = NULL;
    if (!atomic_load(&loaded))
        driver = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    if (driver) {
        for (size_t i = 0; i < COUNT(entries); i++)
            *entries[i].real = reach_real(driver, entries[i].name);
        for (size_t i = 0; i < COUNT(needed); i++)
            *needed[i].real = reach_real(driver, needed[i].name);
        pthread_atfork(NULL, NULL, after_fork);
        atomic_store(&loaded, true);
    }
    pthread_mutex_unlock(&load_mutex);
    dlerror(); /* what this driver lacks is nothing that the program asked for */
    errno = saved_errno;
}

void *cuda_instead(void *function)
{
    for (size_t i = 0; i < COUNT(entries); i++)
        if (function == entries[i].ours) {
            /* The program looked everywhere, and found us first. */
            void *behind = reach_driver(entries[i].name);
            load(behind);
            return behind ? function : NULL;
        }
    load(function);
    for (size_t i = 0; i < COUNT(entries); i++)
        if (function == *entries[i].real)
            return entries[i].ours;
    return function;
}

/* A program that is linked with the driver calls us first of all.  Nothing of `real_` is looked at
 * before all of it is there. */
static void find(const char *name)
{
    if (!atomic_load_explicit(&loaded, memory_order_acquire))
        load(reach_driver(name));
}

#define HAVE(name) (find(#name), real_##name != NULL)

/* Captures.  Asking a stream while one is open can end it, so that nobody asks then; and none is
 * opened, and no stream destroyed, between looking and asking. */

static pthread_rwlock_t capture_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_int captures;

/* A child has no driver, but may still destroy what its parent had: nobody is there to let go. */
static void after_fork(void)
{
    capture_lock = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
}

static void capture_begins(void)
{
    pthread_rwlock_wrlock(&capture_lock);
    atomic_fetch_add(&captures, 1);
    pthread_rwlock_unlock(&capture_lock);
}

typedef CUresult is_capturing_fn(CUstream, int *);

static int capture_status(is_capturing_fn *is, CUstream stream)
{
    int status = 0;
    return is && is(stream, &status) == CUDA_SUCCESS ? status : 0;
}

static void capture_ends(void)
{
    /* One that was begun in a way that nobody here knows must not count below zero. */
    int open = atomic_load(&captures);
    while (open > 0 && !atomic_compare_exchange_weak(&captures, &open, open - 1))
        ;
}

/* Between the two calls this thread's questions are none that a capture elsewhere could mind, and
 * neither is the driver's wait, which the program asked for before that capture began. */
static void relaxed(bool begin)
{
    static __thread int before __attribute__((tls_model("initial-exec"))) = -1;
    int mode = begin ? CU_STREAM_CAPTURE_MODE_RELAXED : before;
    if (mode < 0 || !real_cuThreadExchangeStreamCaptureMode)
        return;
    before = real_cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS && begin ? mode : -1;
}

/* Streams. */

static __thread char mine __attribute__((tls_model("initial-exec"))); /* its address names a thread */

#define PER_THREAD_BIT 2u
#define LEGACY_BIT 1u

static uintptr_t current_context(void)
{
    CUcontext context = NULL;
    return real_cuCtxGetCurrent && real_cuCtxGetCurrent(&context) == CUDA_SUCCESS ? (uintptr_t)context
                                                                                  : 0;
}

/* per_thread: whether stream 0 is the thread's own. */
static struct work *work_on(CUstream stream, bool per_thread)
{
    const uintptr_t value = (uintptr_t)stream;
    struct work *w;
    if (value > (uintptr_t)STREAM_PER_THREAD) {
        w = work_of(value);
        if (w && !atomic_load_explicit(&w->context, memory_order_relaxed)) {
            CUcontext context = NULL;
            if (real_cuStreamGetCtx && !atomic_load(&captures))
                real_cuStreamGetCtx(stream, &context);
            atomic_store(&w->context, (uintptr_t)context);
        }
        return w;
    }
    const uintptr_t context = current_context();
    if (!context)
        return NULL;
    if (stream == STREAM_PER_THREAD || (value == 0 && per_thread))
        w = work_of(engine_mix(context, (uintptr_t)&mine) << 2 | PER_THREAD_BIT);
    else
        w = work_of(context | LEGACY_BIT);
    if (w)
        atomic_store_explicit(&w->context, context, memory_order_relaxed);
    return w;
}

/* Whoever waits for a whole context is fed by whatever anyone gives to any stream. */
static struct feeding contexts;

static void given(CUstream stream, bool per_thread, uint64_t key)
{
    feeding_fed(&contexts);
    struct work *w = settings()->sleeps && !atomic_load(&captures) ? work_on(stream, per_thread) : NULL;
    if (w)
        work_given(w, key, engine_now());
}

/* Waits. */

struct asked {
    CUresult (*query)(CUstream);
    CUresult (*query_event)(CUevent);
    CUevent event;
    CUstream stream;
    const struct work *work; /* the stream's, as long as it has this handle */
    uintptr_t handle;
    const struct feeding *feeding;
};

static enum answer ask(void *what)
{
    const struct asked *a = what;
    if ((a->feeding && feeding_was_fed(a->feeding)) || pthread_rwlock_tryrdlock(&capture_lock))
        return ANSWER_NONE;
    CUresult result = CUDA_ERROR_NOT_INITIALIZED;
    if (!atomic_load(&captures) && (!a->work || atomic_load(&a->work->handle) == a->handle))
        result = a->event ? a->query_event(a->event) : a->query(a->stream);
    pthread_rwlock_unlock(&capture_lock);
    return result == CUDA_ERROR_NOT_READY ? ANSWER_BUSY
           : result == CUDA_SUCCESS       ? ANSWER_DONE
                                          : ANSWER_NONE;
}

/* A wait of the driver's, and what is done before and after it. */
struct wait {
    struct moment until;
    struct feeding *feeding;
    bool asked, guessed;
    uint64_t key, begin, end;
    struct waited waited;
    uint64_t cpu, entered;
};

/* A copy after shorter work than that is the driver's alone: it sleeps for the copy itself anyway, and
 * would be woken twice. */
#define SHORT_BEFORE_COPY_NS 200000

/* Sleeps until what the driver is to wait for is about to be over. */
static void before(struct wait *w, struct asked *what, bool copies)
{
    w->asked = w->guessed = false;
    w->waited.naps = 0;
    w->entered = settings()->report ? engine_now() : 0;
    w->cpu = report_begin();
    if (!settings()->sleeps || !w->until.work || atomic_load(&captures) ||
        !work_left(&w->until, &w->key, &w->begin) || !feeding_sleeps(w->feeding))
        return;
    if (copies && engine_expects(w->key) < SHORT_BEFORE_COPY_NS) {
        feeding_wakes(w->feeding);
        w->waited = (struct waited){ .answer = ANSWER_BUSY };
        w->guessed = true;
        return;
    }
    what->feeding = w->feeding;
    relaxed(true);
    w->asked = true;
    w->waited = engine_wait(w->key, w->begin, ask, what);
    feeding_wakes(w->feeding);
    w->guessed = w->waited.answer != ANSWER_NONE;
    w->end = engine_now();
}

/* learns: whether the driver's call waited for nothing but what was guessed. */
static CUresult after(struct wait *w, CUresult result, bool learns)
{
    if (w->asked)
        relaxed(false);
    if (w->guessed && result == CUDA_SUCCESS) {
        const bool done = w->waited.answer == ANSWER_DONE;
        const uint64_t end = done ? w->end : engine_now();
        if (done || learns)
            engine_learn(w->key, w->begin, end, &w->waited);
        work_over(&w->until, end);
    }
    report_end(w->cpu, w->entered, w->waited.naps);
    return result;
}

static struct moment now_on(CUstream stream, bool per_thread)
{
    struct work *w = settings()->sleeps ? work_on(stream, per_thread) : NULL;
    return w ? work_until_now(w) : (struct moment){ .work = NULL };
}

/* Whether a stream captures, begun in whatever way: then it is not for us to ask it anything. */
static bool capturing(CUstream stream, bool per_thread)
{
    is_capturing_fn *is = per_thread ? real_cuStreamIsCapturing_ptsz : real_cuStreamIsCapturing;
    int status = 0;
    return atomic_load(&captures) || !is || is(stream, &status) != CUDA_SUCCESS || status != 0;
}

static void before_stream(struct wait *w, CUstream stream, bool per_thread, bool copies)
{
    struct asked a = { .query = per_thread ? real_cuStreamQuery_ptsz : real_cuStreamQuery,
                       .stream = stream };
    w->until = now_on(stream, per_thread);
    if (w->until.work && (!a.query || capturing(stream, per_thread)))
        w->until.work = NULL;
    if ((a.work = w->until.work)) {
        a.handle = atomic_load(&a.work->handle);
        w->feeding = &w->until.work->feeding;
    }
    before(w, &a, copies);
}

static CUresult our_cuEventSynchronize(CUevent event)
{
    if (!HAVE(cuEventSynchronize))
        return CUDA_ERROR_NOT_INITIALIZED;
    struct wait w;
    struct asked a = { .query_event = real_cuEventQuery, .event = event };
    if (!settings()->sleeps || !a.query_event || !event_moment((uintptr_t)event, &w.until, &w.feeding))
        w.until.work = NULL;
    before(&w, &a, false);
    return after(&w, real_cuEventSynchronize(event), true);
}

/* A whole context: all its streams that have something to do. */

#define MOST_STREAMS 16

struct all {
    uintptr_t context;
    unsigned n;
    bool unknown;
    struct moment moments[MOST_STREAMS];
    uintptr_t handles[MOST_STREAMS];
};

static bool add_stream(struct work *work, void *what)
{
    struct all *all = what;
    if (atomic_load_explicit(&work->context, memory_order_relaxed) != all->context)
        return true;
    const uintptr_t handle = atomic_load(&work->handle);
    all->unknown = all->unknown || all->n == MOST_STREAMS || handle & PER_THREAD_BIT;
    if (!all->unknown) {
        all->handles[all->n] = handle;
        all->moments[all->n++] = work_until_now(work);
    }
    return !all->unknown;
}

static enum answer ask_all(void *what)
{
    struct all *all = what;
    while (all->n > 0) {
        const uintptr_t handle = all->handles[all->n - 1];
        struct asked a = { .query = real_cuStreamQuery,
                           .stream = (CUstream)(handle & LEGACY_BIT ? LEGACY_BIT : handle),
                           .work = all->moments[all->n - 1].work,
                           .handle = handle,
                           .feeding = &contexts };
        enum answer answer = ask(&a);
        if (answer != ANSWER_DONE)
            return answer;
        all->n--;
    }
    return ANSWER_DONE;
}

static CUresult synchronize(uintptr_t context, CUresult (*real)(CUcontext), CUresult (*current)(void))
{
    struct all all = { .context = context }, left;
    struct waited waited = { .answer = ANSWER_NONE };
    uint64_t key = 0x1d8e4e27c47d124fu, begin = UINT64_MAX, end = 0;
    const uint64_t entered = settings()->report ? engine_now() : 0, cpu = report_begin();
    if (settings()->sleeps && context && !atomic_load(&captures) && real_cuStreamQuery)
        work_each(add_stream, &all);
    for (unsigned i = 0; i < all.n && !all.unknown; i++) {
        uint64_t one, since;
        if (work_left(&all.moments[i], &one, &since)) {
            key += one;
            begin = since < begin ? since : begin;
        }
    }
    left = all;
    const bool asked = begin != UINT64_MAX && feeding_sleeps(&contexts);
    if (asked) {
        relaxed(true);
        waited = engine_wait(key, begin, ask_all, &left);
        feeding_wakes(&contexts);
        end = engine_now();
    }
    CUresult result = current ? current() : real((CUcontext)context);
    if (asked)
        relaxed(false);
    if (waited.answer != ANSWER_NONE && result == CUDA_SUCCESS) {
        if (waited.answer != ANSWER_DONE)
            end = engine_now();
        engine_learn(key, begin, end, &waited);
        for (unsigned i = 0; i < all.n; i++)
            work_over(&all.moments[i], end);
    }
    report_end(cpu, entered, waited.naps);
    return result;
}

static CUresult our_cuCtxSynchronize(void)
{
    if (!HAVE(cuCtxSynchronize))
        return CUDA_ERROR_NOT_INITIALIZED;
    return synchronize(current_context(), NULL, real_cuCtxSynchronize);
}

static CUresult our_cuCtxSynchronize_v2(CUcontext context)
{
    if (!HAVE(cuCtxSynchronize_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    /* Streams without a name of their own are asked through the current context. */
    if ((uintptr_t)context != current_context())
        return real_cuCtxSynchronize_v2(context);
    return synchronize((uintptr_t)context, real_cuCtxSynchronize_v2, NULL);
}

/* How the driver itself waits, when nothing was guessed: by sleeping. */

static unsigned blocking(unsigned flags)
{
    return settings()->sleeps ? (flags & ~(unsigned)CU_CTX_SCHED_MASK) | CU_CTX_SCHED_BLOCKING_SYNC
                              : flags;
}

static CUresult our_cuInit(unsigned flags)
{
    if (!HAVE(cuInit))
        return CUDA_ERROR_NOT_INITIALIZED;
    static atomic_bool set;
    CUresult result = real_cuInit(flags);
    int devices = 0;
    if (result != CUDA_SUCCESS || !settings()->sleeps || atomic_exchange(&set, true) ||
        !real_cuDeviceGetCount || real_cuDeviceGetCount(&devices) != CUDA_SUCCESS)
        return result;
    for (CUdevice device = 0; device < devices; device++) {
        unsigned now = 0;
        int active = 0;
        if (real_cuDevicePrimaryCtxGetState && real_cuDevicePrimaryCtxSetFlags_v2 &&
            real_cuDevicePrimaryCtxGetState(device, &now, &active) == CUDA_SUCCESS)
            real_cuDevicePrimaryCtxSetFlags_v2(device, blocking(now));
    }
    return result;
}

#define SETS_FLAGS(name, parameters, ...)                                                            \
    static CUresult our_##name parameters                                                            \
    {                                                                                                \
        return HAVE(name) ? real_##name(__VA_ARGS__) : CUDA_ERROR_NOT_INITIALIZED;                   \
    }
SETS_FLAGS(cuDevicePrimaryCtxSetFlags, (CUdevice device, unsigned flags), device, blocking(flags))
SETS_FLAGS(cuDevicePrimaryCtxSetFlags_v2, (CUdevice device, unsigned flags), device, blocking(flags))
SETS_FLAGS(cuCtxCreate_v2, (CUcontext * context, unsigned flags, CUdevice device), context,
           blocking(flags), device)
SETS_FLAGS(cuCtxCreate_v3,
           (CUcontext * context, void *affinity, int count, unsigned flags, CUdevice device), context,
           affinity, count, blocking(flags), device)
SETS_FLAGS(cuCtxCreate_v4, (CUcontext * context, void *parameters, unsigned flags, CUdevice device),
           context, parameters, blocking(flags), device)
/* An event waits by its own flag, not by its context's. */
SETS_FLAGS(cuEventCreate, (CUevent * event, unsigned flags), event,
           settings()->sleeps ? flags | CU_EVENT_BLOCKING_SYNC : flags)

/* What is gone. */

static CUresult our_cuEventDestroy_v2(CUevent event)
{
    if (!HAVE(cuEventDestroy_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    event_forget((uintptr_t)event);
    return real_cuEventDestroy_v2(event);
}

static CUresult our_cuStreamDestroy_v2(CUstream stream)
{
    if (!HAVE(cuStreamDestroy_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    const int captured = atomic_load(&captures) ? capture_status(real_cuStreamIsCapturing, stream) : 0;
    pthread_rwlock_wrlock(&capture_lock); /* who asks now has done so when the stream goes */
    if ((uintptr_t)stream > (uintptr_t)STREAM_PER_THREAD)
        work_forget((uintptr_t)stream);
    pthread_rwlock_unlock(&capture_lock);
    CUresult result = real_cuStreamDestroy_v2(stream);
    if (captured && result == CUDA_SUCCESS)
        capture_ends();
    return result;
}

/* With a context go its streams, whose handles may come back as others'. */
static void forget_context(CUcontext context)
{
    pthread_rwlock_wrlock(&capture_lock);
    work_forget_context((uintptr_t)context);
    pthread_rwlock_unlock(&capture_lock);
}

static CUresult our_cuCtxDestroy_v2(CUcontext context)
{
    if (!HAVE(cuCtxDestroy_v2))
        return CUDA_ERROR_NOT_INITIALIZED;
    if (context)
        forget_context(context);
    return real_cuCtxDestroy_v2(context);
}

/* Which context a device's own is nobody says without making it: all are forgotten, which costs each
 * stream one guess. */
#define ENDS_PRIMARY(name)                                                                           \
    static CUresult our_##name(CUdevice device)                                                      \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        CUresult result = real_##name(device);                                                       \
        unsigned flags = 0;                                                                          \
        int active = 0;                                                                              \
        if (!real_cuDevicePrimaryCtxGetState ||                                                      \
            real_cuDevicePrimaryCtxGetState(device, &flags, &active) != CUDA_SUCCESS || !active)     \
            forget_context(NULL);                                                                    \
        return result;                                                                               \
    }
ENDS_PRIMARY(cuDevicePrimaryCtxRelease)
ENDS_PRIMARY(cuDevicePrimaryCtxRelease_v2)
ENDS_PRIMARY(cuDevicePrimaryCtxReset)
ENDS_PRIMARY(cuDevicePrimaryCtxReset_v2)

/* How programs find the driver's functions. */

static CUresult found(CUresult result, void **function)
{
    if (result == CUDA_SUCCESS && function && *function)
        *function = cuda_instead(*function);
    return result;
}

static CUresult our_cuGetProcAddress(const char *symbol, void **function, int version,
                                     unsigned long long flags)
{
    return HAVE(cuGetProcAddress)
               ? found(real_cuGetProcAddress(symbol, function, version, flags), function)
               : CUDA_ERROR_NOT_INITIALIZED;
}

static CUresult our_cuGetProcAddress_v2(const char *symbol, void **function, int version,
                                        unsigned long long flags, int *status)
{
    return HAVE(cuGetProcAddress_v2)
               ? found(real_cuGetProcAddress_v2(symbol, function, version, flags, status), function)
               : CUDA_ERROR_NOT_INITIALIZED;
}

/* What streams are given.  Keys are odd, so that no number of the same commands adds up to none. */

static uint64_t key_of_launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned threads)
{
    uint64_t grid = (uint64_t)gx << 32 | gy;
    return engine_mix(engine_mix((uintptr_t)f, grid), (uint64_t)gz << 32 | threads) | 1;
}

enum { COPY = 0x636f7079, GRAPH = 0x67726170 };

static uint64_t key_of_bytes(size_t bytes)
{
    return engine_mix(COPY, bytes) | 1;
}

/* Memory that the driver does not know: a copy from a device to it comes back when it is done. */
static bool pageable(const void *memory)
{
    unsigned type = 0;
    return real_cuPointerGetAttribute &&
           real_cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                      (CUdeviceptr)(uintptr_t)memory) != CUDA_SUCCESS;
}

static void event_on(CUevent event, CUstream stream, bool per_thread)
{
    if (!settings()->sleeps)
        return;
    struct work *w = atomic_load(&captures) ? NULL : work_on(stream, per_thread);
    if (w)
        event_recorded((uintptr_t)event, work_until_now(w));
    else
        event_forget((uintptr_t)event);
}

/* Copies that take long themselves teach nothing of what was before them. */
#define SMALL_COPY ((size_t)1 << 16)

/* The functions with a stream, in both kinds (PT: whether stream 0 is the thread's own). */

#define GIVES(name, parameters, call, stream, PT, key)                                               \
    static CUresult our_##name parameters                                                            \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        given(stream, PT, key);                                                                      \
        return real_##name call;                                                                     \
    }

#define WAITS_FIRST(name, parameters, call, PT)                                                      \
    static CUresult our_##name parameters                                                            \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        struct wait w;                                                                               \
        before_stream(&w, NULL, PT, true);                                                           \
        return after(&w, real_##name call, bytes <= SMALL_COPY);                                     \
    }

#define STREAM_WRAPPERS(SZ, DS, PT)                                                                  \
    static CUresult our_cuStreamSynchronize##SZ(CUstream stream)                                     \
    {                                                                                                \
        if (!HAVE(cuStreamSynchronize##SZ))                                                          \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        struct wait w;                                                                               \
        before_stream(&w, stream, PT, false);                                                        \
        return after(&w, real_cuStreamSynchronize##SZ(stream), true);                                \
    }                                                                                                \
    static CUresult our_cuEventRecord##SZ(CUevent event, CUstream stream)                            \
    {                                                                                                \
        if (!HAVE(cuEventRecord##SZ))                                                                \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        event_on(event, stream, PT);                                                                 \
        return real_cuEventRecord##SZ(event, stream);                                                \
    }                                                                                                \
    static CUresult our_cuEventRecordWithFlags##SZ(CUevent event, CUstream stream, unsigned flags)   \
    {                                                                                                \
        if (!HAVE(cuEventRecordWithFlags##SZ))                                                       \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        event_on(event, stream, PT);                                                                 \
        return real_cuEventRecordWithFlags##SZ(event, stream, flags);                                \
    }                                                                                                \
    GIVES(cuLaunchKernel##SZ, LAUNCH, (f, gx, gy, gz, bx, by, bz, shared, stream, params, extra),    \
          stream, PT, key_of_launch(f, gx, gy, gz, bx * by * bz))                                    \
    GIVES(cuLaunchKernelEx##SZ,                                                                      \
          (const CUlaunchConfig *config, CUfunction f, void **params, void **extra),                 \
          (config, f, params, extra), config ? config->stream : NULL, PT,                            \
          config ? key_of_launch(f, config->grid[0], config->grid[1], config->grid[2],               \
                                 config->block[0] * config->block[1] * config->block[2])             \
                 : 1)                                                                                \
    GIVES(cuLaunchCooperativeKernel##SZ, LAUNCH_COOPERATIVE,                                         \
          (f, gx, gy, gz, bx, by, bz, shared, stream, params), stream, PT,                           \
          key_of_launch(f, gx, gy, gz, bx * by * bz))                                                \
    GIVES(cuGraphLaunch##SZ, (CUgraphExec graph, CUstream stream), (graph, stream), stream, PT,      \
          engine_mix((uintptr_t)graph, GRAPH) | 1)                                                   \
    GIVES(cuMemcpyAsync##SZ, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream),      \
          (to, from, bytes, stream), stream, PT, key_of_bytes(bytes))                                \
    GIVES(cuMemcpyHtoDAsync_v2##SZ,                                                                  \
          (CUdeviceptr to, const void *from, size_t bytes, CUstream stream),                         \
          (to, from, bytes, stream), stream, PT, key_of_bytes(bytes))                                \
    GIVES(cuMemcpyDtoDAsync_v2##SZ,                                                                  \
          (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream),                         \
          (to, from, bytes, stream), stream, PT, key_of_bytes(bytes))                                \
    static CUresult our_cuMemcpyDtoHAsync_v2##SZ(void *to, CUdeviceptr from, size_t bytes,           \
                                                 CUstream stream)                                    \
    {                                                                                                \
        if (!HAVE(cuMemcpyDtoHAsync_v2##SZ))                                                         \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        if (!settings()->sleeps || atomic_load(&captures) || !pageable(to)) {                        \
            given(stream, PT, key_of_bytes(bytes));                                                  \
            return real_cuMemcpyDtoHAsync_v2##SZ(to, from, bytes, stream);                           \
        }                                                                                            \
        struct wait w;                                                                               \
        before_stream(&w, stream, PT, true);                                                         \
        return after(&w, real_cuMemcpyDtoHAsync_v2##SZ(to, from, bytes, stream),                     \
                     bytes <= SMALL_COPY);                                                           \
    }                                                                                                \
    static CUresult our_cuStreamBeginCapture##SZ(CUstream stream)                                    \
    {                                                                                                \
        if (!HAVE(cuStreamBeginCapture##SZ))                                                         \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        capture_begins();                                                                            \
        return begun(real_cuStreamBeginCapture##SZ(stream));                                         \
    }                                                                                                \
    static CUresult our_cuStreamBeginCapture_v2##SZ(CUstream stream, int mode)                       \
    {                                                                                                \
        if (!HAVE(cuStreamBeginCapture_v2##SZ))                                                      \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        capture_begins();                                                                            \
        return begun(real_cuStreamBeginCapture_v2##SZ(stream, mode));                                \
    }                                                                                                \
    static CUresult our_cuStreamBeginCaptureToGraph##SZ(CUstream stream, CUgraph graph,              \
                                                        const void *after_nodes, const void *edges,  \
                                                        size_t count, int mode)                      \
    {                                                                                                \
        if (!HAVE(cuStreamBeginCaptureToGraph##SZ))                                                  \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        capture_begins();                                                                            \
        return begun(real_cuStreamBeginCaptureToGraph##SZ(stream, graph, after_nodes, edges, count,  \
                                                          mode));                                    \
    }                                                                                                \
    static CUresult our_cuStreamEndCapture##SZ(CUstream stream, CUgraph *graph)                      \
    {                                                                                                \
        if (!HAVE(cuStreamEndCapture##SZ))                                                           \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        /* It ends with most errors, too, but not with those of asking the wrong stream. */          \
        const int was = capture_status(real_cuStreamIsCapturing##SZ, stream);                        \
        CUresult result = real_cuStreamEndCapture##SZ(stream, graph);                                \
        if (was && !capture_status(real_cuStreamIsCapturing##SZ, stream))                            \
            capture_ends();                                                                          \
        return result;                                                                               \
    }                                                                                                \
    WAITS_FIRST(cuMemcpyDtoH_v2##DS, (void *to, CUdeviceptr from, size_t bytes), (to, from, bytes),  \
                PT)

/* A capture that could not be begun is none. */
static CUresult begun(CUresult result)
{
    if (result != CUDA_SUCCESS)
        capture_ends();
    return result;
}

STREAM_WRAPPERS(, , false)
STREAM_WRAPPERS(_ptsz, _ptds, true)
