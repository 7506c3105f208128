/* A program that opens the stand-in for OpenCL's drivers and calls it by its table: prints JSON of what
 * its waits cost, and whether a call with many arguments came through whole. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "opencl.h"

#define CALL(object, place, ...) ((cl_int(*)(__VA_ARGS__))(*(void ***)(object))[place])

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int many_arguments(handle queue)
{
    /* What stands in registers, and what on the stack; none is what is blocked for. */
    handle list[1];
    handle event = NULL;
    size_t origin[3], to_origin[3], region[3];
    uintptr_t seen[12] = { 0 };
    const uintptr_t wanted[] = { 11, 0, (uintptr_t)origin, (uintptr_t)to_origin, (uintptr_t)region, 16,
                                 17, 18, 19, 0, (uintptr_t)list, (uintptr_t)&event };
    CALL(queue, 86, handle, handle, cl_uint, const size_t *, const size_t *, const size_t *, size_t, size_t,
         size_t, size_t, void *, WAIT_LIST)
    (queue, (handle)11, 0, origin, to_origin, region, 16, 17, 18, 19, seen, 0, list, &event);
    return !memcmp(seen, wanted, sizeof wanted);
}

int main(int argc, char **argv)
{
    void *driver = dlopen("libstandin_opencl.so", RTLD_NOW);
    void *(*address)(const char *) = NULL;
    cl_int (*get)(cl_uint, handle *, cl_uint *) = NULL;
    struct {
        void *table;
        uint64_t end;
        void *queue;
    } *platform, queue;
    if (driver)
        *(void **)&address = dlsym(driver, "clGetExtensionFunctionAddress");
    if (address)
        *(void **)&get = address("clIcdGetPlatformIDsKHR");
    if (!get || get(1, (handle *)&platform, NULL) || argc < 2)
        return 1;
    queue = *platform; /* there are no contexts and devices */
    const size_t us = strtoul(argv[1], NULL, 10);
    double used[2];
    errno = 77;
    const int arguments = many_arguments(&queue), kept = errno == 77;
    for (int by_event = 0; by_event < 2; by_event++) {
        double before = 0;
        for (int i = 0; i < 12; i++) {
            if (i == 4)
                before = cpu_ms();
            handle event;
            CALL(&queue, 59, handle, handle, cl_uint, const size_t *, const size_t *, const size_t *, WAIT_LIST)
            (&queue, &queue, 1, NULL, &us, NULL, 0, NULL, &event);
            if (by_event)
                CALL(&queue, 41, cl_uint, const handle *)(1, &event);
            else
                CALL(&queue, 47, handle)(&queue);
            CALL(event, 44, handle)(event);
        }
        used[by_event] = (cpu_ms() - before) / 8;
    }
    printf("{\"arguments\": %d, \"errno\": %d, \"queue_cpu_ms\": %.3f, \"event_cpu_ms\": %.3f}\n", arguments,
           kept, used[0], used[1]);
    return 0;
}
