/* What the program sees of the card. The CPU device below plays it: it is found as a GPU and answers
 * with the model's figures; what the model doesn't know is answered below.
 *
 * How a program learns the number of cores ("480"): as on the real cards, by the makers' own queries.
 *   AMD    (cl_amd_device_attribute_query): CL_DEVICE_MAX_COMPUTE_UNITS
 *          x SIMD_PER_COMPUTE_UNIT (0x4040) x SIMD_WIDTH (0x4041) x SIMD_INSTRUCTION_WIDTH (0x4042)
 *   NVIDIA (cl_nv_device_attribute_query): CL_DEVICE_MAX_COMPUTE_UNITS x cores per unit of
 *          COMPUTE_CAPABILITY_MAJOR/MINOR (0x4000, 0x4001) - 128 for 9.0
 * pyopencl 2026.1 passes on SIMD_PER_COMPUTE_UNIT but refuses the other two AMD queries by itself.
 * Compute units x CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE is *not* the number of cores (6 x 64 for
 * the HD 6570): an AMD wavefront takes four cycles, a core of that card is one of five in a lane. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"

#define MAX_DEVICES 64

cl_int answer(const void *value, size_t size, size_t room, void *to, size_t *size_ret)
{
    if (size_ret)
        *size_ret = size;
    if (to && room < size)
        return CL_INVALID_VALUE;
    if (to)
        memcpy(to, value, size);
    return CL_SUCCESS;
}

static cl_device_type type_below(cl_device_id device)
{
    cl_device_type type = 0;
    emu.next->clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    return type;
}

static bool emulated(cl_device_id device)
{
    return device && type_below(device) & CL_DEVICE_TYPE_CPU;
}

/* The platform's devices with the CPU turned into the one GPU; further CPU devices are left out, there
 * is one card. */
static cl_int CL_API_CALL emu_clGetDeviceIDs(cl_platform_id platform, cl_device_type type,
                                             cl_uint n_entries, cl_device_id *devices, cl_uint *n_ret)
{
    cl_device_id all[MAX_DEVICES];
    cl_uint n = 0, found = 0;
    cl_int error = emu.next->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, all, &n);
    if (error != CL_SUCCESS)
        return error;
    if (!devices == !!n_entries || (!devices && !n_ret))
        return CL_INVALID_VALUE;
    bool have_card = false;
    for (cl_uint i = 0; i < n && i < MAX_DEVICES; i++) {
        cl_device_type is = type_below(all[i]);
        if (is & CL_DEVICE_TYPE_CPU) {
            if (have_card)
                continue;
            have_card = true;
            is = CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_DEFAULT;
        }
        if (type != CL_DEVICE_TYPE_ALL && !(is & type))
            continue;
        if (devices && found < n_entries)
            devices[found] = all[i];
        found++;
    }
    if (n_ret)
        *n_ret = found;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_context CL_API_CALL emu_clCreateContextFromType(
    const cl_context_properties *properties, cl_device_type type,
    void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *data, cl_int *error)
{
    if (type != CL_DEVICE_TYPE_ALL && type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_CPU)) {
        bool gpu = type & CL_DEVICE_TYPE_GPU;
        type &= ~(cl_device_type)(CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_CPU);
        type |= gpu ? CL_DEVICE_TYPE_CPU : 0;
        if (!type) {
            if (error)
                *error = CL_DEVICE_NOT_FOUND;
            return NULL;
        }
    }
    return emu.next->clCreateContextFromType(properties, type, notify, data, error);
}

/* A number that is the smaller of what the card has and what the implementation below can give. */
static cl_ulong at_most(cl_device_id device, cl_device_info what, cl_ulong limit)
{
    cl_ulong below = 0;
    emu.next->clGetDeviceInfo(device, what, sizeof below, &below, NULL);
    return below < limit ? below : limit;
}

static const char *extension(void)
{
    if (strcmp(emu.model.vendor_queries, "amd") == 0)
        return "cl_amd_device_attribute_query";
    if (strcmp(emu.model.vendor_queries, "nvidia") == 0)
        return "cl_nv_device_attribute_query";
    return "";
}

static char *extensions_of(cl_device_id device)
{
    size_t size = 0;
    emu.next->clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, 0, NULL, &size);
    char *text = calloc(1, size + 64);
    emu.next->clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, size, text, NULL);
    size_t end = strlen(text);
    while (end && text[end - 1] == ' ')
        end--;
    snprintf(text + end, 64, " %s", extension());
    return text;
}

/* False if the query isn't one of the maker's. A lane of AMD's VLIW5 cards has five cores. */
static bool vendor_query(cl_device_info query, cl_uint *value)
{
    const struct model *m = &emu.model;
    if (strcmp(m->vendor_queries, "amd") == 0)
        switch (query) {
        case 0x4040: /* SIMD_PER_COMPUTE_UNIT */
            *value = 1;
            return true;
        case 0x4041: /* SIMD_WIDTH */
            *value = m->wavefront / 4;
            return true;
        case 0x4042: /* SIMD_INSTRUCTION_WIDTH */
            *value = m->cores_per_unit / (m->wavefront / 4);
            return true;
        case 0x4043: /* WAVEFRONT_WIDTH */
            *value = m->wavefront;
            return true;
        }
    if (strcmp(m->vendor_queries, "nvidia") == 0)
        switch (query) {
        case 0x4000: /* COMPUTE_CAPABILITY_MAJOR */
        case 0x4001: /* COMPUTE_CAPABILITY_MINOR */
            *value = m->compute_capability[query - 0x4000];
            return true;
        case 0x4003: /* WARP_SIZE */
            *value = m->wavefront;
            return true;
        }
    return false;
}

static cl_int CL_API_CALL emu_clGetDeviceInfo(cl_device_id device, cl_device_info param_name,
                                              size_t param_value_size, void *param_value,
                                              size_t *param_value_size_ret)
{
    const struct model *m = &emu.model;
    char text[512], wait[64];
    cl_uint number;
    if (!emulated(device))
        return emu.next->clGetDeviceInfo(device, param_name, param_value_size, param_value,
                                         param_value_size_ret);
    switch (param_name) {
    case CL_DEVICE_TYPE:
        ANSWER(cl_device_type, CL_DEVICE_TYPE_GPU);
    case CL_DEVICE_NAME:
        snprintf(text, sizeof text, "%s (emulated)", m->name);
        return answer(text, strlen(text) + 1, param_value_size, param_value, param_value_size_ret);
    case CL_DEVICE_VENDOR:
        snprintf(text, sizeof text, "%s (emulated)", m->vendor);
        return answer(text, strlen(text) + 1, param_value_size, param_value, param_value_size_ret);
    case CL_DRIVER_VERSION:
        /* Here a program or a result file finds how the figures came about, and by what kernels are
         * computed, if they are. */
        model_wait_text(m, wait, sizeof wait);
        snprintf(text, sizeof text, "emugpu 1.0 exec=%s wait=%s scale=%g%s",
                 emu.execute ? "full" : "none", wait, emu.scale, emu.said);
        if (emu.execute) {
            char below[64] = "";
            emu.next->clGetDeviceInfo(device, CL_DRIVER_VERSION, sizeof below, below, NULL);
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, " on %s", below);
        }
        return answer(text, strlen(text) + 1, param_value_size, param_value, param_value_size_ret);
    case CL_DEVICE_EXTENSIONS: {
        char *all = extensions_of(device);
        cl_int error = answer(all, strlen(all) + 1, param_value_size, param_value, param_value_size_ret);
        free(all);
        return error;
    }
    case CL_DEVICE_VENDOR_ID:
        ANSWER(cl_uint, m->vendor_id);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        ANSWER(cl_uint, m->compute_units);
    case CL_DEVICE_MAX_CLOCK_FREQUENCY:
        ANSWER(cl_uint, m->clock_mhz);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        ANSWER(size_t, at_most(device, param_name, m->max_work_group_size));
    case CL_DEVICE_MAX_WORK_ITEM_SIZES: {
        size_t each = at_most(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, m->max_work_group_size);
        size_t sizes[3] = { each, each, each };
        return answer(sizes, sizeof sizes, param_value_size, param_value, param_value_size_ret);
    }
    case CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
        ANSWER(size_t, m->wavefront);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        ANSWER(cl_ulong, at_most(device, param_name, m->global_mem));
    case CL_DEVICE_LOCAL_MEM_SIZE:
        ANSWER(cl_ulong, at_most(device, param_name, m->local_mem));
    case CL_DEVICE_LOCAL_MEM_TYPE:
        ANSWER(cl_device_local_mem_type, CL_LOCAL);
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
        ANSWER(cl_bool, CL_FALSE);
    case CL_DEVICE_PROFILING_TIMER_RESOLUTION:
        ANSWER(size_t, 1);
    case CL_DEVICE_PARTITION_MAX_SUB_DEVICES: /* a card has no parts to give away */
        ANSWER(cl_uint, 0);
    case CL_DEVICE_PARTITION_PROPERTIES:
        ANSWER(cl_device_partition_property, 0);
    case CL_DEVICE_PARTITION_AFFINITY_DOMAIN:
        ANSWER(cl_device_affinity_domain, 0);
    default:
        if (vendor_query(param_name, &number))
            ANSWER(cl_uint, number);
        return emu.next->clGetDeviceInfo(device, param_name, param_value_size, param_value,
                                         param_value_size_ret);
    }
}

static cl_int CL_API_CALL emu_clCreateSubDevices(cl_device_id device,
                                                 const cl_device_partition_property *properties,
                                                 cl_uint n_entries, cl_device_id *devices,
                                                 cl_uint *n_ret)
{
    if (emulated(device))
        return CL_INVALID_VALUE;
    return emu.next->clCreateSubDevices(device, properties, n_entries, devices, n_ret);
}

/* Device time is host time: both are the clock that profiling uses. */
static cl_int CL_API_CALL emu_clGetDeviceAndHostTimer(cl_device_id device, cl_ulong *device_time,
                                                      cl_ulong *host_time)
{
    if (!emulated(device))
        return emu.next->clGetDeviceAndHostTimer(device, device_time, host_time);
    if (!device_time || !host_time)
        return CL_INVALID_VALUE;
    *device_time = *host_time = clock_stamp(clock_now());
    return CL_SUCCESS;
}

static cl_int CL_API_CALL emu_clGetHostTimer(cl_device_id device, cl_ulong *host_time)
{
    if (!emulated(device))
        return emu.next->clGetHostTimer(device, host_time);
    if (!host_time)
        return CL_INVALID_VALUE;
    *host_time = clock_stamp(clock_now());
    return CL_SUCCESS;
}

void install_devices(cl_icd_dispatch *table)
{
    LAYER(clGetDeviceIDs);
    LAYER(clCreateContextFromType);
    LAYER(clGetDeviceInfo);
    LAYER(clCreateSubDevices);
    LAYER(clGetDeviceAndHostTimer);
    LAYER(clGetHostTimer);
}
