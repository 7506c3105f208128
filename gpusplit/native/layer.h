/* What others ask of the doors of the layer. */
#ifndef GPUSPLIT_LAYER_H
#define GPUSPLIT_LAYER_H

#include <stdbool.h>

/* Whether OpenCL's calls come through here, with all that splitting needs. */
bool layer_below(void);

#endif
