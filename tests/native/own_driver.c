/* A program without a driver that opens a library with one, for itself alone (-DLIBRARY). */
#include <dlfcn.h>
#include <stdio.h>

#ifdef LIBRARY
int cuInit(unsigned flags);
int cuDeviceGetCount(int *count);

int devices(int *count)
{
    const int result = cuInit(0);
    return result ? result : cuDeviceGetCount(count);
}
#else
int main(void)
{
    int count = 0, (*devices)(int *) = NULL;
    void *library = dlopen("own_driver.so", RTLD_NOW | RTLD_LOCAL);
    if (library)
        *(void **)&devices = dlsym(library, "devices");
    if (!devices)
        return 1;
    const int result = devices(&count);
    printf("%d %d\n", result, count);
    return 0;
}
#endif
