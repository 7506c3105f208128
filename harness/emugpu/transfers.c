/* Buffer transfers: read, write, copy, fill, map, unmap, migrate. The shadow is always enqueued
 * non-blocking; waiting is the modelled driver's business (submit_end). */
#include <stdlib.h>

#include "layer.h"
#include "submit.h"

#define BLOCKING(flag) ((flag) ? SUBMIT_BLOCKING : 0)

static double volume(const size_t *region)
{
    return (double)region[0] * (double)region[1] * (double)region[2];
}

static cl_int CL_API_CALL emu_clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer,
                                                  cl_bool blocking, size_t offset, size_t size,
                                                  void *to, cl_uint n_wait, const cl_event *wait,
                                                  cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueReadBuffer(queue, buffer, blocking, offset, size, to, n_wait, wait,
                                             event);
    cl_int error = emu.next->clEnqueueReadBuffer(queue, buffer, CL_FALSE, offset, size, to, n_wait,
                                                 wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_READ_BUFFER, spec_transfer(PATH_DOWNLOAD, (double)size),
                      BLOCKING(blocking), n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer,
                                                   cl_bool blocking, size_t offset, size_t size,
                                                   const void *from, cl_uint n_wait,
                                                   const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueWriteBuffer(queue, buffer, blocking, offset, size, from, n_wait, wait,
                                              event);
    cl_int error = emu.next->clEnqueueWriteBuffer(queue, buffer, CL_FALSE, offset, size, from, n_wait,
                                                  wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_WRITE_BUFFER, spec_transfer(PATH_UPLOAD, (double)size),
                      BLOCKING(blocking), n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueReadBufferRect(
    cl_command_queue queue, cl_mem buffer, cl_bool blocking, const size_t *buffer_origin,
    const size_t *host_origin, const size_t *region, size_t buffer_row, size_t buffer_slice,
    size_t host_row, size_t host_slice, void *to, cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueReadBufferRect(queue, buffer, blocking, buffer_origin, host_origin,
                                                 region, buffer_row, buffer_slice, host_row, host_slice,
                                                 to, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueReadBufferRect(queue, buffer, CL_FALSE, buffer_origin, host_origin,
                                                     region, buffer_row, buffer_slice, host_row,
                                                     host_slice, to, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_READ_BUFFER_RECT,
                      spec_transfer(PATH_DOWNLOAD, error ? 0 : volume(region)), BLOCKING(blocking),
                      n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueWriteBufferRect(
    cl_command_queue queue, cl_mem buffer, cl_bool blocking, const size_t *buffer_origin,
    const size_t *host_origin, const size_t *region, size_t buffer_row, size_t buffer_slice,
    size_t host_row, size_t host_slice, const void *from, cl_uint n_wait, const cl_event *wait,
    cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueWriteBufferRect(queue, buffer, blocking, buffer_origin, host_origin,
                                                  region, buffer_row, buffer_slice, host_row, host_slice,
                                                  from, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueWriteBufferRect(queue, buffer, CL_FALSE, buffer_origin, host_origin,
                                                      region, buffer_row, buffer_slice, host_row,
                                                      host_slice, from, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_WRITE_BUFFER_RECT,
                      spec_transfer(PATH_UPLOAD, error ? 0 : volume(region)), BLOCKING(blocking), n_wait,
                      wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to,
                                                  size_t from_offset, size_t to_offset, size_t size,
                                                  cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueCopyBuffer(queue, from, to, from_offset, to_offset, size, n_wait, wait,
                                             event);
    cl_int error = emu.next->clEnqueueCopyBuffer(queue, from, to, from_offset, to_offset, size, n_wait,
                                                 wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_COPY_BUFFER, spec_transfer(PATH_DEVICE, (double)size), 0,
                      n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueCopyBufferRect(
    cl_command_queue queue, cl_mem from, cl_mem to, const size_t *from_origin, const size_t *to_origin,
    const size_t *region, size_t from_row, size_t from_slice, size_t to_row, size_t to_slice,
    cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueCopyBufferRect(queue, from, to, from_origin, to_origin, region,
                                                 from_row, from_slice, to_row, to_slice, n_wait, wait,
                                                 event);
    cl_int error = emu.next->clEnqueueCopyBufferRect(queue, from, to, from_origin, to_origin, region,
                                                     from_row, from_slice, to_row, to_slice, n_wait,
                                                     wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_COPY_BUFFER_RECT,
                      spec_transfer(PATH_DEVICE, error ? 0 : volume(region)), 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer,
                                                  const void *pattern, size_t pattern_size,
                                                  size_t offset, size_t size, cl_uint n_wait,
                                                  const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueFillBuffer(queue, buffer, pattern, pattern_size, offset, size, n_wait,
                                             wait, event);
    cl_int error = emu.next->clEnqueueFillBuffer(queue, buffer, pattern, pattern_size, offset, size,
                                                 n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_FILL_BUFFER, spec_transfer(PATH_DEVICE, (double)size), 0,
                      n_wait, wait, event);
}

/* Which maps are writes, and of how much: unmapping those sends the data back. */
struct mapping {
    struct mapping *next;
    cl_mem mem;
    void *at;
    double bytes;
};
static struct mapping *mappings;

struct command_spec spec_map(cl_mem mem, cl_map_flags flags, void *at, double bytes)
{
    if (at && flags & (CL_MAP_WRITE | CL_MAP_WRITE_INVALIDATE_REGION)) {
        struct mapping *m = malloc(sizeof *m);
        *m = (struct mapping){ mappings, mem, at, bytes };
        mappings = m;
    }
    return flags & CL_MAP_WRITE_INVALIDATE_REGION ? spec_marker() : spec_transfer(PATH_DOWNLOAD, bytes);
}

static struct command_spec unmap_spec(cl_mem mem, void *at)
{
    for (struct mapping **link = &mappings; *link; link = &(*link)->next) {
        struct mapping *m = *link;
        if (m->mem == mem && m->at == at) {
            struct command_spec spec = spec_transfer(PATH_UPLOAD, m->bytes);
            *link = m->next;
            free(m);
            return spec;
        }
    }
    return spec_marker();
}

static void *CL_API_CALL emu_clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking,
                                                cl_map_flags flags, size_t offset, size_t size,
                                                cl_uint n_wait, const cl_event *wait, cl_event *event,
                                                cl_int *error_ret)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueMapBuffer(queue, buffer, blocking, flags, offset, size, n_wait, wait,
                                            event, error_ret);
    cl_int error;
    void *at = emu.next->clEnqueueMapBuffer(queue, buffer, CL_FALSE, flags, offset, size, n_wait, wait,
                                            &s.shadow, &error);
    struct command_spec spec = spec_map(buffer, flags, at, (double)size);
    error = submit_end(&s, error, CL_COMMAND_MAP_BUFFER, spec, BLOCKING(blocking), n_wait, wait, event);
    if (error_ret)
        *error_ret = error;
    return at;
}

static cl_int CL_API_CALL emu_clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem mem, void *at,
                                                      cl_uint n_wait, const cl_event *wait,
                                                      cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueUnmapMemObject(queue, mem, at, n_wait, wait, event);
    cl_int error = emu.next->clEnqueueUnmapMemObject(queue, mem, at, n_wait, wait, &s.shadow);
    struct command_spec spec = error ? spec_marker() : unmap_spec(mem, at);
    return submit_end(&s, error, CL_COMMAND_UNMAP_MEM_OBJECT, spec, 0, n_wait, wait, event);
}

/* Where data are is the implementation's business; a hint to move them early costs nothing here. */
static cl_int CL_API_CALL emu_clEnqueueMigrateMemObjects(cl_command_queue queue, cl_uint n,
                                                         const cl_mem *mems,
                                                         cl_mem_migration_flags flags, cl_uint n_wait,
                                                         const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueMigrateMemObjects(queue, n, mems, flags, n_wait, wait, event);
    cl_int error =
        emu.next->clEnqueueMigrateMemObjects(queue, n, mems, flags, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_MIGRATE_MEM_OBJECTS, spec_marker(), 0, n_wait, wait, event);
}

void install_transfers(cl_icd_dispatch *table)
{
    LAYER(clEnqueueReadBuffer);
    LAYER(clEnqueueWriteBuffer);
    LAYER(clEnqueueReadBufferRect);
    LAYER(clEnqueueWriteBufferRect);
    LAYER(clEnqueueCopyBuffer);
    LAYER(clEnqueueCopyBufferRect);
    LAYER(clEnqueueFillBuffer);
    LAYER(clEnqueueMapBuffer);
    LAYER(clEnqueueUnmapMemObject);
    LAYER(clEnqueueMigrateMemObjects);
}
