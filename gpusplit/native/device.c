#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NVIDIA: FP32 cores per multiprocessor by compute capability ("CUDA C++ Programming Guide", appendix
 * "Compute Capabilities", row of FP32 lanes).  The newest is taken for later ones. */
static const struct { unsigned major, minor, cores; } nvidia[] = {
    { 9, 0, 128 }, { 8, 9, 128 }, { 8, 6, 128 }, { 8, 0, 64 }, { 7, 0, 64 }, { 6, 1, 128 },
    { 6, 0, 64 },  { 5, 0, 128 }, { 3, 0, 192 }, { 2, 1, 48 }, { 2, 0, 32 }, { 0, 0, 8 },
};

/* A compute unit of an unknown GPU has at least one vector of this many lanes. */
#define LEAST_LANES 8

char *text_of(cl_int (*ask)(handle, ANSWER), handle object, cl_uint what)
{
    size_t size = 0;
    if (ask(object, what, 0, NULL, &size))
        size = 0;
    char *text = calloc(size + 1, 1);
    if (text && size && ask(object, what, size, text, NULL))
        text[0] = 0;
    return text;
}

static unsigned ask(handle device, cl_uint what)
{
    cl_uint value = 0;
    return next_clGetDeviceInfo(device, what, sizeof value, &value, NULL) ? 0 : value;
}

static size_t cores(const struct device *device, const char *name)
{
    const cl_uint major = ask(device->handle, CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV),
                  minor = ask(device->handle, CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV);
    const size_t amd = (size_t)ask(device->handle, CL_DEVICE_SIMD_PER_COMPUTE_UNIT_AMD) *
                       ask(device->handle, CL_DEVICE_SIMD_WIDTH_AMD) *
                       ask(device->handle, CL_DEVICE_SIMD_INSTRUCTION_WIDTH_AMD);
    if (strstr(name, "HD 6570")) /* it says too little about itself */
        return 480;
    if (!device->gpu)
        return device->units;
    for (unsigned i = 0; major && i < sizeof nvidia / sizeof *nvidia; i++)
        if (major > nvidia[i].major || (major == nvidia[i].major && minor >= nvidia[i].minor))
            return (size_t)device->units * nvidia[i].cores;
    return device->units * (amd ? amd : LEAST_LANES);
}

/* The number before a dot at the start, or after " on " (the emulated GPU says so what computes). */
static unsigned version_of(const char *driver)
{
    unsigned version;
    const char *on = strstr(driver, " on ");
    if (sscanf(driver, "%u.", &version) == 1 || (on && sscanf(on, " on %u.", &version) == 1))
        return version;
    return 0;
}

void device_ask(struct device *device, handle given)
{
    handle platform = NULL;
    cl_bitfield type = 0;
    unsigned major = 0, minor = 0;
    memset(device, 0, sizeof *device);
    device->handle = given;
    next_clGetDeviceInfo(given, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    next_clGetDeviceInfo(given, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    next_clGetDeviceInfo(given, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof device->largest, device->largest,
                         NULL);
    char *platform_name = text_of(next_clGetPlatformInfo, platform, CL_PLATFORM_NAME);
    char *name = text_of(next_clGetDeviceInfo, given, CL_DEVICE_NAME);
    char *vendor = text_of(next_clGetDeviceInfo, given, CL_DEVICE_VENDOR);
    char *driver = text_of(next_clGetDeviceInfo, given, CL_DRIVER_VERSION);
    char *version = text_of(next_clGetDeviceInfo, given, CL_DEVICE_VERSION);
    if (platform_name && name && vendor && driver && version) {
        device->units = ask(given, CL_DEVICE_MAX_COMPUTE_UNITS);
        device->address_bits = ask(given, CL_DEVICE_ADDRESS_BITS);
        device->gpu = type & CL_DEVICE_TYPE_GPU;
        device->nvidia = strstr(vendor, "NVIDIA");
        device->pocl = !strcmp(platform_name, "Portable Computing Language");
        const unsigned pocl = version_of(driver);
        device->one_at_a_time = device->pocl && pocl && pocl < 6;
        device->modern = sscanf(version, "OpenCL %u.%u", &major, &minor) == 2 &&
                         (major > 1 || (major == 1 && minor >= 2));
        device->cores = cores(device, name);
        device->cores = device->cores ? device->cores : 1;
    }
    free(platform_name);
    free(name);
    free(vendor);
    free(driver);
    free(version);
}
