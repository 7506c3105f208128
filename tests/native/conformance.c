/* Prints what a program sees of the CUDA driver's waits, one line a fact: the same for a driver
 * with and without libgpusplit, and for a real driver and the stand-in.
 *
 *     conformance                 the facts
 *     conformance --cost MS N     what N waits of MS milliseconds cost, of each kind, as JSON
 *     conformance --new MS N      the same, each for work that was never there before
 *     conformance --in-turn MS N  waits for N copies after MS milliseconds, and after 20 us, in turn
 *     conformance --as-said MS N  the same; the argument that tells them apart is in a structure
 *     conformance --forks N       N children beside a thread that waits; some drivers dislike it
 *     conformance --contexts N    N contexts that end while threads wait in them and beside them; the stand-in's
 *     conformance --unload N      what waits cost once the driver was opened, used and closed N times
 *     conformance --host          what a program sees that never uses a GPU */
#define _GNU_SOURCE
#include "conformance.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct driver cu, pt;
CUcontext context;
unsigned grid = 1;
static CUfunction spin_kernel, fail_kernel, said_kernel;

static const char ptx[] =
    ".version 7.0\n.target sm_70\n.address_size 64\n"
    ".visible .entry spin(.param .u64 ns) {\n"
    "  .reg .u64 %a, %b, %n;\n  .reg .pred %p;\n"
    "  ld.param.u64 %n, [ns];\n"
    "  mov.u64 %a, %globaltimer;\n"
    "AGAIN:\n"
    "  mov.u64 %b, %globaltimer;\n"
    "  sub.u64 %b, %b, %a;\n"
    "  setp.lt.u64 %p, %b, %n;\n"
    "  @%p bra AGAIN;\n  ret;\n}\n"
    ".visible .entry spin_as_said(.param .align 8 .b8 said[16]) {\n"
    "  .reg .u64 %a, %b, %n;\n  .reg .u32 %m;\n  .reg .pred %p;\n"
    "  ld.param.u32 %m, [said+8];\n  mul.wide.u32 %n, %m, 1000;\n"
    "  mov.u64 %a, %globaltimer;\n"
    "AGAIN:\n"
    "  mov.u64 %b, %globaltimer;\n"
    "  sub.u64 %b, %b, %a;\n"
    "  setp.lt.u64 %p, %b, %n;\n"
    "  @%p bra AGAIN;\n  ret;\n}\n"
    ".visible .entry fail() {\n"
    "  .reg .u64 %a;\n  .reg .u32 %v;\n"
    "  mov.u64 %a, 0;\n  mov.u32 %v, 1;\n  st.global.u32 [%a], %v;\n  ret;\n}\n";

void fact(const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%s: ", name);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout); /* what is known before a crash helps */
    va_end(arguments);
}

void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    printf("%s failed: error %d\n", what, result);
    exit(1);
}

uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void sleep_ns(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    nanosleep(&t, NULL);
}

CUstream new_stream(unsigned flags)
{
    CUstream stream;
    MUST(cu.StreamCreate(&stream, flags));
    return stream;
}

CUresult launch_by(const struct driver *driver, const char *kernel, CUstream stream, uint64_t ns)
{
    void *params[] = { &ns };
    const bool spins = !strcmp(kernel, "spin");
    return driver->LaunchKernel(spins ? spin_kernel : fail_kernel, grid, 1, 1, 1, 1, 1, 0, stream,
                                spins ? params : NULL, NULL);
}

void spin(CUstream stream, uint64_t ns)
{
    MUST(launch_by(&cu, "spin", stream, ns));
}

void spin_as_said(CUstream stream, uint64_t ns)
{
    static unsigned noise;
    struct {
        void *memory;
        uint32_t microseconds;
        float number;
    } said = { stream, (uint32_t)(ns / 1000), 1.0f / (float)++noise };
    void *params[] = { &said };
    MUST(cu.LaunchKernel(said_kernel, grid, 1, 1, 1, 1, 1, 0, stream, params, NULL));
}

void use_device(void)
{
    CUdevice device;
    MUST(cu.Init(0));
    MUST(cu.DeviceGet(&device, 0));
    MUST(cu.DevicePrimaryCtxRetain(&context, device));
    MUST(cu.CtxSetCurrent(context));
    load_kernels();
}

void load_kernels(void)
{
    void *module;
    MUST(cu.ModuleLoadData(&module, ptx));
    MUST(cu.ModuleGetFunction(&spin_kernel, module, "spin"));
    MUST(cu.ModuleGetFunction(&fail_kernel, module, "fail"));
    MUST(cu.ModuleGetFunction(&said_kernel, module, "spin_as_said"));
    spin(NULL, 1000); /* the first is slow */
    MUST(cu.CtxSynchronize());
}

/* How the driver is found. */

typedef CUresult get_fn(const char *, void **, int, unsigned long long, int *);

static void *sym(void *handle, const char *name)
{
    dlerror();
    void *found = dlsym(handle, name);
    const char *error = dlerror();
    if ((found != NULL) != (error == NULL))
        fact("dlsym and dlerror disagree", "%s: %s", name, error ? error : "no error");
    return found;
}

static void before_driver(void)
{
    SAY("no driver: RTLD_DEFAULT has cuInit", sym(RTLD_DEFAULT, "cuInit") != NULL);
    SAY("no driver: RTLD_NEXT has cuInit", sym(RTLD_NEXT, "cuInit") != NULL);
    SAY("RTLD_DEFAULT and RTLD_NEXT agree on getpid",
        sym(RTLD_NEXT, "getpid") == sym(RTLD_DEFAULT, "getpid"));
    SAY("RTLD_DEFAULT has nonesuch", sym(RTLD_DEFAULT, "cuNonesuch") != NULL);
    SAY("RTLD_DEFAULT has this program's own", sym(RTLD_DEFAULT, "conformance_own") != NULL);
    SAY("RTLD_NEXT has this program's own", sym(RTLD_NEXT, "conformance_own") != NULL);
}

__attribute__((visibility("default"), used)) void conformance_own(void)
{
}

static void fill(struct driver *driver, get_fn *get, unsigned long long flags)
{
    int status;
#define FILL(name, parameters) MUST(get("cu" #name, (void **)&driver->name, 12000, flags, &status));
    FUNCTIONS(FILL)
    /* Later versions take other parameters. */
    MUST(get("cuCtxCreate", (void **)&driver->CtxCreate, 3020, flags, &status));
}

static void *open_driver(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    get_fn *get = library ? (get_fn *)sym(library, "cuGetProcAddress_v2") : NULL;
    if (!get) {
        puts("no driver");
        exit(1);
    }
    fill(&cu, get, 0);
    fill(&pt, get, 2);
    return library;
}

/* A wrapper is chosen for what the driver itself has under a name, version and flags. */
static void reach(void *library)
{
    get_fn *get = (get_fn *)sym(library, "cuGetProcAddress_v2");
    void *f = NULL;
    int status = -1;
    SAY("names: dlsym's is cuGetProcAddress's", sym(library, "cuStreamSynchronize") ==
                                                    (void *)cu.StreamSynchronize);
    SAY("names: _ptsz is flag 2", sym(library, "cuStreamSynchronize_ptsz") ==
                                      (void *)pt.StreamSynchronize);
    SAY("names: _ptds is flag 2", sym(library, "cuMemcpyDtoH_v2_ptds") == (void *)pt.MemcpyDtoH);
    SAY("names: _v2 is version 12000", sym(library, "cuEventDestroy_v2") == (void *)cu.EventDestroy);
    SAY("names: flags change cuEventSynchronize", cu.EventSynchronize != pt.EventSynchronize);
    SAY("names: flags change cuLaunchKernel", cu.LaunchKernel != pt.LaunchKernel);
    SAY("names: nonesuch", get("cuNonesuch", &f, 12000, 0, &status) == CUDA_SUCCESS && !f);
    fact("names: nonesuch's status", "%d", status);
    SAY("names: NULL status", get("cuInit", &f, 12000, 0, NULL) || f != (void *)cu.Init);
    MUST(get("cuGetProcAddress", &f, 12000, 0, &status));
    SAY("names: cuGetProcAddress gives itself", f == (void *)get);
    SAY("names: a version before the first", get("cuStreamIsCapturing", &f, 5000, 0, &status) || f);
}

/* Which frees wait, and for what, is each driver's own affair, and must stay so. */
void frees(void)
{
    static char own[4096];
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    static const char *const kinds[] = { "memory", "pinned memory", "the program's own memory", "a module" };
    for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        int running = 0;
        for (int i = 0; i < 3 * OFTEN; i++) {
            CUdeviceptr memory;
            void *pinned, *module;
            MUST(kind == 0   ? cu.MemAlloc(&memory, sizeof own)
                 : kind == 1 ? cu.MemAllocHost(&pinned, sizeof own)
                 : kind == 2 ? cu.MemHostRegister(own, sizeof own, 0)
                             : cu.ModuleLoadData(&module, ptx));
            spin(stream, 8 * MS);
            MUST(kind == 0   ? cu.MemFree(memory)
                 : kind == 1 ? cu.MemFreeHost(pinned)
                 : kind == 2 ? cu.MemHostUnregister(own)
                             : cu.ModuleUnload(module));
            running += cu.StreamQuery(stream) == CUDA_ERROR_NOT_READY;
            MUST(cu.StreamSynchronize(stream));
        }
        fact("frees", "of %s: waited %s", kinds[kind],
             running == 0 ? "always" : "not always");
    }
    MUST(cu.StreamDestroy(stream));
}

/* A context is said to wait as the program had it wait; other flags are the driver's affair. */
static void flags_are_the_programs(void *library)
{
    enum { SCHEDULING = 7, SPIN = 1, YIELD = 2 };
    CUresult (*set)(unsigned) = (CUresult(*)(unsigned))sym(library, "cuCtxSetFlags");
    unsigned flags = 0;
    int active = 0;
    MUST(cu.CtxGetFlags(&flags));
    SAY("flags: the device's context", flags & SCHEDULING);
    MUST(cu.DevicePrimaryCtxGetState(0, &flags, &active));
    SAY("flags: the device's state", flags & SCHEDULING);
    SAY("flags: it is active", active);
    CUcontext other;
    MUST(cu.CtxCreate(&other, YIELD, 0));
    MUST(cu.CtxGetFlags(&flags));
    SAY("flags: a context of the program's own", flags & SCHEDULING);
    if (set) { /* from CUDA 12.1 */
        MUST(set(flags ^ YIELD ^ SPIN));
        MUST(cu.CtxGetFlags(&flags));
        SAY("flags: set anew", flags & SCHEDULING);
    }
    MUST(cu.CtxDestroy(other));
    MUST(cu.CtxSetCurrent(context));
    MUST(cu.CtxGetFlags(&flags));
    SAY("flags: the device's context again", flags & SCHEDULING);
}

/* Whoever forks before he uses CUDA has two processes that can. */
static void fork_before_use(void)
{
    pid_t child = fork();
    if (child == 0) {
        use_device();
        CUstream stream = new_stream(0);
        for (int i = 0; i < OFTEN; i++) {
            spin(stream, 2 * MS);
            MUST(cu.StreamSynchronize(stream));
        }
        exit(42);
    }
    int status = 0;
    waitpid(child, &status, 0);
    SAY("fork: the child's exit status", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Neither may whoever forks afterwards be told anything else than by the driver. */
static void fork_after_use(void)
{
    pid_t child = fork();
    if (child == 0)
        exit(cu.Init(0));
    int status = 0;
    waitpid(child, &status, 0);
    SAY("fork after use: the child's cuInit", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Whoever closes the driver may open it again, wherever it then lies. */
static int unload(int n)
{
    int used = 0;
    for (int i = 0; i < n; i++) {
        void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!library)
            break;
        CUresult (*init)(unsigned) = (CUresult(*)(unsigned))sym(library, "cuInit");
        CUresult (*wait)(void) = (CUresult(*)(void))sym(library, "cuCtxSynchronize");
        used += init(0) == CUDA_SUCCESS && wait() != CUDA_SUCCESS; /* no context */
        dlclose(library);
        for (int page = 0; page < 1000; page++) /* where it was is no place for it again */
            mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    return used;
}

static int entries(const char *folder)
{
    int n = 0;
    DIR *opened = opendir(folder);
    while (opened && readdir(opened))
        n++;
    if (opened)
        closedir(opened);
    return n - 2;
}

static void host(void)
{
    fact("threads", "%d", entries("/proc/self/task"));
    fact("open files", "%d", entries("/proc/self/fd") - 1); /* the folder's own */
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--host")) {
        host();
        return 0;
    }
    if (argc > 3 && (!strcmp(argv[1], "--cost") || !strcmp(argv[1], "--new"))) {
        open_driver();
        use_device();
        cost(strtoull(argv[2], NULL, 10) * MS, atoi(argv[3]), !strcmp(argv[1], "--new"));
        return 0;
    }
    if (argc > 3 && (!strcmp(argv[1], "--in-turn") || !strcmp(argv[1], "--as-said"))) {
        open_driver();
        use_device();
        in_turn(strtoull(argv[2], NULL, 10) * MS, atoi(argv[3]),
                strcmp(argv[1], "--in-turn") ? spin_as_said : spin);
        return 0;
    }
    if (argc > 3 && !strcmp(argv[1], "--on-and-on")) {
        open_driver();
        use_device();
        on_and_on(strtoull(argv[2], NULL, 10) * MS, atoi(argv[3]));
    }
    if (argc > 2 && !strcmp(argv[1], "--forks")) {
        open_driver();
        use_device();
        forks_beside_waits(atoi(argv[2]));
        return 0;
    }
    if (argc > 2 && !strcmp(argv[1], "--contexts")) {
        open_driver();
        use_device();
        contexts_end_beside_waits(atoi(argv[2]));
        return 0;
    }
    if (argc > 2 && !strcmp(argv[1], "--unload")) {
        if (unload(atoi(argv[2])) != atoi(argv[2]))
            return 1;
        open_driver();
        use_device();
        cost(5 * MS, 20, false);
        return 0;
    }
    before_driver();
    void *library = open_driver();
    reach(library);
    fork_before_use();
    use_device();
    flags_are_the_programs(library);
    waits();
    frees();
    threads();
    captures();
    lifetimes();
    fork_after_use();
    errors(); /* last: nothing works after it */
    return 0;
}
