#include "model.h"

#include <math.h>
#include <string.h>

void model_scale(struct model *m, double factor)
{
    m->launch_ns *= factor;
    m->gap_ns *= factor;
    for (int path = 0; path < PATH_COUNT; path++) {
        m->transfer[path].latency_ns *= factor;
        m->transfer[path].ns_per_byte *= factor;
    }
    m->submit_ns *= factor;
    m->poll_period_ns *= factor;
    m->poll_cost_ns *= factor;
    m->default_work_item_ns *= factor;
    for (int k = 0; k < m->kernels; k++) {
        m->kernel[k].work_item_ns *= factor;
        m->kernel[k].wave_ns *= factor;
    }
}

struct work model_work(const struct model *m, const char *kernel, double groups, double local_items)
{
    /* A compute unit holds work-groups up to a number of them and up to a number of work-items; one
     * group always fits, or the driver would have refused the launch. */
    double resident = floor(m->resident_work_items / local_items);
    if (resident > m->resident_work_groups)
        resident = m->resident_work_groups;
    if (resident < 1)
        resident = 1;

    struct work w = { .groups = groups, .slots = m->compute_units * resident };
    double item_ns = m->default_work_item_ns;
    for (int k = 0; k < m->kernels; k++)
        if (strcmp(m->kernel[k].name, kernel) == 0) {
            w.wave_ns = m->kernel[k].wave_ns;
            item_ns = m->kernel[k].work_item_ns;
            break;
        }
    if (w.wave_ns == 0)
        w.wave_ns = item_ns * local_items * w.slots;
    return w;
}

double model_wave_share(const struct model *m, double fill)
{
    return fill + m->tail * (1 - fill);
}

double model_alone_ns(const struct model *m, struct work w)
{
    double full = floor(w.groups / w.slots);
    double rest = w.groups - full * w.slots;
    double waves = full + (rest > 0 ? model_wave_share(m, rest / w.slots) : 0);
    return (waves + m->straggle) * w.wave_ns;
}

double model_transfer_ns(const struct model *m, enum transfer_path path, double bytes)
{
    return m->transfer[path].latency_ns + bytes * m->transfer[path].ns_per_byte;
}
