/* The paper's function, for C programs.
 *
 * It is clEnqueueNDRangeKernel, with the same arguments, results and errors, and sends the NDRange in as
 * many groups as GPUSPLIT_POLICY says, where libgpusplit.so is an OpenCL layer (OPENCL_LAYERS; `gpusplit
 * run` sees to it).  Where it is none, or a launch cannot be cut without changing what it does, the launch
 * goes to the driver whole.  Under the layer clEnqueueNDRangeKernel itself does the same: this name is for
 * programs that want to say what they mean, or to know whether the layer is there.
 *
 * Either link with libgpusplit.so, or ask for it, which needs nothing of ours but the type below:
 *
 *     clEnqueueNDRangeKernel_N_fn launch = clGetExtensionFunctionAddressForPlatform(
 *         platform, "clEnqueueNDRangeKernel_N"); // NULL: there is no layer
 */
#ifndef GPUSPLIT_H
#define GPUSPLIT_H

#include <CL/cl.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef cl_int(CL_API_CALL *clEnqueueNDRangeKernel_N_fn)(
    cl_command_queue queue, cl_kernel kernel, cl_uint work_dim, const size_t *global_work_offset,
    const size_t *global_work_size, const size_t *local_work_size, cl_uint num_events_in_wait_list,
    const cl_event *event_wait_list, cl_event *event);

cl_int CL_API_CALL clEnqueueNDRangeKernel_N(
    cl_command_queue queue, cl_kernel kernel, cl_uint work_dim, const size_t *global_work_offset,
    const size_t *global_work_size, const size_t *local_work_size, cl_uint num_events_in_wait_list,
    const cl_event *event_wait_list, cl_event *event);

#ifdef __cplusplus
}
#endif

#endif
