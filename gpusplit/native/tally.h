/* What became of launches, told at the end to those who asked for a summary. */
#ifndef GPUSPLIT_TALLY_H
#define GPUSPLIT_TALLY_H

/* A launch of `kernel` in so many slices; 1: whole, for that reason. */
void tally(const char *kernel, unsigned slices, const char *reason);

#endif
