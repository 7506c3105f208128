/* What every OpenCL layer of the tests begins with: the functions below it, and its own in their places. */
#ifndef TEST_LAYER_H
#define TEST_LAYER_H

#define CL_TARGET_OPENCL_VERSION 210
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static struct _cl_icd_dispatch below, ours;

/* Puts the layer's functions into `ours`, which has those below by then. */
static void take_places(void);

EXPORT cl_int CL_API_CALL clGetLayerInfo(cl_layer_info what, size_t size, void *value, size_t *size_ret)
{
    const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    (void)what;
    if (value && size >= sizeof version)
        memcpy(value, &version, sizeof version);
    if (size_ret)
        *size_ret = sizeof version;
    return CL_SUCCESS;
}

EXPORT cl_int CL_API_CALL clInitLayer(cl_uint count_of, const struct _cl_icd_dispatch *target,
                                      cl_uint *count_ret, const struct _cl_icd_dispatch **answer)
{
    const size_t size = count_of * sizeof(void *) < sizeof below ? count_of * sizeof(void *) : sizeof below;
    memcpy(&below, target, size);
    memcpy(&ours, target, size);
    take_places();
    *count_ret = (cl_uint)(size / sizeof(void *));
    *answer = &ours;
    return CL_SUCCESS;
}

#endif
