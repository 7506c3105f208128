/* Starting asked.py so that the program cannot tell: no SIGCHLD, no child that its wait() would find,
 * no file of its left open, no handler of fork's run. */
#ifndef GPUSPLIT_SPAWN_H
#define GPUSPLIT_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

/* A socket to the new process's standard input and output; -1 if there is none. */
int spawn_asked(const char *python);

/* Writes to it; a process that has ended is an error, and no signal. */
ssize_t spawn_write(int fd, const void *data, size_t size);

/* Remembers the environment, while nobody changes it. */
void spawn_remember(void);

#endif
