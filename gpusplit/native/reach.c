#define _GNU_SOURCE
#include "reach.h"

#include <dlfcn.h>
#include <string.h>

#include "cuda.h"
#include "drivers.h"

#if defined __x86_64__
#define DLSYM_VERSION "GLIBC_2.2.5"
#elif defined __aarch64__
#define DLSYM_VERSION "GLIBC_2.17"
#else
#error "gpusplit's library is for x86-64 and AArch64 Linux"
#endif

typedef void *dlsym_fn(void *, const char *);

/* Sanitizers call dlsym before anything that they have changed can run. */
#define EARLY __attribute__((no_sanitize("address"), no_sanitize("undefined"), no_sanitize("thread")))

/* Hidden, so that the jump below finds it without a table. */
__attribute__((visibility("hidden"))) dlsym_fn *reach_dlsym;

EARLY __attribute__((constructor)) static void find_dlsym(void)
{
    if (reach_dlsym)
        return;
    dlsym_fn *found = (dlsym_fn *)dlvsym(RTLD_NEXT, "dlsym", DLSYM_VERSION);
    /* A C library that is no glibc, or one to come: it has no older version. */
    reach_dlsym = found ? found : (dlsym_fn *)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
}

void *reach_real(void *handle, const char *name)
{
    find_dlsym();
    return reach_dlsym ? reach_dlsym(handle, name) : NULL;
}

/* Behind us where the program is linked with the driver; elsewhere for a library that is linked with
 * it and was itself opened for nobody else (an extension module of Python's, say). */
void *reach_driver(const char *name)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    void *found = reach_real(RTLD_NEXT, name); /* last, for dlerror to tell of */
    if (driver) {
        found = found ? found : reach_real(driver, name);
        dlclose(driver);
    }
    return found;
}

/* Called by dlsym below before anything else: the function that answers it, which is the real one
 * for all names but CUDA's and those by which OpenCL's drivers are found, and for handles whose
 * meaning depends on who asks. */
__attribute__((visibility("hidden"), used)) dlsym_fn *reach_choose(void *handle, const char *name);

static void *by_name(void *handle, const char *name)
{
    void *real = reach_dlsym(handle, name);
    return !real ? NULL : name[1] == 'u' ? cuda_instead(real) : drivers_instead(real, name);
}

/* Where no driver is, nothing is behind us, and we are nothing either. */
static void *behind(void *handle, const char *name)
{
    void *found = reach_dlsym(handle, name);
    __asm__("" : "+r"(found)); /* no jump: the caller is to be this library */
    return found;
}

EARLY dlsym_fn *reach_choose(void *handle, const char *name)
{
    find_dlsym();
    if (name && name[0] == 'c' && name[1] == 'l' && handle != RTLD_NEXT && handle != RTLD_DEFAULT)
        return drivers_has(name) ? by_name : reach_dlsym;
    if (!name || name[0] != 'c' || name[1] != 'u' || !cuda_has(name))
        return reach_dlsym;
    return handle != RTLD_NEXT ? by_name : reach_driver(name) ? reach_dlsym : behind;
}

/* A jump, not a call: for the C library the caller is then the program's own code, by whose place
 * it decides what RTLD_NEXT and RTLD_DEFAULT mean. */
#if defined __x86_64__
__asm__(".text\n.globl dlsym\n.type dlsym, @function\ndlsym:\n"
        "  .cfi_startproc\n"
        "  endbr64\n"
        "  push %rdi\n  .cfi_adjust_cfa_offset 8\n"
        "  push %rsi\n  .cfi_adjust_cfa_offset 8\n"
        "  sub $8, %rsp\n  .cfi_adjust_cfa_offset 8\n"
        "  call reach_choose\n"
        "  add $8, %rsp\n  .cfi_adjust_cfa_offset -8\n"
        "  pop %rsi\n  .cfi_adjust_cfa_offset -8\n"
        "  pop %rdi\n  .cfi_adjust_cfa_offset -8\n"
        "  jmp *%rax\n"
        "  .cfi_endproc\n.size dlsym, .-dlsym\n");
#else
__asm__(".text\n.globl dlsym\n.type dlsym, %function\ndlsym:\n"
        "  .cfi_startproc\n"
        "  stp x29, x30, [sp, #-32]!\n  .cfi_def_cfa_offset 32\n"
        "  .cfi_offset 29, -32\n  .cfi_offset 30, -24\n"
        "  stp x0, x1, [sp, #16]\n"
        "  bl reach_choose\n"
        "  mov x16, x0\n"
        "  ldp x0, x1, [sp, #16]\n"
        "  ldp x29, x30, [sp], #32\n  .cfi_restore 29\n  .cfi_restore 30\n  .cfi_def_cfa_offset 0\n"
        "  br x16\n"
        "  .cfi_endproc\n.size dlsym, .-dlsym\n");
#endif
