/* Image transfers: as transfers.c, with sizes in pixels. */
#include "layer.h"
#include "submit.h"

#define BLOCKING(flag) ((flag) ? SUBMIT_BLOCKING : 0)

static double bytes_of(cl_mem image, const size_t *region)
{
    size_t element = 0;
    if (!region || emu.next->clGetImageInfo(image, CL_IMAGE_ELEMENT_SIZE, sizeof element, &element, NULL))
        return 0;
    return (double)element * (double)region[0] * (double)region[1] * (double)region[2];
}

static cl_int CL_API_CALL emu_clEnqueueReadImage(cl_command_queue queue, cl_mem image, cl_bool blocking,
                                                 const size_t *origin, const size_t *region, size_t row,
                                                 size_t slice, void *to, cl_uint n_wait,
                                                 const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueReadImage(queue, image, blocking, origin, region, row, slice, to,
                                            n_wait, wait, event);
    cl_int error = emu.next->clEnqueueReadImage(queue, image, CL_FALSE, origin, region, row, slice, to,
                                                n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_READ_IMAGE,
                      spec_transfer(PATH_DOWNLOAD, bytes_of(image, region)), BLOCKING(blocking), n_wait,
                      wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueWriteImage(cl_command_queue queue, cl_mem image, cl_bool blocking,
                                                  const size_t *origin, const size_t *region, size_t row,
                                                  size_t slice, const void *from, cl_uint n_wait,
                                                  const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueWriteImage(queue, image, blocking, origin, region, row, slice, from,
                                             n_wait, wait, event);
    cl_int error = emu.next->clEnqueueWriteImage(queue, image, CL_FALSE, origin, region, row, slice,
                                                 from, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_WRITE_IMAGE,
                      spec_transfer(PATH_UPLOAD, bytes_of(image, region)), BLOCKING(blocking), n_wait,
                      wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueCopyImage(cl_command_queue queue, cl_mem from, cl_mem to,
                                                 const size_t *from_origin, const size_t *to_origin,
                                                 const size_t *region, cl_uint n_wait,
                                                 const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueCopyImage(queue, from, to, from_origin, to_origin, region, n_wait,
                                            wait, event);
    cl_int error = emu.next->clEnqueueCopyImage(queue, from, to, from_origin, to_origin, region, n_wait,
                                                wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_COPY_IMAGE,
                      spec_transfer(PATH_DEVICE, bytes_of(from, region)), 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueCopyImageToBuffer(cl_command_queue queue, cl_mem image,
                                                         cl_mem buffer, const size_t *origin,
                                                         const size_t *region, size_t offset,
                                                         cl_uint n_wait, const cl_event *wait,
                                                         cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueCopyImageToBuffer(queue, image, buffer, origin, region, offset, n_wait,
                                                    wait, event);
    cl_int error = emu.next->clEnqueueCopyImageToBuffer(queue, image, buffer, origin, region, offset,
                                                        n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_COPY_IMAGE_TO_BUFFER,
                      spec_transfer(PATH_DEVICE, bytes_of(image, region)), 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueCopyBufferToImage(cl_command_queue queue, cl_mem buffer,
                                                         cl_mem image, size_t offset,
                                                         const size_t *origin, const size_t *region,
                                                         cl_uint n_wait, const cl_event *wait,
                                                         cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueCopyBufferToImage(queue, buffer, image, offset, origin, region, n_wait,
                                                    wait, event);
    cl_int error = emu.next->clEnqueueCopyBufferToImage(queue, buffer, image, offset, origin, region,
                                                        n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_COPY_BUFFER_TO_IMAGE,
                      spec_transfer(PATH_DEVICE, bytes_of(image, region)), 0, n_wait, wait, event);
}

static cl_int CL_API_CALL emu_clEnqueueFillImage(cl_command_queue queue, cl_mem image, const void *color,
                                                 const size_t *origin, const size_t *region,
                                                 cl_uint n_wait, const cl_event *wait, cl_event *event)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueFillImage(queue, image, color, origin, region, n_wait, wait, event);
    cl_int error =
        emu.next->clEnqueueFillImage(queue, image, color, origin, region, n_wait, wait, &s.shadow);
    return submit_end(&s, error, CL_COMMAND_FILL_IMAGE,
                      spec_transfer(PATH_DEVICE, bytes_of(image, region)), 0, n_wait, wait, event);
}

static void *CL_API_CALL emu_clEnqueueMapImage(cl_command_queue queue, cl_mem image, cl_bool blocking,
                                               cl_map_flags flags, const size_t *origin,
                                               const size_t *region, size_t *row, size_t *slice,
                                               cl_uint n_wait, const cl_event *wait, cl_event *event,
                                               cl_int *error_ret)
{
    struct submission s;
    if (!submit_begin(&s, queue))
        return emu.next->clEnqueueMapImage(queue, image, blocking, flags, origin, region, row, slice,
                                           n_wait, wait, event, error_ret);
    cl_int error;
    void *at = emu.next->clEnqueueMapImage(queue, image, CL_FALSE, flags, origin, region, row, slice,
                                           n_wait, wait, &s.shadow, &error);
    struct command_spec spec = spec_map(image, flags, at, bytes_of(image, region));
    error = submit_end(&s, error, CL_COMMAND_MAP_IMAGE, spec, BLOCKING(blocking), n_wait, wait, event);
    if (error_ret)
        *error_ret = error;
    return at;
}

void install_images(cl_icd_dispatch *table)
{
    LAYER(clEnqueueReadImage);
    LAYER(clEnqueueWriteImage);
    LAYER(clEnqueueCopyImage);
    LAYER(clEnqueueCopyImageToBuffer);
    LAYER(clEnqueueCopyBufferToImage);
    LAYER(clEnqueueFillImage);
    LAYER(clEnqueueMapImage);
}
