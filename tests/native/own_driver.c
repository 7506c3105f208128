/* A program with the driver's functions by their names: linked with it (-DLINKED), or by a library that
 * is (-DLIBRARY) and that it opens for itself alone. */
#include <dlfcn.h>
#include <stdio.h>

#if defined LIBRARY || defined LINKED
int cuInit(unsigned flags);
int cuDeviceGetCount(int *count);

int devices(int *count)
{
    const int result = cuInit(0);
    return result ? result : cuDeviceGetCount(count);
}
#endif

#ifndef LIBRARY
int main(void)
{
    int count = 0, (*get)(int *) = NULL;
#ifdef LINKED
    get = devices;
    const int times = 1;
#else
    const int times = 2; /* and is closed, and opened again */
#endif
    for (int i = 0; i < times; i++) {
#ifndef LINKED
        void *library = dlopen("own_driver.so", RTLD_NOW | RTLD_LOCAL);
        if (library)
            *(void **)&get = dlsym(library, "devices");
#endif
        if (!get)
            return 1;
        const int result = get(&count);
        printf("%d %d\n", result, count);
#ifndef LINKED
        dlclose(library);
#endif
    }
    return 0;
}
#endif
