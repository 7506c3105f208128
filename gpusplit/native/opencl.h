/* OpenCL as this library knows it: without its headers, which not every machine has. */
#ifndef GPUSPLIT_OPENCL_H
#define GPUSPLIT_OPENCL_H

#include <stddef.h>
#include <stdint.h>

#include "opencl_functions.h"

typedef int cl_int;
typedef unsigned cl_uint;
typedef uint64_t cl_bitfield;
typedef void *handle;

enum {
    CL_SUCCESS = 0,
    CL_OUT_OF_HOST_MEMORY = -6,
    CL_PROFILING_INFO_NOT_AVAILABLE = -7,
    CL_BUILD_PROGRAM_FAILURE = -11,
    CL_INVALID_VALUE = -30,
    CL_INVALID_OPERATION = -59,
    CL_COMPLETE = 0,
    CL_RUNNING = 1,

    CL_PLATFORM_VERSION = 0x0901,
    CL_PLATFORM_NAME = 0x0902,

    CL_DEVICE_TYPE = 0x1000,
    CL_DEVICE_MAX_COMPUTE_UNITS = 0x1002,
    CL_DEVICE_MAX_WORK_ITEM_SIZES = 0x1005,
    CL_DEVICE_ADDRESS_BITS = 0x100d,
    CL_DEVICE_NAME = 0x102b,
    CL_DEVICE_VENDOR = 0x102c,
    CL_DRIVER_VERSION = 0x102d,
    CL_DEVICE_VERSION = 0x102f,
    CL_DEVICE_PLATFORM = 0x1031,
    CL_DEVICE_OPENCL_C_VERSION = 0x103d,
    CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV = 0x4000,
    CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV = 0x4001,
    CL_DEVICE_SIMD_PER_COMPUTE_UNIT_AMD = 0x4040,
    CL_DEVICE_SIMD_WIDTH_AMD = 0x4041,
    CL_DEVICE_SIMD_INSTRUCTION_WIDTH_AMD = 0x4042,
    CL_DEVICE_TYPE_GPU = 4,

    CL_QUEUE_CONTEXT = 0x1090,
    CL_QUEUE_DEVICE = 0x1091,
    CL_QUEUE_PROPERTIES = 0x1093,
    CL_QUEUE_OUT_OF_ORDER = 1,
    CL_QUEUE_PROFILING = 2,

    CL_MEM_FLAGS = 0x1101,
    CL_MEM_ASSOCIATED_MEMOBJECT = 0x1107,
    CL_MEM_USE_HOST_PTR = 8,

    CL_PROGRAM_CONTEXT = 0x1161,
    CL_PROGRAM_NUM_DEVICES = 0x1162,
    CL_PROGRAM_DEVICES = 0x1163,
    CL_PROGRAM_SOURCE = 0x1164,
    CL_PROGRAM_BINARY_SIZES = 0x1165,
    CL_PROGRAM_BINARIES = 0x1166,
    CL_PROGRAM_KERNEL_NAMES = 0x1168,

    CL_KERNEL_FUNCTION_NAME = 0x1190,
    CL_KERNEL_NUM_ARGS = 0x1191,
    CL_KERNEL_CONTEXT = 0x1193,
    CL_KERNEL_WORK_GROUP_SIZE = 0x11b0,

    CL_EVENT_COMMAND_QUEUE = 0x11d0,
    CL_EVENT_COMMAND_TYPE = 0x11d1,
    CL_EVENT_REFERENCE_COUNT = 0x11d2,
    CL_EVENT_COMMAND_EXECUTION_STATUS = 0x11d3,
    CL_EVENT_CONTEXT = 0x11d4,
    CL_COMMAND_NDRANGE_KERNEL = 0x11f0,
    CL_COMMAND_USER = 0x1204,
    CL_PROFILING_COMMAND_START = 0x1282,
    CL_PROFILING_COMMAND_END = 0x1283,
    CL_PROFILING_COMMAND_COMPLETE = 0x1284,

    CL_LAYER_API_VERSION = 0x4240,
    CL_LAYER_NAME = 0x4241,
    CL_LAYER_API_VERSION_100 = 100,
};

/* What is below us, the driver or the next layer; and what we answer in its place (not all of them). */
#define DECLARE(name, place, result, parameters, ...)                                                \
    extern result(*next_##name) parameters;                                                          \
    result our_##name parameters;
FUNCTIONS(DECLARE)
COMMANDS(DECLARE)

/* A command of the function at that place of the table was given to a queue; event: NULL, or its own. */
void command_given(handle queue, unsigned place, handle *event);

/* How a command stands: 3 queued, 2 submitted, 1 running, 0 complete, negative an error. */
static inline cl_int event_status(handle event)
{
    cl_int status = -1;
    if (next_clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL))
        return -1;
    return status;
}

#endif
