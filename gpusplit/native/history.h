/* What launches took, for the policies that go by it.  It is known of a launch that was waited for alone:
 * from when it could begin until its end was seen. */
#ifndef GPUSPLIT_HISTORY_H
#define GPUSPLIT_HISTORY_H

#include <stddef.h>
#include <stdint.h>

/* Work called `key` (work.h) is a launch of so many work-items, in so many groups, of a kernel. */
void history_launched(uint64_t key, uint64_t kernel, size_t items, size_t groups);

/* Work called `key` took so many seconds; it may be anything. */
void history_took(uint64_t key, double seconds);

/* What launches took is found out anew, by the policies too. */
void history_forget(void);

/* The most seconds that the kernel lately took per work-item; 0: it was never seen. */
double history_seconds_per_item(uint64_t kernel);

#endif
