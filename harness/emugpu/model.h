/* The numbers of one modelled GPU and its driver, and the arithmetic on them. Nothing here knows
 * OpenCL, threads or a clock: every function is a pure function of its arguments.
 *
 * All times are nanoseconds in a double (exact to a nanosecond for 104 days). */
#ifndef EMUGPU_MODEL_H
#define EMUGPU_MODEL_H

#include <stddef.h>
#include <stdint.h>

/* How a host thread waits for the GPU. */
enum wait_mode {
    WAIT_SPIN,      /* burns its CPU until the end, as NVIDIA's driver does */
    WAIT_INTERRUPT, /* sleeps until the end */
    WAIT_POLL,      /* sleeps poll_period_ns, then burns poll_cost_ns looking, and so on */
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
    double gap_ns;                 /* between two kernels of one in-order queue */
    /* What share of a full wave's time an almost empty wave takes. 1: a wave takes its time
     * however few work-groups are in it (time goes in whole waves). 0: work-groups alone on the
     * GPU run as much faster as there are fewer of them. */
    double tail;
    /* How much longer than the mean, in waves, a launch's last work-groups take. The GPU is free for
     * other kernels meanwhile. */
    double straggle;

    struct transfer_cost transfer[PATH_COUNT];

    enum wait_mode wait;
    double submit_ns; /* CPU time that each enqueue costs */
    double poll_period_ns, poll_cost_ns;

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

/* A launch of `groups` work-groups of `local_items` work-items each, of the kernel of that name. */
struct work model_work(const struct model *m, const char *kernel, double groups, double local_items);

/* How much slower than on a full GPU a work-group's own progress makes the whole GPU: the time one
 * wave takes when only `fill` (0..1] of the GPU's slots are taken, as a share of a full wave's. */
double model_wave_share(const struct model *m, double fill);

/* From the start to the end of a launch that has the GPU to itself. */
double model_alone_ns(const struct model *m, struct work w);

double model_transfer_ns(const struct model *m, enum transfer_path path, double bytes);

#endif
