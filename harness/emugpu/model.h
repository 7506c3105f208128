/* The numbers of one modelled GPU and its driver, and the arithmetic on them. Nothing here knows
 * OpenCL, threads or a clock: every function is a pure function of its arguments.
 *
 * All times are nanoseconds in a double (exact to a nanosecond for 104 days). */
#ifndef EMUGPU_MODEL_H
#define EMUGPU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a host thread waits for the GPU. */
enum wait_mode {
    WAIT_SPIN,      /* burns its CPU until the end, as NVIDIA's driver does */
    WAIT_INTERRUPT, /* sleeps until the end */
    WAIT_POLL,      /* sleeps poll_period_ns, then burns poll_cost_ns looking, and so on */
    WAIT_YIELD,     /* burns its CPU, but lets every other thread of its own machine run first */
    WAIT_TICK,      /* sleeps until the clock's first tick after the end, as timers of 15.6 ms do */
    WAIT_MODES
};

/* Which way a transfer goes; each has its own engine, and an engine does one transfer at a time. */
enum transfer_path { PATH_UPLOAD, PATH_DOWNLOAD, PATH_DEVICE, PATH_COUNT };

struct transfer_cost {
    double latency_ns;
    double ns_per_byte;
};

/* What a profile says of one kernel, by name. Exactly one of the two times is set (not 0). */
struct kernel_cost {
    char name[64];
    double work_item_ns; /* the device's time per work-item when it is full */
    double wave_ns;      /* one full wave, whatever the local size */
    /* The time is to be multiplied with the value of this argument, an int (the length of a loop);
     * -1: with nothing. */
    int times_argument;
};

#define MODEL_MAX_KERNELS 32

struct model {
    char name[96];   /* without "(emulated)": the layer adds it */
    char vendor[96];
    char vendor_queries[8]; /* "amd" or "nvidia": whose device-attribute queries it answers; or "" */
    unsigned vendor_id;
    unsigned compute_units;
    unsigned cores_per_unit;       /* what the maker counts as cores ("480 cores") */
    unsigned wavefront;            /* work-items that run in step */
    unsigned compute_capability[2]; /* NVIDIA only */
    unsigned clock_mhz;
    unsigned max_work_group_size;
    uint64_t global_mem, local_mem; /* bytes */

    unsigned resident_work_groups; /* at most, on one compute unit */
    unsigned resident_work_items;  /* at most, on one compute unit */
    double launch_ns;              /* from a submission to its start on an idle GPU */
    /* Between two kernels of one in-order queue: the GPU's front end works on the next launch. It takes
     * one launch at a time, from whichever queue. Not more than launch_ns, of which it is a part. */
    double gap_ns;
    /* The least share of a full wave's time that a work-group takes, however few are on the GPU. 1: a
     * wave takes its time even if it is almost empty, so time goes in whole waves. Less: a GPU that is
     * filled to `tail` already does all the work it can, and fewer work-groups run faster. */
    double tail;
    /* How long after its last work-group left its slot a launch ends, in waves: some work-groups take
     * longer than others. Other kernels have the slots meanwhile, an in-order queue waits. */
    double straggle;

    struct transfer_cost transfer[PATH_COUNT];

    /* A wait begins as `wait` and goes on as `then` once it has lasted then_after_ns; mostly they are
     * the same. */
    enum wait_mode wait, then;
    double then_after_ns;
    double submit_ns; /* CPU time that each enqueue costs */
    double poll_period_ns, poll_cost_ns;
    double tick_ns;

    double default_work_item_ns;
    int kernels;
    struct kernel_cost kernel[MODEL_MAX_KERNELS];
};

/* One launch as the GPU sees it. */
struct work {
    double groups;  /* work-groups */
    double slots;   /* work-groups of this size that the whole GPU holds at once: a full wave */
    double wave_ns; /* time of a full wave */
};

/* Multiplies every modelled time. */
void model_scale(struct model *m, double factor);

/* The profile's entry for a kernel, or NULL: the default applies. */
const struct kernel_cost *model_kernel(const struct model *m, const char *name);

/* A launch of `groups` work-groups of `local_items` work-items each. `cost` may be NULL; `times` is the
 * value of the argument cost->times_argument, else 1. */
struct work model_work(const struct model *m, const struct kernel_cost *cost, double times,
                       double groups, double local_items);

/* Reads "spin" or "interrupt-then-spin"; false if it names no way of waiting. */
bool model_set_wait(struct model *m, const char *text);
/* Writes it the same way. */
void model_wait_text(const struct model *m, char *text, size_t room);
/* Whether the driver waits so, at first or later. */
bool model_waits_by(const struct model *m, enum wait_mode mode);

/* The GPU's throughput when `fill` (0..1) of its slots are taken, as a share of a full GPU's. */
double model_throughput(const struct model *m, double fill);

double model_transfer_ns(const struct model *m, enum transfer_path path, double bytes);

#endif
