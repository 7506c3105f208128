/* One thread for what launches must not wait for. */
#ifndef GPUSPLIT_BACKGROUND_H
#define GPUSPLIT_BACKGROUND_H

#include <stdbool.h>

struct job {
    void (*work)(struct job *job); /* does it, and frees the job */
    void (*drop)(struct job *job); /* frees it undone */
    struct job *next;
};

/* Has a job done, some time. */
void background_do(struct job *job);

/* To be called once, while the program has one thread as far as OpenCL goes. */
void background_init(void);

#endif
