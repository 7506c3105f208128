/* The functions of OpenCL that are used or answered here, and where each stands in every loader's table
 * (cl_icd.h): X(name, place, result, parameters). */
#ifndef GPUSPLIT_OPENCL_FUNCTIONS_H
#define GPUSPLIT_OPENCL_FUNCTIONS_H

/* What every command ends in. */
#define WAIT_LIST cl_uint n_wait, const handle *wait_list, handle *event
#define GIVEN_LIST n_wait, wait_list, event
#define ANSWER cl_uint what, size_t size, void *value, size_t *size_ret

#define FUNCTIONS(X)                                                                                 \
    X(clGetPlatformInfo, 1, cl_int, (handle platform, ANSWER))                                       \
    X(clGetDeviceInfo, 3, cl_int, (handle device, ANSWER))                                           \
    X(clRetainContext, 6, cl_int, (handle context))                                                  \
    X(clReleaseContext, 7, cl_int, (handle context))                                                 \
    X(clCreateCommandQueue, 9, handle,                                                               \
      (handle context, handle device, cl_bitfield properties, cl_int *error))                        \
    X(clRetainCommandQueue, 10, cl_int, (handle queue))                                              \
    X(clReleaseCommandQueue, 11, cl_int, (handle queue))                                             \
    X(clGetCommandQueueInfo, 12, cl_int, (handle queue, ANSWER))                                     \
    X(clSetCommandQueueProperty, 13, cl_int,                                                         \
      (handle queue, cl_bitfield properties, cl_uint enable, cl_bitfield *old))                      \
    X(clRetainMemObject, 17, cl_int, (handle memory))                                                \
    X(clReleaseMemObject, 18, cl_int, (handle memory))                                               \
    X(clGetMemObjectInfo, 20, cl_int, (handle memory, ANSWER))                                       \
    X(clRetainSampler, 23, cl_int, (handle sampler))                                                 \
    X(clReleaseSampler, 24, cl_int, (handle sampler))                                                \
    X(clCreateProgramWithSource, 26, handle,                                                         \
      (handle context, cl_uint n, const char **strings, const size_t *lengths, cl_int *error))       \
    X(clCreateProgramWithBinary, 27, handle,                                                         \
      (handle context, cl_uint n, const handle *devices, const size_t *lengths,                      \
       const unsigned char **images, cl_int *statuses, cl_int *error))                               \
    X(clRetainProgram, 28, cl_int, (handle program))                                                 \
    X(clReleaseProgram, 29, cl_int, (handle program))                                                \
    X(clBuildProgram, 30, cl_int,                                                                    \
      (handle program, cl_uint n, const handle *devices, const char *options,                        \
       void (*notify)(handle, void *), void *what))                                                  \
    X(clGetProgramInfo, 32, cl_int, (handle program, ANSWER))                                        \
    X(clCreateKernel, 34, handle, (handle program, const char *name, cl_int *error))                 \
    X(clCreateKernelsInProgram, 35, cl_int,                                                          \
      (handle program, cl_uint n, handle *kernels, cl_uint *n_ret))                                  \
    X(clRetainKernel, 36, cl_int, (handle kernel))                                                   \
    X(clReleaseKernel, 37, cl_int, (handle kernel))                                                  \
    X(clSetKernelArg, 38, cl_int, (handle kernel, cl_uint index, size_t size, const void *value))    \
    X(clGetKernelInfo, 39, cl_int, (handle kernel, ANSWER))                                          \
    X(clGetKernelWorkGroupInfo, 40, cl_int, (handle kernel, handle device, ANSWER))                  \
    X(clWaitForEvents, 41, cl_int, (cl_uint n, const handle *events))                                \
    X(clGetEventInfo, 42, cl_int, (handle event, ANSWER))                                            \
    X(clRetainEvent, 43, cl_int, (handle event))                                                     \
    X(clReleaseEvent, 44, cl_int, (handle event))                                                    \
    X(clGetEventProfilingInfo, 45, cl_int, (handle event, ANSWER))                                   \
    X(clFlush, 46, cl_int, (handle queue))                                                           \
    X(clFinish, 47, cl_int, (handle queue))                                                          \
    X(clEnqueueReadBuffer, 48, cl_int,                                                               \
      (handle queue, handle memory, cl_uint blocking, size_t offset, size_t size, void *to,          \
       WAIT_LIST))                                                                                   \
    X(clEnqueueWriteBuffer, 49, cl_int,                                                              \
      (handle queue, handle memory, cl_uint blocking, size_t offset, size_t size, const void *from,  \
       WAIT_LIST))                                                                                   \
    X(clEnqueueReadImage, 51, cl_int,                                                                \
      (handle queue, handle image, cl_uint blocking, const size_t *origin, const size_t *region,     \
       size_t row, size_t slice, void *to, WAIT_LIST))                                               \
    X(clEnqueueWriteImage, 52, cl_int,                                                               \
      (handle queue, handle image, cl_uint blocking, const size_t *origin, const size_t *region,     \
       size_t row, size_t slice, const void *from, WAIT_LIST))                                       \
    X(clEnqueueMapBuffer, 56, void *,                                                                \
      (handle queue, handle memory, cl_uint blocking, cl_bitfield flags, size_t offset, size_t size, \
       WAIT_LIST, cl_int *error))                                                                    \
    X(clEnqueueMapImage, 57, void *,                                                                 \
      (handle queue, handle image, cl_uint blocking, cl_bitfield flags, const size_t *origin,        \
       const size_t *region, size_t *row, size_t *slice, WAIT_LIST, cl_int *error))                  \
    X(clEnqueueNDRangeKernel, 59, cl_int,                                                            \
      (handle queue, handle kernel, cl_uint dimensions, const size_t *offset, const size_t *global,  \
       const size_t *local, WAIT_LIST))                                                              \
    X(clEnqueueTask, 60, cl_int, (handle queue, handle kernel, WAIT_LIST))                           \
    X(clGetExtensionFunctionAddress, 65, void *, (const char *name))                                 \
    X(clSetEventCallback, 81, cl_int,                                                                \
      (handle event, cl_int type, void (*notify)(handle, cl_int, void *), void *what))               \
    X(clCreateUserEvent, 84, handle, (handle context, cl_int *error))                                \
    X(clSetUserEventStatus, 85, cl_int, (handle event, cl_int status))                               \
    X(clEnqueueReadBufferRect, 86, cl_int,                                                           \
      (handle queue, handle memory, cl_uint blocking, const size_t *origin, const size_t *to_origin, \
       const size_t *region, size_t row, size_t slice, size_t to_row, size_t to_slice, void *to,     \
       WAIT_LIST))                                                                                   \
    X(clEnqueueWriteBufferRect, 87, cl_int,                                                          \
      (handle queue, handle memory, cl_uint blocking, const size_t *origin,                          \
       const size_t *from_origin, const size_t *region, size_t row, size_t slice, size_t from_row,   \
       size_t from_slice, const void *from, WAIT_LIST))                                              \
    X(clCompileProgram, 98, cl_int,                                                                  \
      (handle program, cl_uint n, const handle *devices, const char *options, cl_uint n_headers,     \
       const handle *headers, const char **names, void (*notify)(handle, void *), void *what))       \
    X(clLinkProgram, 99, handle,                                                                     \
      (handle context, cl_uint n, const handle *devices, const char *options, cl_uint n_inputs,      \
       const handle *inputs, void (*notify)(handle, void *), void *what, cl_int *error))             \
    X(clGetExtensionFunctionAddressForPlatform, 107, void *, (handle platform, const char *name))    \
    X(clCreateCommandQueueWithProperties, 123, handle,                                               \
      (handle context, handle device, const cl_bitfield *properties, cl_int *error))                 \
    X(clEnqueueSVMMemcpy, 129, cl_int,                                                               \
      (handle queue, cl_uint blocking, void *to, const void *from, size_t size, WAIT_LIST))          \
    X(clEnqueueSVMMap, 131, cl_int,                                                                  \
      (handle queue, cl_uint blocking, cl_bitfield flags, void *memory, size_t size, WAIT_LIST))     \
    X(clSetKernelArgSVMPointer, 134, cl_int, (handle kernel, cl_uint index, const void *value))      \
    X(clSetKernelExecInfo, 135, cl_int, (handle kernel, cl_uint what, size_t size, const void *value)) \
    X(clCloneKernel, 137, handle, (handle kernel, cl_int *error))                                    \
    X(clCreateProgramWithIL, 138, handle,                                                            \
      (handle context, const void *module, size_t size, cl_int *error))

/* Commands that need no more than their place in the queue: X(..., what they are called with). */
#define COMMANDS(X)                                                                                  \
    X(clEnqueueCopyBuffer, 50, cl_int,                                                               \
      (handle queue, handle from, handle to, size_t from_offset, size_t to_offset, size_t size,      \
       WAIT_LIST),                                                                                   \
      (queue, from, to, from_offset, to_offset, size, GIVEN_LIST))                                   \
    X(clEnqueueCopyImage, 53, cl_int,                                                                \
      (handle queue, handle from, handle to, const size_t *from_origin, const size_t *to_origin,     \
       const size_t *region, WAIT_LIST),                                                             \
      (queue, from, to, from_origin, to_origin, region, GIVEN_LIST))                                 \
    X(clEnqueueCopyImageToBuffer, 54, cl_int,                                                        \
      (handle queue, handle from, handle to, const size_t *origin, const size_t *region,             \
       size_t offset, WAIT_LIST),                                                                    \
      (queue, from, to, origin, region, offset, GIVEN_LIST))                                         \
    X(clEnqueueCopyBufferToImage, 55, cl_int,                                                        \
      (handle queue, handle from, handle to, size_t offset, const size_t *origin,                    \
       const size_t *region, WAIT_LIST),                                                             \
      (queue, from, to, offset, origin, region, GIVEN_LIST))                                         \
    X(clEnqueueUnmapMemObject, 58, cl_int, (handle queue, handle memory, void *at, WAIT_LIST),       \
      (queue, memory, at, GIVEN_LIST))                                                               \
    X(clEnqueueNativeKernel, 61, cl_int,                                                             \
      (handle queue, void (*function)(void *), void *given, size_t size, cl_uint n,                  \
       const handle *memory, const void **where, WAIT_LIST),                                         \
      (queue, function, given, size, n, memory, where, GIVEN_LIST))                                  \
    X(clEnqueueMarker, 62, cl_int, (handle queue, handle *event), (queue, event))                    \
    X(clEnqueueWaitForEvents, 63, cl_int, (handle queue, cl_uint n, const handle *events),           \
      (queue, n, events))                                                                            \
    X(clEnqueueBarrier, 64, cl_int, (handle queue), (queue))                                         \
    X(clEnqueueAcquireGLObjects, 72, cl_int,                                                         \
      (handle queue, cl_uint n, const handle *objects, WAIT_LIST), (queue, n, objects, GIVEN_LIST))  \
    X(clEnqueueReleaseGLObjects, 73, cl_int,                                                         \
      (handle queue, cl_uint n, const handle *objects, WAIT_LIST), (queue, n, objects, GIVEN_LIST))  \
    X(clEnqueueCopyBufferRect, 88, cl_int,                                                           \
      (handle queue, handle from, handle to, const size_t *from_origin, const size_t *to_origin,     \
       const size_t *region, size_t from_row, size_t from_slice, size_t to_row, size_t to_slice,     \
       WAIT_LIST),                                                                                   \
      (queue, from, to, from_origin, to_origin, region, from_row, from_slice, to_row, to_slice,      \
       GIVEN_LIST))                                                                                  \
    X(clEnqueueFillBuffer, 102, cl_int,                                                              \
      (handle queue, handle memory, const void *pattern, size_t pattern_size, size_t offset,         \
       size_t size, WAIT_LIST),                                                                      \
      (queue, memory, pattern, pattern_size, offset, size, GIVEN_LIST))                              \
    X(clEnqueueFillImage, 103, cl_int,                                                               \
      (handle queue, handle image, const void *color, const size_t *origin, const size_t *region,    \
       WAIT_LIST),                                                                                   \
      (queue, image, color, origin, region, GIVEN_LIST))                                             \
    X(clEnqueueMigrateMemObjects, 104, cl_int,                                                       \
      (handle queue, cl_uint n, const handle *objects, cl_bitfield flags, WAIT_LIST),                \
      (queue, n, objects, flags, GIVEN_LIST))                                                        \
    X(clEnqueueMarkerWithWaitList, 105, cl_int, (handle queue, WAIT_LIST), (queue, GIVEN_LIST))      \
    X(clEnqueueBarrierWithWaitList, 106, cl_int, (handle queue, WAIT_LIST), (queue, GIVEN_LIST))     \
    X(clEnqueueSVMFree, 128, cl_int,                                                                 \
      (handle queue, cl_uint n, void **pointers,                                                     \
       void (*free)(handle, cl_uint, void **, void *), void *what, WAIT_LIST),                       \
      (queue, n, pointers, free, what, GIVEN_LIST))                                                  \
    X(clEnqueueSVMMemFill, 130, cl_int,                                                              \
      (handle queue, void *to, const void *pattern, size_t pattern_size, size_t size, WAIT_LIST),    \
      (queue, to, pattern, pattern_size, size, GIVEN_LIST))                                          \
    X(clEnqueueSVMUnmap, 132, cl_int, (handle queue, void *memory, WAIT_LIST),                       \
      (queue, memory, GIVEN_LIST))                                                                   \
    X(clEnqueueSVMMigrateMem, 139, cl_int,                                                           \
      (handle queue, cl_uint n, const void **pointers, const size_t *sizes, cl_bitfield flags,       \
       WAIT_LIST),                                                                                   \
      (queue, n, pointers, sizes, flags, GIVEN_LIST))

#endif
