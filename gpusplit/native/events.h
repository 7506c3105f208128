/* One event that stands for all slices of a launch: a barrier of the program's queue, which answers as
 * the launch would have. */
#ifndef GPUSPLIT_EVENTS_H
#define GPUSPLIT_EVENTS_H

#include "opencl.h"

/* Lets `event`, which the program is given, answer for slices that begin with `first` and end with
 * `last`. */
void event_stands(handle event, const handle *first, unsigned n_first, const handle *last, unsigned n_last);

/* The program is about to release an event. */
void event_released(handle event);

#endif
