/* The stand-in's devices: contexts, streams, events and captures, on a clock instead of a GPU.
 *
 * A command's length is known when it is given, so that its end is, too: nothing has to run, and a
 * stream is the time at which it is done.  Whoever waits looks at the clock. */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"

enum {
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_ILLEGAL_STATE = 401,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,
    CUDA_ERROR_STREAM_CAPTURE_IMPLICIT = 906,
    CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD = 908,
};

enum capture { CAPTURE_NONE, CAPTURE_ACTIVE, CAPTURE_INVALIDATED };
enum mode { MODE_GLOBAL, MODE_THREAD_LOCAL, MODE_RELAXED };

/* Some work: what a command, a capture or a graph is. */
struct load {
    uint64_t ns;
    bool fails; /* an error that stays */
};

struct CUstream_st {
    bool live, legacy, blocking;
    const void *thread; /* whose default stream it is, or NULL */
    CUcontext context;
    uint64_t end;
    enum capture capture;
    enum mode mode;
    const void *capturer;
    unsigned capture_number;
    struct load captured;
};

struct CUctx_st {
    bool live;
    unsigned flags;
    uint64_t fails_at; /* 0: never */
    struct CUstream_st default_stream;
};

struct CUevent_st {
    bool live;
    unsigned flags;
    CUcontext context;
    uint64_t end;
    CUstream captured_in; /* NULL: not captured */
    unsigned capture_number;
};

struct CUgraph_st {
    struct load load;
};

/* All below are called with the lock held. */
void standin_lock(void);
void standin_unlock(void);

uint64_t standin_now(void);
extern _Thread_local CUcontext standin_current;
extern _Thread_local enum mode standin_mode;
const void *standin_me(void);

/* New ones take the place of what was destroyed last, so that handles are used again. */
CUcontext standin_new_context(unsigned flags);
CUstream standin_new_stream(bool blocking, const void *thread);
CUevent standin_new_event(unsigned flags);
void standin_end_context(CUcontext context);

/* What a handle means; ends the program for one that is none (or no more), as crashing would. */
CUstream standin_stream(CUstream handle, bool per_thread);
CUevent standin_event(CUevent handle);

/* The error that is to stay, or success. */
CUresult standin_state(CUcontext context);

/* Gives a stream some work, or its capture. */
CUresult standin_give(CUstream stream, struct load load);

/* When all that a stream (a context) has now will be over. */
uint64_t standin_end(CUstream stream);
uint64_t standin_context_end(CUcontext context);

/* Whether captures allow to ask a stream, an event, a context; to use the default stream; to do
 * what is not safe in a capture.  Who asks without being allowed ends captures. */
CUresult standin_may_ask(CUstream stream);
CUresult standin_may_ask_event(CUevent event);
CUresult standin_may_ask_context(CUcontext context);
CUresult standin_may_use(CUstream stream);
CUresult standin_unsafe(void);

/* Whether a blocking stream of the context captures. */
bool standin_blocking_capture(CUcontext context);

/* Waits until `end` as a driver does, the lock let go meanwhile. */
CUresult standin_wait(CUcontext context, uint64_t end, bool sleeps);

#endif
