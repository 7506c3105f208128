/* The OpenCL loaders in this process: calls through one that does not know us are not seen. */
#ifndef GPUSPLIT_LOADERS_H
#define GPUSPLIT_LOADERS_H

#include <stdbool.h>

/* A loader put us between the program and the drivers. */
void loader_knows_us(void);

/* Whether every loader did so; false for good once one did not, since what it did then is unknown. */
bool loaders_all_know_us(void);

#endif
