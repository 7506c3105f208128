/* What the environment, or Python in the same process (control.h), says of splitting: the names and values
 * of config.py. */
#ifndef GPUSPLIT_OPTIONS_H
#define GPUSPLIT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
    bool sleeps;        /* GPUSPLIT_WAIT, as settings.h has it: a launch goes by one struct alone */
    bool splits;        /* GPUSPLIT_POLICY was given, and can be carried out here */
    enum { POLICY_UNSPLIT, POLICY_FIXED, POLICY_VMS, POLICY_TIME, POLICY_ADAPTIVE } policy;
    unsigned groups;    /* GPUSPLIT_GROUPS: of the policy fixed */
    double alpha;       /* GPUSPLIT_ALPHA: groups per VM, of the policy vms */
    double group_s;     /* GPUSPLIT_GROUP_MS, in seconds: of the policy time */
    double budget;      /* GPUSPLIT_BUDGET: of the policy adaptive */
    bool measures;      /* the policy goes by what launches took */
    unsigned vms;       /* GPUSPLIT_VMS=static:N; 0: the agent of this VM says how many */
    unsigned lanes;     /* GPUSPLIT_QUEUES: queues that slices go to in turn */
    bool more_lanes;    /* small slices go to more of them */
    unsigned in_flight; /* GPUSPLIT_IN_FLIGHT: slices of a queue that are enqueued and not over; 0: lanes.h */
    size_t cores;       /* GPUSPLIT_CORES; 0: the device is asked */
    bool waits;         /* GPUSPLIT_JUDGE=wait: a launch waits for its verdict */
    bool summary;       /* GPUSPLIT_SUMMARY: say at the end what was split */
    const char *count_file; /* GPUSPLIT_COUNT_FILE: where the agent says so; NULL: nobody wants to know */
    const char *python; /* GPUSPLIT_PYTHON: the interpreter that gpusplit is installed for */
    const struct options *before; /* others that held once; somebody may still look at them */
};

#define MOST_LANES 8
/* Slices in flight on each lane: NVIDIA's driver blocks, and spins, with about 340 commands of one queue
 * behind a running kernel. */
#define LANE_IN_FLIGHT 256

/* What makes no sense is told once, and then nothing is split. */
const struct options *options(void);

/* From now on what `given` says holds: "NAME=value" each, NULL at the end.  One thread at a time. */
void options_set(const char *const *given);

/* Whether launches are split in this process, now. */
bool splitting(void);

/* Whether they may be, later: what the program makes is followed then. */
bool may_split(void);

/* Whether what the program made is still followed: everywhere but in a child that was forked of a process
 * that used OpenCL, in which locks may be held by nobody. */
bool followed(void);

/* Splitting ends for the rest of the process, as something happened of which we cannot see what it means.
 * The reason is told, once, where launches were to be split. */
void splitting_ends(const char *reason);
void splitting_ends_in_child(void);

/* Why splitting has ended; NULL: it has not. */
const char *splitting_ended(void);

#endif
