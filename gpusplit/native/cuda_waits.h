/* A wait of the driver's, and what is done before and after it. */
#ifndef GPUSPLIT_CUDA_WAITS_H
#define GPUSPLIT_CUDA_WAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "engine.h"
#include "report.h"
#include "work.h"

/* A stream or an event that is asked whether it is over. */
struct asked {
    CUresult (*query)(CUstream);
    CUresult (*query_event)(CUevent);
    CUevent event;
    bool driver_spins; /* when it is its turn to wait */
    CUstream stream;
    const struct work *work; /* the stream's, as long as it has this handle */
    uintptr_t handle;
    const struct feeding *feeding; /* NULL: it does not matter whether it is fed */
};
enum answer ask(void *asked);

struct wait {
    struct moment until;
    struct feeding *feeding;
    bool asked, guessed, spins;
    struct key key;
    uint64_t begin, end;
    struct waited waited;
    struct report report;
};

/* What the driver's call does itself when what is before it is over. */
enum then {
    THEN_NOTHING,
    THEN_COPY,       /* it copies, and waits for that as well */
    THEN_SHORT_COPY, /* which takes some microseconds */
};

/* Sleeps until what the driver is to wait for is about to be over. */
void before_stream(struct wait *w, CUstream stream, bool per_thread, enum then then);

/* The driver's `result`, from which the engine learns.
 * learns: whether the driver's call waited for nothing but what was guessed. */
CUresult after(struct wait *w, CUresult result, bool learns);

#endif
