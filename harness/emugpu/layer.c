/* The doors of the layer: what an OpenCL loader looks up in a library named in OPENCL_LAYERS.
 *
 * ocl-icd (Debian 12, pyopencl's wheel) wants clGetLayerInfo and clInitLayer and accepts API version 100
 * only; the Khronos loader takes the same pair, newer ones also clInitLayerWithProperties. */
#include "layer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

/* From cl_layer.h, which Debian's headers may or may not have. */
#define CL_LAYER_API_VERSION 0x4240
#define CL_LAYER_NAME 0x4241
#define CL_LAYER_API_VERSION_100 100

#define EXPORT __attribute__((visibility("default")))

#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* looked up by name; no header declares them */

EXPORT cl_int CL_API_CALL clGetLayerInfo(cl_uint param_name, size_t param_value_size,
                                         void *param_value, size_t *param_value_size_ret)
{
    static const char name[] = "emugpu";
    switch (param_name) {
    case CL_LAYER_API_VERSION:
        ANSWER(cl_uint, CL_LAYER_API_VERSION_100);
    case CL_LAYER_NAME:
        return answer(name, sizeof name, param_value_size, param_value, param_value_size_ret);
    default:
        return CL_INVALID_VALUE;
    }
}

/* For tests and for the curious: with EMUGPU_REPORT set, what was never released is said at exit, and how many
 * waits came to burn the CPU. */
__attribute__((destructor)) static void report(void)
{
    if (emu.next && getenv("EMUGPU_REPORT")) {
        state_lock();
        tl_advance(emu.timeline, clock_now());
        fprintf(stderr, "emugpu: at exit: %zu commands, %zu queues\n", emu.commands.used,
                emu.queues.used);
        fprintf(stderr, "emugpu: %lu waits spun\n", emu.spins);
        state_unlock();
    }
}

EXPORT cl_int CL_API_CALL clInitLayer(cl_uint n_entries, const cl_icd_dispatch *target,
                                      cl_uint *n_entries_ret, const cl_icd_dispatch **table_ret)
{
    static cl_icd_dispatch table, below;
    static bool loaded;
    const cl_uint known = sizeof table / sizeof(void *);

    if (!target || !n_entries_ret || !table_ret)
        return CL_INVALID_VALUE;
    if (loaded) {
        /* A second loader in this process (pyopencl brings its own): the handles below are the same. */
        *n_entries_ret = n_entries < known ? n_entries : known;
        *table_ret = &table;
        return CL_SUCCESS;
    }
    struct settings settings;
    char message[512];
    if (!settings_read(&settings, message, sizeof message)) {
        fprintf(stderr, "emugpu: not loaded: %s\n", message);
        return CL_INVALID_VALUE;
    }
    emu.model = settings.model;
    emu.scale = settings.scale;
    emu.execute = settings.execute;
    strcpy(emu.said, settings.said);

    /* An older loader's table is shorter than ours: what it lacks stays NULL below, and nobody can
     * call it here either, because the loader has no entry for it. */
    cl_uint shared = n_entries < known ? n_entries : known;
    memcpy(&below, target, shared * sizeof(void *));
    table = below;
    install_devices(&table);
    install_queues(&table);
    install_kernels(&table);
    install_transfers(&table);
    install_images(&table);
    install_svm(&table);
    install_events(&table);
    install_callbacks(&table);

    emu.next = &below;
    clock_start();
    state_init();
    loaded = true;
    *n_entries_ret = shared;
    *table_ret = &table;
    return CL_SUCCESS;
}

EXPORT cl_int CL_API_CALL clInitLayerWithProperties(cl_uint n_entries, const cl_icd_dispatch *target,
                                                    cl_uint *n_entries_ret,
                                                    const cl_icd_dispatch **table_ret,
                                                    const intptr_t *properties)
{
    (void)properties; /* they say how the layer will be told to clean up; there is nothing to clean */
    return clInitLayer(n_entries, target, n_entries_ret, table_ret);
}

EXPORT cl_int CL_API_CALL clDeinitLayer(void)
{
    return CL_SUCCESS;
}
