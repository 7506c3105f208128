#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "standin.h"

#define CONTEXTS 16
#define STREAMS 256
#define EVENTS 1024
/* How long after its time one comes back who let the driver put him to sleep. */
#define SLEEPER_LATE_NS 100000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct CUctx_st contexts[CONTEXTS];
static struct CUstream_st streams[STREAMS];
static struct CUevent_st events[EVENTS];

_Thread_local CUcontext standin_current;
_Thread_local enum mode standin_mode;
static _Thread_local char me;

/* A child of a process that uses the driver is told so, and does not hang. */
__attribute__((constructor)) static void forks(void)
{
    pthread_atfork(standin_lock, standin_unlock, standin_unlock);
}

void standin_lock(void)
{
    pthread_mutex_lock(&mutex);
}

void standin_unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

const void *standin_me(void)
{
    return &me;
}

uint64_t standin_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A driver may crash then; this says why. */
__attribute__((noreturn)) static void misused(const char *what)
{
    fprintf(stderr, "stand-in: %s\n", what);
    abort();
}

CUcontext standin_new_context(unsigned flags)
{
    for (CUcontext c = contexts; c < contexts + CONTEXTS; c++)
        if (!c->live) {
            *c = (struct CUctx_st){ .live = true, .flags = flags };
            c->default_stream =
                (struct CUstream_st){ .live = true, .legacy = true, .blocking = true, .context = c };
            return c;
        }
    return NULL;
}

CUstream standin_new_stream(bool blocking, const void *thread)
{
    for (CUstream s = streams; s < streams + STREAMS; s++)
        if (!s->live) {
            *s = (struct CUstream_st){
                .live = true, .blocking = blocking, .thread = thread, .context = standin_current
            };
            return s;
        }
    return NULL;
}

CUevent standin_new_event(unsigned flags)
{
    for (CUevent e = events; e < events + EVENTS; e++)
        if (!e->live) {
            *e = (struct CUevent_st){ .live = true, .flags = flags, .context = standin_current };
            return e;
        }
    return NULL;
}

void standin_end_context(CUcontext context)
{
    for (CUstream s = streams; s < streams + STREAMS; s++)
        s->live = s->live && s->context != context;
    for (CUevent e = events; e < events + EVENTS; e++)
        e->live = e->live && e->context != context;
    context->live = false;
}

CUstream standin_stream(CUstream handle, bool per_thread)
{
    if ((uintptr_t)handle > (uintptr_t)STREAM_PER_THREAD) {
        if (handle < streams || handle >= streams + STREAMS || !handle->live)
            misused("a stream that is none, or was destroyed");
        return handle;
    }
    if (!standin_current || !standin_current->live)
        misused("a default stream without a context");
    if (handle != STREAM_PER_THREAD && (handle || !per_thread))
        return &standin_current->default_stream;
    for (CUstream s = streams; s < streams + STREAMS; s++)
        if (s->live && s->thread == &me && s->context == standin_current)
            return s;
    return standin_new_stream(true, &me);
}

CUevent standin_event(CUevent handle)
{
    if (handle < events || handle >= events + EVENTS || !handle->live)
        misused("an event that is none, or was destroyed");
    return handle;
}

CUresult standin_state(CUcontext context)
{
    return context->fails_at && context->fails_at <= standin_now() ? CUDA_ERROR_ILLEGAL_ADDRESS
                                                                  : CUDA_SUCCESS;
}

/* The default stream and the blocking ones of its context wait for each other. */
uint64_t standin_end(CUstream stream)
{
    uint64_t end = stream->end;
    if (stream->legacy)
        for (CUstream s = streams; s < streams + STREAMS; s++)
            if (s->live && s->blocking && s->context == stream->context)
                end = later(end, s->end);
    return end;
}

uint64_t standin_context_end(CUcontext context)
{
    uint64_t end = context->default_stream.end;
    for (CUstream s = streams; s < streams + STREAMS; s++)
        if (s->live && s->context == context)
            end = later(end, s->end);
    return end;
}

CUresult standin_give(CUstream stream, struct load load)
{
    CUresult result = standin_may_use(stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (stream->capture) {
        stream->captured.ns += load.ns;
        stream->captured.fails |= load.fails;
        return CUDA_SUCCESS;
    }
    CUcontext context = stream->context;
    uint64_t begin = later(standin_now(), standin_end(stream));
    if (stream->blocking)
        begin = later(begin, context->default_stream.end);
    stream->end = begin + load.ns;
    if (load.fails && (!context->fails_at || context->fails_at > stream->end))
        context->fails_at = stream->end;
    return CUDA_SUCCESS;
}

/* The default stream is not for use while a stream that waits for it captures. */
static CUresult implicit(CUstream stream)
{
    CUresult result = CUDA_SUCCESS;
    for (CUstream s = streams; stream->legacy && s < streams + STREAMS; s++)
        if (s->live && s->blocking && s->capture && s->context == stream->context) {
            s->capture = CAPTURE_INVALIDATED;
            result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
        }
    return result;
}

bool standin_blocking_capture(CUcontext context)
{
    for (CUstream s = streams; s < streams + STREAMS; s++)
        if (s->live && s->blocking && s->capture && s->context == context)
            return true;
    return false;
}

CUresult standin_may_use(CUstream stream)
{
    if (stream->capture == CAPTURE_INVALIDATED)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    CUresult result = implicit(stream);
    return result != CUDA_SUCCESS ? result : standin_state(stream->context);
}

/* As cuThreadExchangeStreamCaptureMode's documentation has it. */
CUresult standin_unsafe(void)
{
    CUresult result = CUDA_SUCCESS;
    for (CUstream s = streams; s < streams + STREAMS; s++) {
        if (!s->live || s->capture != CAPTURE_ACTIVE)
            continue;
        const bool minds = s->capturer == &me ? s->mode != MODE_RELAXED && standin_mode != MODE_RELAXED
                                              : s->mode == MODE_GLOBAL && standin_mode == MODE_GLOBAL;
        if (minds) {
            s->capture = CAPTURE_INVALIDATED;
            result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    }
    return result;
}

CUresult standin_may_ask(CUstream stream)
{
    if (stream->capture) {
        CUresult result = stream->capture == CAPTURE_ACTIVE ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
                                                            : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        stream->capture = CAPTURE_INVALIDATED;
        return result;
    }
    CUresult result = implicit(stream);
    return result != CUDA_SUCCESS ? result : standin_unsafe();
}

CUresult standin_may_ask_event(CUevent event)
{
    CUstream s = event->captured_in;
    if (s && s->live && s->capture && s->capture_number == event->capture_number) {
        s->capture = CAPTURE_INVALIDATED;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return standin_unsafe();
}

CUresult standin_may_ask_context(CUcontext context)
{
    CUresult result = CUDA_SUCCESS;
    for (CUstream s = streams; s < streams + STREAMS; s++)
        if (s->live && s->capture && s->context == context) {
            s->capture = CAPTURE_INVALIDATED;
            result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    return result != CUDA_SUCCESS ? result : standin_unsafe();
}

CUresult standin_wait(CUcontext context, uint64_t end, bool sleeps)
{
    standin_unlock();
    if (sleeps && standin_now() < end) {
        end += SLEEPER_LATE_NS;
        struct timespec t = { (time_t)(end / 1000000000u), (long)(end % 1000000000u) };
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
            ;
    }
    while (standin_now() < end)
        ;
    standin_lock();
    return standin_state(context);
}
