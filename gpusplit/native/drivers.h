/* OpenCL's drivers, reached without a layer: below loaders that take none, and below programs that open
 * a driver themselves. */
#ifndef GPUSPLIT_DRIVERS_H
#define GPUSPLIT_DRIVERS_H

#include <stdbool.h>

/* Whether drivers are found by a function of that name. */
bool drivers_has(const char *name);

/* What stands for the driver's function `real` of that name, or `real` itself. */
void *drivers_instead(void *real, const char *name);

/* Whether a driver's functions are exchanged: what comes through a layer is answered further down. */
bool drivers_reached(void);

/* Whether that is so for all drivers that the process has asked for platforms. */
bool drivers_all_reached(void);

#endif
