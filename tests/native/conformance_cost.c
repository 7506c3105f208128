/* What waits cost: CPU, and how often they wake. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "conformance.h"

static uint64_t cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long switches(void)
{
    struct rusage used;
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw;
}

/* Captures that end in an unusual way, or were none, must not change what waits cost. */
static void odd_captures(void)
{
    CUgraph graph;
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING), other = new_stream(CU_STREAM_NON_BLOCKING);
    MUST(cu.StreamBeginCapture(stream, 0));
    if (cu.StreamEndCapture(other, &graph) == CUDA_SUCCESS)
        MUST(-1);
    MUST(cu.StreamDestroy(stream));
    MUST(cu.StreamDestroy(other));
}

void in_turn(uint64_t ns, int n, void (*launch)(CUstream, uint64_t))
{
    char here[64] = "";
    CUdeviceptr there;
    MUST(cu.MemAlloc(&there, sizeof here));
    for (int i = 0; i < 2 * n; i++) {
        launch(NULL, i % 2 ? MS / 50 : ns);
        MUST(cu.MemcpyDtoH(here, there, sizeof here));
    }
}

/* For who looks at the process, or at its VM, from outside. */
void on_and_on(uint64_t ns, int n)
{
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    for (int lines = 1;; lines++) {
        for (int i = 0; i < n; i++) {
            spin(stream, ns);
            MUST(cu.StreamSynchronize(stream));
        }
        printf("%d\n", lines * n);
        fflush(stdout);
    }
}

void cost(uint64_t ns, int n, bool each_new)
{
    odd_captures();
    static const char *const kinds[] = { "stream", "event", "context", "free", "copy" };
    const int last = sizeof kinds / sizeof *kinds - 1;
    char here[64] = "";
    CUdeviceptr there, other;
    MUST(cu.MemAlloc(&there, sizeof here));
    for (int i = 0; i < 2 * OFTEN; i++) { /* a driver that spins in such copies is to sleep again after them */
        spin(NULL, MS / 50);
        MUST(cu.MemcpyDtoH(here, there, sizeof here));
    }
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CUevent event;
    MUST(cu.EventCreate(&event, 0));
    for (int kind = 0; kind <= last; kind++) {
        uint64_t waited = 0, used = 0;
        long most = 0, all = 0;
        for (int i = -2 * OFTEN; i < n; i++) {
            MUST(cu.MemAlloc(&other, sizeof here));
            grid += each_new;
            spin(kind < 4 ? stream : NULL, ns);
            MUST(cu.EventRecord(event, stream));
            const uint64_t begin = now(), cpu_before = cpu();
            const long before = switches();
            MUST(kind == 0   ? cu.StreamSynchronize(stream)
                 : kind == 1 ? cu.EventSynchronize(event)
                 : kind == 2 ? cu.CtxSynchronize()
                 : kind == 3 ? cu.MemFree(other)
                             : cu.MemcpyHtoD(there, here, sizeof here));
            const long wakes = switches() - before;
            const uint64_t end = now(), cpu_after = cpu();
            if (kind != 3)
                MUST(cu.MemFree(other));
            if (i < 0)
                continue;
            used += cpu_after - cpu_before;
            waited += end - begin;
            all += wakes;
            most = wakes > most ? wakes : most;
        }
        printf("%s\"%s\": {\"cpu_share\": %.4f, \"cpu_ms\": %.3f, \"most_wakes\": %ld, "
               "\"mean_wakes\": %.2f}%s",
               kind ? ", " : "{", kinds[kind], (double)used / (double)waited,
               (double)used * 1e-6 / n, most, (double)all / n, kind == last ? "}\n" : "");
    }
}
