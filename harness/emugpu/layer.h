/* Each file of entry points puts its own into the layer's dispatch table; what nobody claims goes to
 * the implementation below. */
#ifndef EMUGPU_LAYER_H
#define EMUGPU_LAYER_H

#include "state.h"

void install_devices(cl_icd_dispatch *table);
void install_queues(cl_icd_dispatch *table);
void install_kernels(cl_icd_dispatch *table);
void install_transfers(cl_icd_dispatch *table);
void install_images(cl_icd_dispatch *table);
void install_svm(cl_icd_dispatch *table);
void install_events(cl_icd_dispatch *table);
void install_callbacks(cl_icd_dispatch *table);

#define LAYER(name) table->name = emu_##name

/* Answers a clGet...Info query with `size` bytes at `value`. */
cl_int answer(const void *value, size_t size, size_t room, void *to, size_t *size_ret);
#define ANSWER(type, expression)                                                          \
    do {                                                                                  \
        type answer_ = (expression);                                                      \
        return answer(&answer_, sizeof answer_, param_value_size, param_value, param_value_size_ret); \
    } while (0)

#endif
