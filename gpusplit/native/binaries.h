/* Binaries that programs are made from, or give away. */
#ifndef GPUSPLIT_BINARIES_H
#define GPUSPLIT_BINARIES_H

#include <stddef.h>

/* Whoever holds them counts as one use. */
struct binaries {
    _Atomic unsigned uses;
    unsigned n;
    struct binary {
        size_t size;
        void *bytes;
    } each[];
};

/* A copy of n binaries, where there is any; NULL if there is none, or no memory. */
struct binaries *binaries_copy(unsigned n, const size_t *sizes, const unsigned char *const *bytes);
struct binaries *binaries_hold(struct binaries *binaries);
void binaries_drop(struct binaries *binaries);

#endif
