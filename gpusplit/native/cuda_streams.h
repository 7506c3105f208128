/* CUDA's streams: which one a handle means, what is given to it, and whether one captures.
 * per_thread says whether stream 0 is the thread's own. */
#ifndef GPUSPLIT_CUDA_STREAMS_H
#define GPUSPLIT_CUDA_STREAMS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "work.h"

/* Captures.  Asking a stream while one is open can end it, so that nobody asks then; and none is
 * opened, and no stream destroyed, between looking and asking. */
extern pthread_rwlock_t capture_lock;
extern atomic_int captures;

void capture_begins(void);
void capture_ends(void);
void capture_after_fork(void);

/* How a stream captures, as `is` says of it; 0: it does not. */
typedef CUresult is_capturing_fn(CUstream, int *);
int capture_status(is_capturing_fn *is, CUstream stream);

/* Whether a stream captures, begun in whatever way: then it is not for us to ask it anything. */
bool capturing(CUstream stream, bool per_thread);

/* Between the two calls this thread's questions are none that a capture elsewhere could mind, and
 * neither is the driver's wait, which the program asked for before that capture began. */
void relaxed(bool begin);

/* The handles of streams that have no name of their own; others are multiples of 4. */
#define PER_THREAD_BIT 2u
#define LEGACY_BIT 1u

/* 0: there is none. */
uintptr_t current_context(void);

/* What is known of a stream; NULL where nothing can be. */
struct work *work_on(CUstream stream, bool per_thread);

/* What a stream has been given until now, without work where waits are the driver's. */
struct moment now_on(CUstream stream, bool per_thread);

/* Notes a command, and the arguments that it has, as work_given does. */
void given(CUstream stream, bool per_thread, uint64_t key, uint64_t arguments);

/* Whoever waits for a whole context is fed by whatever anyone gives to any stream. */
extern struct feeding contexts;

#endif
