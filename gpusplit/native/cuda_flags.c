/* How the driver itself waits when nothing was guessed: by sleeping, whatever the program set.  Asked for its
 * flags, it says what the program set. */
#define _GNU_SOURCE
#include "cuda_flags.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "cuda_driver.h"
#include "cuda_streams.h"
#include "settings.h"

FLAG_FUNCTIONS(EXPORTED)

#define DEVICES 64
#define CREATED 64

/* What the program wants of devices' own contexts and of those that it created; of others of these (there are
 * too many) it hears what they have. */
static _Atomic unsigned primary[DEVICES];
static struct {
    _Atomic uintptr_t context;
    _Atomic unsigned wanted;
} created[CREATED];

static unsigned blocking(unsigned flags)
{
    return settings()->sleeps ? (flags & ~(unsigned)CU_CTX_SCHED_MASK) | CU_CTX_SCHED_BLOCKING_SYNC
                              : flags;
}

/* Where it is noted what is wanted of a context, if need be from now on; NULL: nowhere. */
static _Atomic unsigned *place_of(uintptr_t context, bool take)
{
    for (unsigned i = 0; context && i < CREATED; i++)
        if (atomic_load(&created[i].context) == context)
            return &created[i].wanted;
    for (unsigned i = 0; context && take && i < CREATED; i++) {
        uintptr_t nobody = 0;
        if (atomic_compare_exchange_strong(&created[i].context, &nobody, context))
            return &created[i].wanted;
    }
    return NULL;
}

static _Atomic unsigned *place_of_device(CUdevice device)
{
    return device >= 0 && device < DEVICES ? &primary[device] : NULL;
}

/* The current context is one that was created, or its device's own. */
static _Atomic unsigned *place_of_current(void)
{
    CUdevice device = -1;
    _Atomic unsigned *place = place_of(current_context(), false);
    if (!place && real_cuCtxGetDevice && real_cuCtxGetDevice(&device) == CUDA_SUCCESS)
        place = place_of_device(device);
    return place;
}

static CUresult note(CUresult result, _Atomic unsigned *place, unsigned flags)
{
    if (result == CUDA_SUCCESS && place)
        atomic_store(place, flags & CU_CTX_SCHED_MASK);
    return result;
}

static CUresult wanted(CUresult result, _Atomic unsigned *place, unsigned *flags)
{
    if (result == CUDA_SUCCESS && place && flags && settings()->sleeps)
        *flags = (*flags & ~(unsigned)CU_CTX_SCHED_MASK) | atomic_load(place);
    return result;
}

/* What the program sets must not be lost between looking and setting back. */
static pthread_rwlock_t setting_lock = PTHREAD_RWLOCK_INITIALIZER;

void flags_after_fork(void)
{
    setting_lock = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
}

bool flags_can_spin(void)
{
    return real_cuCtxSetFlags && real_cuCtxGetFlags;
}

static bool schedule(unsigned how)
{
    unsigned flags;
    return real_cuCtxGetFlags(&flags) == CUDA_SUCCESS &&
           real_cuCtxSetFlags((flags & ~(unsigned)CU_CTX_SCHED_MASK) | how) == CUDA_SUCCESS;
}

bool flags_spin(void)
{
    if (!flags_can_spin() || pthread_rwlock_tryrdlock(&setting_lock))
        return false;
    const bool spins = schedule(CU_CTX_SCHED_SPIN);
    if (!spins)
        pthread_rwlock_unlock(&setting_lock);
    return spins;
}

void flags_block(void)
{
    schedule(CU_CTX_SCHED_BLOCKING_SYNC);
    pthread_rwlock_unlock(&setting_lock);
}

void flags_forget(uintptr_t context)
{
    for (unsigned i = 0; i < CREATED; i++)
        atomic_compare_exchange_strong(&created[i].context, &(uintptr_t){ context }, 0);
}

CUresult our_cuInit(unsigned flags)
{
    if (!HAVE(cuInit))
        return CUDA_ERROR_NOT_INITIALIZED;
    static atomic_bool set;
    CUresult result = real_cuInit(flags);
    int devices = 0;
    if (result != CUDA_SUCCESS || !settings()->sleeps || atomic_exchange(&set, true) ||
        !real_cuDeviceGetCount || real_cuDeviceGetCount(&devices) != CUDA_SUCCESS)
        return result;
    for (CUdevice device = 0; device < devices; device++) {
        unsigned now = 0;
        int active = 0;
        if (real_cuDevicePrimaryCtxGetState && real_cuDevicePrimaryCtxSetFlags_v2 &&
            real_cuDevicePrimaryCtxGetState(device, &now, &active) == CUDA_SUCCESS)
            note(real_cuDevicePrimaryCtxSetFlags_v2(device, blocking(now)), place_of_device(device), now);
    }
    return result;
}

#define SETS_FLAGS(name, parameters, call, place)                                                    \
    CUresult our_##name parameters                                                                   \
    {                                                                                                \
        return HAVE(name) ? note(real_##name call, place, flags) : CUDA_ERROR_NOT_INITIALIZED;       \
    }
SETS_FLAGS(cuDevicePrimaryCtxSetFlags, (CUdevice device, unsigned flags), (device, blocking(flags)),
           place_of_device(device))
SETS_FLAGS(cuDevicePrimaryCtxSetFlags_v2, (CUdevice device, unsigned flags), (device, blocking(flags)),
           place_of_device(device))

CUresult our_cuCtxSetFlags(unsigned flags)
{
    if (!HAVE(cuCtxSetFlags))
        return CUDA_ERROR_NOT_INITIALIZED;
    pthread_rwlock_wrlock(&setting_lock);
    CUresult result = real_cuCtxSetFlags(blocking(flags));
    pthread_rwlock_unlock(&setting_lock);
    return note(result, place_of_current(), flags);
}

#define CREATES(name, parameters, call)                                                              \
    CUresult our_##name parameters                                                                   \
    {                                                                                                \
        if (!HAVE(name))                                                                             \
            return CUDA_ERROR_NOT_INITIALIZED;                                                       \
        CUresult result = real_##name call;                                                          \
        if (result != CUDA_SUCCESS)                                                                  \
            return result;                                                                           \
        return note(result, place_of((uintptr_t)*context, true), flags);                             \
    }
CREATES(cuCtxCreate_v2, (CUcontext * context, unsigned flags, CUdevice device),
        (context, blocking(flags), device))
CREATES(cuCtxCreate_v3,
        (CUcontext * context, void *affinity, int count, unsigned flags, CUdevice device),
        (context, affinity, count, blocking(flags), device))
CREATES(cuCtxCreate_v4, (CUcontext * context, void *parameters, unsigned flags, CUdevice device),
        (context, parameters, blocking(flags), device))

CUresult our_cuCtxGetFlags(unsigned *flags)
{
    return HAVE(cuCtxGetFlags) ? wanted(real_cuCtxGetFlags(flags), place_of_current(), flags)
                               : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult our_cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active)
{
    return HAVE(cuDevicePrimaryCtxGetState)
               ? wanted(real_cuDevicePrimaryCtxGetState(device, flags, active), place_of_device(device),
                        flags)
               : CUDA_ERROR_NOT_INITIALIZED;
}
