/* What Python in the same process says to the library and hears of it (library.py).
 *
 * It is loaded by its path, as OpenCL's loader does for the layer, and so is the same one.  No function here
 * waits, but gpusplit_heard where it is told to.  All may be called by any thread. */
#ifndef GPUSPLIT_CONTROL_H
#define GPUSPLIT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPUSPLIT_EXPORT __attribute__((visibility("default")))

/* Options from now on, each "GPUSPLIT_NAME=value" as the environment would have it; those not named have
 * their defaults (but GPUSPLIT_REPORT and GPUSPLIT_SPIN_US, which stay); NULL ends the list.  What was learnt of launches is forgotten, and what the program
 * makes from now on may be split. */
GPUSPLIT_EXPORT void gpusplit_set(const char *const *options);

/* Why no launch is split any more in this process, whatever is set; NULL: they are, or may be. */
GPUSPLIT_EXPORT const char *gpusplit_ended(void);

/* Whether OpenCL's calls come through the library in this process, with all that splitting needs. */
GPUSPLIT_EXPORT bool gpusplit_below(void);

/* One launch, and what became of it. */
struct gpusplit_launched {
    uint64_t global[3];  /* work-items */
    uint32_t dimensions; /* 0: its sizes are not understood */
    uint32_t groups;     /* slices; 1: it stayed whole */
    uint32_t wanted;     /* groups that the policy asked for */
    int32_t vm_count;    /* running VMs; -1: unknown, or nobody asked */
    char kernel[256], reason[256]; /* cut short where longer */
};

/* Launches are recorded between true and false; such pairs may overlap. */
GPUSPLIT_EXPORT void gpusplit_record(bool on);

/* Takes the oldest record that was not taken yet; false: there is none. */
GPUSPLIT_EXPORT bool gpusplit_recorded(struct gpusplit_launched *launch);

/* From the first call on what the library has to say comes here and not on standard error (but in a child
 * after fork).  Takes the oldest message, kind: see tell.h; false: there is none.  wait: waits until there is
 * one, and takes none. */
GPUSPLIT_EXPORT bool gpusplit_heard(char *kind, char *text, size_t size, bool wait);

#endif
