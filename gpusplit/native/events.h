/* One event that stands for all slices of a launch: a barrier of the program's queue, which answers as
 * the launch would have. */
#ifndef GPUSPLIT_EVENTS_H
#define GPUSPLIT_EVENTS_H

#include <stdbool.h>

#include "objects.h"
#include "opencl.h"

struct stand;

/* Lets `event`, which the program is given, answer for a launch; NULL without memory, else to be dropped
 * once both ends of the launch are told. */
struct stand *event_stands(handle event);

/* The slices that it begins with, or ends with, and which were sent; it begins with none where all are sent
 * when the call is back. */
void stand_begins(struct stand *stand, const handle *slices, unsigned n);
void stand_ends(struct stand *stand, const handle *slices, unsigned n);

/* Whether the program has events call it back: from a thread of the driver's it may enqueue. */
bool events_call_back(void);

/* Whether the program has events of its own that it has not set yet: what waits for one may wait for what
 * the program does next. */
bool events_unset(void);

/* The program is about to release an event. */
void event_released(handle event);

#endif
