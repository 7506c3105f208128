/* The paper's function, for C programs.
 *
 * It is clEnqueueNDRangeKernel, with the same arguments, results and errors, and sends the NDRange in as
 * many groups as GPUSPLIT_POLICY says, where libgpusplit.so is in the program: it is linked with it, or
 * `gpusplit run` or OPENCL_LAYERS brings it along.  A launch that cannot be cut without changing what it
 * does goes to the driver whole.  clEnqueueNDRangeKernel itself does the same then: this name is for
 * programs that want to say what they mean, or to know whether the library is there.
 *
 * Either link with libgpusplit.so, or ask for it, which needs nothing of ours but the type below:
 *
 *     clEnqueueNDRangeKernel_N_fn launch = (clEnqueueNDRangeKernel_N_fn)
 *         clGetExtensionFunctionAddressForPlatform(platform, "clEnqueueNDRangeKernel_N");
 *
 * which is NULL where the library is not there.
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
