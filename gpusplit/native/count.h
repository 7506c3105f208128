/* The number of running VMs, as this VM's agent keeps it in a file that all may read (page.py). */
#ifndef GPUSPLIT_COUNT_H
#define GPUSPLIT_COUNT_H

/* Running VMs, this one included; 0: unknown, as no agent says so, or none has for 10 s.  No call of the
 * system's, but once a second where there is no agent. */
unsigned count_of_vms(const char *path);

#endif
