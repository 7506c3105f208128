/* An OpenCL layer that writes down what programs are built from.
 *
 * Each clCreateProgramWithSource leaves NUMBER.cl in the folder $PROGRAMS_CAPTURE, and the program's
 * first build or compilation NUMBER.options beside it.  Everything else goes straight to the driver. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>

/* From cl_layer.h, which Debian's headers may or may not have. */
#define CL_LAYER_API_VERSION 0x4240
#define CL_LAYER_NAME 0x4241
#define CL_LAYER_API_VERSION_100 100
#define MOST 100000

static const cl_icd_dispatch *next;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cl_program programs[MOST];
static int known;

static FILE *open_file(int number, const char *ending)
{
    const char *folder = getenv("PROGRAMS_CAPTURE");
    char path[4096];

    if (!folder)
        return NULL;
    snprintf(path, sizeof path, "%s/%d-%d.%s", folder, (int)getpid(), number, ending);
    return fopen(path, "w");
}

static cl_program CL_API_CALL create(cl_context context, cl_uint count, const char **strings,
                                     const size_t *lengths, cl_int *error)
{
    cl_program program = next->clCreateProgramWithSource(context, count, strings, lengths, error);
    FILE *file;

    if (!program)
        return program;
    pthread_mutex_lock(&lock);
    if (known < MOST && (file = open_file(known, "cl"))) {
        for (cl_uint i = 0; i < count; i++)
            fwrite(strings[i], 1, lengths && lengths[i] ? lengths[i] : strlen(strings[i]), file);
        fclose(file);
        programs[known++] = program;
    }
    pthread_mutex_unlock(&lock);
    return program;
}

static void write_options(cl_program program, const char *options)
{
    pthread_mutex_lock(&lock);
    /* Addresses are used again: the newest counts. */
    for (int i = known - 1; i >= 0; i--)
        if (programs[i] == program) {
            FILE *file = open_file(i, "options");

            if (file) {
                fputs(options ? options : "", file);
                fclose(file);
            }
            break;
        }
    pthread_mutex_unlock(&lock);
}

static cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id *devices,
                                const char *options,
                                void(CL_CALLBACK *done)(cl_program, void *), void *data)
{
    write_options(program, options);
    return next->clBuildProgram(program, count, devices, options, done, data);
}

static cl_int CL_API_CALL compile(cl_program program, cl_uint count, const cl_device_id *devices,
                                  const char *options, cl_uint headers, const cl_program *programs_,
                                  const char **names,
                                  void(CL_CALLBACK *done)(cl_program, void *), void *data)
{
    write_options(program, options);
    return next->clCompileProgram(program, count, devices, options, headers, programs_, names, done,
                                  data);
}

cl_int CL_API_CALL clGetLayerInfo(cl_uint name, size_t size, void *value, size_t *size_ret)
{
    static const cl_uint version = CL_LAYER_API_VERSION_100;
    static const char own_name[] = "capture";
    const void *answer = name == CL_LAYER_API_VERSION ? (const void *)&version : own_name;
    size_t length = name == CL_LAYER_API_VERSION ? sizeof version : sizeof own_name;

    if (name != CL_LAYER_API_VERSION && name != CL_LAYER_NAME)
        return CL_INVALID_VALUE;
    if (value && size < length)
        return CL_INVALID_VALUE;
    if (value)
        memcpy(value, answer, length);
    if (size_ret)
        *size_ret = length;
    return CL_SUCCESS;
}

cl_int CL_API_CALL clInitLayer(cl_uint entries, const cl_icd_dispatch *target, cl_uint *entries_ret,
                               const cl_icd_dispatch **table_ret)
{
    static cl_icd_dispatch table;
    const cl_uint most = sizeof table / sizeof(void *);

    if (!target || !entries_ret || !table_ret)
        return CL_INVALID_VALUE;
    next = target;
    memcpy(&table, target, (entries < most ? entries : most) * sizeof(void *));
    table.clCreateProgramWithSource = create;
    table.clBuildProgram = build;
    table.clCompileProgram = compile;
    *entries_ret = entries < most ? entries : most;
    *table_ret = &table;
    return CL_SUCCESS;
}
