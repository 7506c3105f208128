/* How a program's calls reach us: it asks dlsym, or the driver, for functions by name, or it is
 * linked with them.  Our library is preloaded, so its dlsym comes first. */
#ifndef GPUSPLIT_REACH_H
#define GPUSPLIT_REACH_H

/* The C library's dlsym. */
void *reach_real(void *handle, const char *name);

/* The same of the driver, as far as it is loaded, to whomever its names are visible; NULL: it is not. */
void *reach_driver(const char *name);

#endif
