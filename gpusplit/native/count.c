#define _GNU_SOURCE
#include "count.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


/* The file: see page.py. */
struct page {
    char magic[8];
    _Atomic uint64_t word; /* count: 16 bits; milliseconds of CLOCK_MONOTONIC */
};
#define MAGIC "gpuspl01"
#define STALE_AFTER_MS 10000
#define AHEAD_MS 1000
/* Without an agent the file is looked for so often. */
#define LOOK_AFTER_MS 1000

static _Atomic(struct page *) mapped;
static _Atomic int64_t looked = -LOOK_AFTER_MS;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned says(struct page *page, int64_t now)
{
    const uint64_t word = page ? atomic_load_explicit(&page->word, memory_order_relaxed) : 0;
    const int64_t age = now - (int64_t)(word >> 16);
    return age > -AHEAD_MS && age < STALE_AFTER_MS ? word & 0xffff : 0;
}

static struct page *map(const char *path)
{
    struct stat about;
    struct page *page = MAP_FAILED;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return NULL;
    if (!fstat(file, &about) && S_ISREG(about.st_mode) && about.st_size >= (off_t)sizeof *page)
        page = mmap(NULL, sizeof *page, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page == MAP_FAILED)
        return NULL;
    if (!memcmp(page->magic, MAGIC, sizeof page->magic))
        return page;
    munmap(page, sizeof *page);
    return NULL;
}

unsigned count_of_vms(const char *path)
{
    const int64_t now = now_ms();
    struct page *page = atomic_load(&mapped);
    const unsigned count = says(page, now);
    int64_t last = atomic_load(&looked);
    if (count || now < last + LOOK_AFTER_MS || !atomic_compare_exchange_strong(&looked, &last, now))
        return count;
    /* No agent yet, or it is gone and another may have made a new file. */
    const int saved_errno = errno;
    struct page *found = map(path);
    errno = saved_errno;
    if (!found)
        return 0;
    if (says(found, now) && atomic_compare_exchange_strong(&mapped, &page, found))
        return says(found, now); /* the old one stays: another thread may look at it */
    munmap(found, sizeof *found);
    return 0;
}
