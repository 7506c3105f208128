#define _GNU_SOURCE
#include "cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "cuda_driver.h"
#include "cuda_flags.h"
#include "cuda_streams.h"
#include "reach.h"

#define DEFINE(name, parameters) CUresult(*real_##name) parameters;
WRAPPED(DEFINE)
NEEDED(DEFINE)
FINDING_FUNCTIONS(EXPORTED)

static const struct entry {
    const char *name;
    void **real;
    void *ours;
} entries[] = {
#define WRAPPER(name, parameters) { #name, (void **)&real_##name, (void *)our_##name },
    WRAPPED(WRAPPER)
};

static const struct entry needed[] = {
#define HELPER(name, parameters) { #name, (void **)&real_##name, NULL },
    NEEDED(HELPER)
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static pthread_mutex_t load_mutex = PTHREAD_MUTEX_INITIALIZER;
atomic_bool cuda_loaded;

bool cuda_has(const char *name)
{
    for (size_t i = 0; i < COUNT(entries); i++)
        if (!strcmp(entries[i].name, name))
            return true;
    return false;
}

/* Fills in the driver's functions from the library that has `function`, which then stays. */
static void load(void *function)
{
    Dl_info info;
    if (atomic_load(&cuda_loaded) || !function || !dladdr(function, &info) || !info.dli_fname)
        return;
    const int saved_errno = errno;
    pthread_mutex_lock(&load_mutex);
    void *driver = NULL;
    if (!atomic_load(&cuda_loaded))
        driver = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    if (driver) {
        for (size_t i = 0; i < COUNT(entries); i++)
            *entries[i].real = reach_real(driver, entries[i].name);
        for (size_t i = 0; i < COUNT(needed); i++)
            *needed[i].real = reach_real(driver, needed[i].name);
        pthread_atfork(NULL, NULL, capture_after_fork);
        pthread_atfork(NULL, NULL, flags_after_fork);
        atomic_store(&cuda_loaded, true);
    }
    pthread_mutex_unlock(&load_mutex);
    dlerror(); /* what this driver lacks is nothing that the program asked for */
    errno = saved_errno;
}

void *cuda_instead(void *function)
{
    for (size_t i = 0; i < COUNT(entries); i++)
        if (function == entries[i].ours) {
            /* The program looked everywhere, and found us first. */
            void *behind = reach_driver(entries[i].name);
            load(behind);
            return behind ? function : NULL;
        }
    load(function);
    for (size_t i = 0; i < COUNT(entries); i++)
        if (function == *entries[i].real)
            return entries[i].ours;
    return function;
}

void cuda_find(const char *name)
{
    load(reach_driver(name));
}

static CUresult found(CUresult result, void **function)
{
    if (result == CUDA_SUCCESS && function && *function)
        *function = cuda_instead(*function);
    return result;
}

CUresult our_cuGetProcAddress(const char *symbol, void **function, int version,
                              unsigned long long flags)
{
    return HAVE(cuGetProcAddress)
               ? found(real_cuGetProcAddress(symbol, function, version, flags), function)
               : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult our_cuGetProcAddress_v2(const char *symbol, void **function, int version,
                                 unsigned long long flags, int *status)
{
    return HAVE(cuGetProcAddress_v2)
               ? found(real_cuGetProcAddress_v2(symbol, function, version, flags, status), function)
               : CUDA_ERROR_NOT_INITIALIZED;
}
