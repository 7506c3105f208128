/* Loads the layer as OpenCL loaders do, with an implementation below that only counts its calls.
 *
 *   loader-test LAYER clInitLayer | clInitLayerWithProperties
 *
 * ocl-icd and older Khronos loaders call the first, newer Khronos loaders the second. */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                 \
    do {                                                                   \
        if (!(condition)) {                                                \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

typedef cl_int get_info(cl_uint, size_t, void *, size_t *);
typedef cl_int init_layer(cl_uint, const cl_icd_dispatch *, cl_uint *, const cl_icd_dispatch **);
typedef cl_int init_with_properties(cl_uint, const cl_icd_dispatch *, cl_uint *,
                                    const cl_icd_dispatch **, const intptr_t *);

enum { KNOWN = sizeof(cl_icd_dispatch) / sizeof(void *), FUTURE = KNOWN + 40 };

static int flushes;

static cl_int CL_API_CALL count_flush(cl_command_queue queue)
{
    (void)queue;
    flushes++;
    return CL_SUCCESS;
}

int main(int n_args, char **args)
{
    REQUIRE(n_args == 3);
    void *library = dlopen(args[1], RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library);
    get_info *info = (get_info *)dlsym(library, "clGetLayerInfo");
    void *init = dlsym(library, args[2]);
    REQUIRE(info && init);

    cl_uint version = 0;
    char name[32];
    size_t size = 0;
    REQUIRE(info(0x4240 /* CL_LAYER_API_VERSION */, sizeof version, &version, &size) == CL_SUCCESS);
    REQUIRE(version == 100 && size == sizeof version);
    REQUIRE(info(0x4241 /* CL_LAYER_NAME */, sizeof name, name, NULL) == CL_SUCCESS);
    REQUIRE(strcmp(name, "emugpu") == 0);
    REQUIRE(info(0x4240, 1, &version, NULL) == CL_INVALID_VALUE);
    REQUIRE(info(0x9999, sizeof version, &version, NULL) == CL_INVALID_VALUE);

    /* A loader newer than the layer: its table is longer. */
    static void *below[FUTURE];
    const cl_icd_dispatch *table = NULL;
    cl_uint n = 0;
    ((cl_icd_dispatch *)below)->clFlush = count_flush;
    if (strcmp(args[2], "clInitLayer") == 0) {
        REQUIRE(((init_layer *)init)(FUTURE, NULL, &n, &table) == CL_INVALID_VALUE);
        REQUIRE(((init_layer *)init)(FUTURE, (void *)below, &n, &table) == CL_SUCCESS);
    } else {
        REQUIRE(((init_with_properties *)init)(FUTURE, (void *)below, &n, &table, NULL) == CL_SUCCESS);
    }
    REQUIRE(n == KNOWN && table);

    /* What the layer knows is its own, what it doesn't know is what lies below. */
    REQUIRE(table->clEnqueueNDRangeKernel);
    REQUIRE(table->clFlush == count_flush);
    table->clFlush(NULL);
    REQUIRE(flushes == 1);
    REQUIRE(table->clCreateBuffer == NULL);
    printf("ok\n");
    return 0;
}
