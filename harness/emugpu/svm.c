/* Shared virtual memory: as transfers.c. The implementation below shares the host's memory, so maps and
 * migrations move nothing; copies and fills take the GPU's own time. */
#include "layer.h"
#include "submit.h"

static cl_int CL_API_CALL emu_clEnqueueSVMMemcpy(cl_command_queue queue, cl_bool blocking, void *to,
                                                 const void *from, size_t size, cl_uint n_wait,
                                                 const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueSVMMemcpy(queue, blocking, to, from, size, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueSVMMemcpy(queue, CL_FALSE, to, from, size, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_SVM_MEMCPY, spec_transfer(PATH_DEVICE, (double)size),
                      blocking ? SUBMIT_BLOCKING : 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueSVMMemFill(cl_command_queue queue, void *to, const void *pattern,
                                                  size_t pattern_size, size_t size, cl_uint n_wait,
                                                  const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueSVMMemFill(queue, to, pattern, pattern_size, size, n_wait, wait, event);
    cl_int error =
        emu.next->clEnqueueSVMMemFill(queue, to, pattern, pattern_size, size, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_SVM_MEMFILL, spec_transfer(PATH_DEVICE, (double)size), 0,
                      n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueSVMMap(cl_command_queue queue, cl_bool blocking,
                                              cl_map_flags flags, void *at, size_t size, cl_uint n_wait,
                                              const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueSVMMap(queue, blocking, flags, at, size, n_wait, wait, event);
    cl_int error =
        emu.next->clEnqueueSVMMap(queue, CL_FALSE, flags, at, size, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_SVM_MAP, spec_marker(), blocking ? SUBMIT_BLOCKING : 0,
                      n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueSVMUnmap(cl_command_queue queue, void *at, cl_uint n_wait,
                                                const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueSVMUnmap(queue, at, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueSVMUnmap(queue, at, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_SVM_UNMAP, spec_marker(), 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueSVMFree(
    cl_command_queue queue, cl_uint n, void *pointers[],
    void(CL_CALLBACK *free_function)(cl_command_queue, cl_uint, void *[], void *), void *data,
    cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueSVMFree(queue, n, pointers, free_function, data, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueSVMFree(queue, n, pointers, free_function, data, n_wait, wait,
                                              &s.shadow);
    return submit_end(&s, error, CL_COMMAND_SVM_FREE, spec_marker(), 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueSVMMigrateMem(cl_command_queue queue, cl_uint n,
                                                     const void **pointers, const size_t *sizes,
                                                     cl_mem_migration_flags flags, cl_uint n_wait,
                                                     const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueSVMMigrateMem(queue, n, pointers, sizes, flags, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueSVMMigrateMem(queue, n, pointers, sizes, flags, n_wait, wait,
                                                    &s.shadow);
    return submit_end(&s, error, CL_COMMAND_SVM_MIGRATE_MEM, spec_marker(), 0, n_wait, wait, event);
}

void install_svm(cl_icd_dispatch *table)
{
    LAYER(clEnqueueSVMMemcpy);
    LAYER(clEnqueueSVMMemFill);
    LAYER(clEnqueueSVMMap);
    LAYER(clEnqueueSVMUnmap);
    LAYER(clEnqueueSVMFree);
    LAYER(clEnqueueSVMMigrateMem);
}
