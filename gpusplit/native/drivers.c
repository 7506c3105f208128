#define _GNU_SOURCE
#include "drivers.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opencl.h"
#include "options.h"
#include "settings.h"

/* Whoever calls a driver asks it by name for its platforms, and then follows the table of functions that
 * each object of OpenCL begins with (OpenCL extension cl_khr_icd).  The driver's objects share a table: in
 * it the functions of queues, programs, kernels and events are exchanged, by a stub each, as soon as a
 * platform is handed out.  The first call of a stub decides: if a loader has made us a layer by then,
 * the table becomes what it was; if not, it gets the functions that a loader would have got of us. */

/* The table's length in OpenCL 2.1, by which all is there that is answered here. */
#define PLACES 144
/* A number that the stubs below know as well. */
#define DRIVERS 6

typedef void *address_fn(const char *name);
typedef cl_int platforms_fn(cl_uint n, handle *platforms, cl_uint *count);

static struct driver {
    void *object; /* by where it is loaded; NULL: none */
    address_fn *address;
    platforms_fn *platforms;
    void **table; /* NULL: not exchanged */
    cl_uint known;
    void *real[PLACES];
} drivers[DRIVERS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The driver whose functions are answered here; another one's stay its own. */
static _Atomic(struct driver *) chosen;
static void *const *answers;
static atomic_bool settled;

cl_int clInitLayer(cl_uint count, void *const *target, cl_uint *count_ret, void *const **ours);

bool drivers_reached(void)
{
    return atomic_load(&chosen) != NULL;
}

bool drivers_all_reached(void)
{
    unsigned asked = 0;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < DRIVERS; i++)
        asked += drivers[i].platforms != NULL;
    pthread_mutex_unlock(&lock);
    return drivers_reached() && asked == 1;
}

/* Loaders ask for these while they begin, when nobody knows yet whether we become a layer. */
#define GET_PLATFORM_INFO 1
#define GET_DEVICE_INFO 3
#define GET_ADDRESS 65
#define GET_PLATFORMS_ADDRESS 107

static const unsigned char places[] = {
#define PLACE(name, place, ...) place,
    FUNCTIONS(PLACE) COMMANDS(PLACE)
};

/* Writes `functions` to where they stand in a driver's table, which may be in memory that was made
 * read-only when the driver was loaded; false: it cannot be written to. */
static bool put(struct driver *driver, void *const *functions)
{
    const uintptr_t from = (uintptr_t)driver->table;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = from & ~(page - 1);
    const size_t length = (uintptr_t)(driver->table + driver->known) - start;
    unsigned long begin, end;
    char mode[5] = "";
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    for (int c = 0; maps && !found && fscanf(maps, "%lx-%lx %4s", &begin, &end, mode) == 3;) {
        found = begin <= from && start + length <= end;
        while ((c = fgetc(maps)) != '\n' && c != EOF)
            ;
    }
    if (maps)
        fclose(maps);
    const bool closed = mode[1] != 'w';
    if (!found || mode[0] != 'r' || mode[3] != 'p' ||
        (closed && mprotect((void *)start, length, PROT_READ | PROT_WRITE)))
        return false;
    for (unsigned i = 0; i < sizeof places; i++) {
        const unsigned place = places[i];
        if (place < driver->known && place != GET_PLATFORM_INFO && place != GET_DEVICE_INFO &&
            driver->table[place] != functions[place])
            __atomic_store_n(&driver->table[place], functions[place], __ATOMIC_RELEASE);
    }
    return !closed || !mprotect((void *)start, length, PROT_READ);
}

/* The stubs of all drivers, one after the other; each jumps to what `drivers_choose` says. */
#define STUB_BYTES 16
__attribute__((visibility("hidden"))) extern const char drivers_stubs[DRIVERS * PLACES][STUB_BYTES];

/* How many functions a driver's table has for sure; 0: too few. */
static cl_uint length_of(handle platform, void *const *table)
{
    cl_int (*info)(handle, ANSWER) = (cl_int(*)(handle, ANSWER))table[GET_PLATFORM_INFO];
    char version[128] = "";
    unsigned major, minor;
    if (!info || info(platform, CL_PLATFORM_VERSION, sizeof version, version, NULL) != CL_SUCCESS ||
        sscanf(version, "OpenCL %u.%u", &major, &minor) != 2)
        return 0;
    const unsigned number = major * 10 + minor;
    return number >= 21 ? PLACES : number >= 20 ? 136 : number >= 12 ? 108 : 0;
}

/* A driver has handed out a platform. */
static void exchange(struct driver *driver, handle platform)
{
    void **table = *(void ***)platform;
    void *stubs[PLACES];
    Dl_info info;
    const struct settings *s = settings();
    if (!(s->sleeps || s->report || s->timeline || may_split()) || !table)
        return;
    const cl_uint known = length_of(platform, table);
    pthread_mutex_lock(&lock);
    bool ready = known && !driver->table && !settled;
    for (unsigned i = 0; i < DRIVERS; i++)
        ready = ready && drivers[i].table != table;
    if (ready) {
        driver->known = known;
        memcpy(driver->real, table, driver->known * sizeof *table);
        for (unsigned i = 0; i < driver->known; i++)
            stubs[i] = table[i] ? (void *)drivers_stubs[(driver - drivers) * PLACES + i] : NULL;
        driver->table = table;
        /* The driver stays: nobody but us knows what its table was. */
        if (!dladdr((void *)driver->platforms, &info) ||
            !dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) || !put(driver, stubs))
            driver->table = NULL;
    }
    pthread_mutex_unlock(&lock);
}

/* The program begins to use `driver`. */
static void settle(struct driver *driver)
{
    const int saved_errno = errno;
    cl_uint known;
    pthread_mutex_lock(&lock);
    if (!atomic_load(&settled)) {
        const bool layered = next_clFinish != NULL;
        if (!layered && clInitLayer(driver->known, driver->real, &known, &answers) == CL_SUCCESS)
            atomic_store(&chosen, driver);
        for (unsigned i = 0; i < DRIVERS; i++)
            if (drivers[i].table)
                put(&drivers[i], &drivers[i] == chosen ? answers : drivers[i].real);
        atomic_store(&settled, true);
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

/* Who answers the call that comes to a stub. */
__attribute__((visibility("hidden"), used)) void *drivers_choose(unsigned stub)
{
    struct driver *driver = &drivers[stub / PLACES];
    const unsigned place = stub % PLACES;
    if (!atomic_load(&settled) && place != GET_ADDRESS && place != GET_PLATFORMS_ADDRESS)
        settle(driver);
    return atomic_load(&chosen) == driver ? answers[place] : driver->real[place];
}

/* The arguments stay where they are: those in registers are put aside while we choose. */
#if defined __x86_64__
__asm__(".text\n.balign 16\n.hidden drivers_stubs\n.globl drivers_stubs\ndrivers_stubs:\n"
        "  .set .Lstub, 0\n"
        "  .rept 6 * 144\n"
        "  endbr64\n  mov $.Lstub, %eax\n  jmp .Lchoose\n  .balign 16\n"
        "  .set .Lstub, .Lstub + 1\n"
        "  .endr\n"
        ".Lchoose:\n"
        "  .cfi_startproc\n"
        "  push %rdi\n  push %rsi\n  push %rdx\n  push %rcx\n  push %r8\n  push %r9\n  sub $8, %rsp\n"
        "  .cfi_adjust_cfa_offset 56\n"
        "  mov %eax, %edi\n"
        "  call drivers_choose\n"
        "  add $8, %rsp\n  pop %r9\n  pop %r8\n  pop %rcx\n  pop %rdx\n  pop %rsi\n  pop %rdi\n"
        "  .cfi_adjust_cfa_offset -56\n"
        "  jmp *%rax\n"
        "  .cfi_endproc\n");
#else
__asm__(".text\n.balign 16\n.hidden drivers_stubs\n.globl drivers_stubs\ndrivers_stubs:\n"
        "  .set .Lstub, 0\n"
        "  .rept 6 * 144\n"
        "  mov w16, #.Lstub\n  b .Lchoose\n  .balign 16\n"
        "  .set .Lstub, .Lstub + 1\n"
        "  .endr\n"
        ".Lchoose:\n"
        "  .cfi_startproc\n"
        "  stp x29, x30, [sp, #-80]!\n  .cfi_def_cfa_offset 80\n"
        "  .cfi_offset 29, -80\n  .cfi_offset 30, -72\n"
        "  stp x0, x1, [sp, #16]\n  stp x2, x3, [sp, #32]\n"
        "  stp x4, x5, [sp, #48]\n  stp x6, x7, [sp, #64]\n"
        "  mov w0, w16\n"
        "  bl drivers_choose\n"
        "  mov x16, x0\n"
        "  ldp x0, x1, [sp, #16]\n  ldp x2, x3, [sp, #32]\n"
        "  ldp x4, x5, [sp, #48]\n  ldp x6, x7, [sp, #64]\n"
        "  ldp x29, x30, [sp], #80\n  .cfi_restore 29\n  .cfi_restore 30\n  .cfi_def_cfa_offset 0\n"
        "  br x16\n"
        "  .cfi_endproc\n");
#endif
_Static_assert(DRIVERS == 6 && PLACES == 144, "the stubs are as many");

/* By which drivers hand out their platforms. */

#define BY_ADDRESS "clGetExtensionFunctionAddress"
#define PLATFORMS "clIcdGetPlatformIDsKHR"

bool drivers_has(const char *name)
{
    return !strcmp(name, BY_ADDRESS) || !strcmp(name, PLATFORMS);
}

static cl_int platforms_of(struct driver *driver, cl_uint n, handle *platforms, cl_uint *count)
{
    const cl_int result = driver->platforms(n, platforms, count);
    if (result == CL_SUCCESS && platforms && n)
        exchange(driver, platforms[0]);
    return result;
}

static void *address_of(struct driver *driver, const char *name)
{
    void *found = driver->address(name);
    return found && name && !strcmp(name, PLATFORMS) ? drivers_instead(found, name) : found;
}

/* A function of each driver's own, since their callers name no driver. */
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define OF_ONE(i)                                                                                    \
    static cl_int platforms_##i(cl_uint n, handle *platforms, cl_uint *count)                        \
    {                                                                                                \
        return platforms_of(&drivers[i], n, platforms, count);                                       \
    }                                                                                                \
    static void *address_##i(const char *name)                                                       \
    {                                                                                                \
        return address_of(&drivers[i], name);                                                        \
    }
EACH(OF_ONE)
#define PLATFORMS_OF(i) platforms_##i,
#define ADDRESS_OF(i) address_##i,
static platforms_fn *const our_platforms[DRIVERS] = { EACH(PLATFORMS_OF) };
static address_fn *const our_addresses[DRIVERS] = { EACH(ADDRESS_OF) };

void *drivers_instead(void *real, const char *name)
{
    const bool asks = !strcmp(name, BY_ADDRESS);
    Dl_info info;
    void *ours = real;
    if (!dladdr(real, &info) || !info.dli_fbase)
        return real;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < DRIVERS; i++) {
        struct driver *driver = &drivers[i];
        if (driver->object && driver->object != info.dli_fbase)
            continue;
        driver->object = info.dli_fbase;
        if (asks)
            driver->address = (address_fn *)real;
        else
            driver->platforms = (platforms_fn *)real;
        ours = asks ? (void *)our_addresses[i] : (void *)our_platforms[i];
        break;
    }
    pthread_mutex_unlock(&lock);
    return ours;
}
