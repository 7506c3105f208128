/* What launches took, for the policies that go by it.  It is known of a launch that was waited for alone:
 * from when it could begin until its end was seen.  Of launches that were waited for together each is taken
 * to have its share, by work-items: what splitting costs is then bounded for all of them, whichever is the
 * long one. */
#ifndef GPUSPLIT_HISTORY_H
#define GPUSPLIT_HISTORY_H

#include <stddef.h>
#include <stdint.h>

/* Work called `key` (work.h) is a launch of so many work-items, in so many groups, of a kernel; together:
 * the name of what is waited for with it. */
void history_launched(uint64_t key, uint64_t kernel, size_t items, size_t groups, uint64_t together);

/* Work called `key` took so many seconds; it may be anything. */
void history_took(uint64_t key, double seconds);

/* Launches waited for together had so many work-items, and took so many seconds at most. */
void history_took_together(uint64_t together, uint64_t items, double seconds);

/* What launches took is found out anew, by the policies too. */
void history_forget(void);

/* The most seconds that the kernel lately took per work-item; 0: it was never seen. */
double history_seconds_per_item(uint64_t kernel);

/* Its share of what it was last waited for with, of a new kernel that of others; 0: nothing is known. */
double history_share_per_item(uint64_t kernel);

#endif
