#include "model.h"

#include <math.h>
#include <stdio.h>
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
    m->tick_ns *= factor;
    m->then_after_ns *= factor;
    m->default_work_item_ns *= factor;
    for (int k = 0; k < m->kernels; k++) {
        m->kernel[k].work_item_ns *= factor;
        m->kernel[k].wave_ns *= factor;
    }
}

const struct kernel_cost *model_kernel(const struct model *m, const char *name)
{
    for (int k = 0; k < m->kernels; k++)
        if (strcmp(m->kernel[k].name, name) == 0)
            return &m->kernel[k];
    return NULL;
}

static const char *const wait_names[WAIT_MODES] = { "spin", "interrupt", "poll", "yield", "tick" };
static const char then_word[] = "-then-";

static bool wait_mode(const char *name, size_t length, enum wait_mode *mode)
{
    for (int i = 0; i < WAIT_MODES; i++)
        if (strlen(wait_names[i]) == length && strncmp(name, wait_names[i], length) == 0) {
            *mode = (enum wait_mode)i;
            return true;
        }
    return false;
}

bool model_set_wait(struct model *m, const char *text)
{
    const char *then = strstr(text, then_word);
    if (!wait_mode(text, then ? (size_t)(then - text) : strlen(text), &m->wait))
        return false;
    m->then = m->wait;
    if (!then)
        return true;
    then += strlen(then_word);
    return wait_mode(then, strlen(then), &m->then);
}

void model_wait_text(const struct model *m, char *text, size_t room)
{
    if (m->then == m->wait)
        snprintf(text, room, "%s", wait_names[m->wait]);
    else
        snprintf(text, room, "%s%s%s", wait_names[m->wait], then_word, wait_names[m->then]);
}

bool model_waits_by(const struct model *m, enum wait_mode mode)
{
    return m->wait == mode || m->then == mode;
}

struct work model_work(const struct model *m, const struct kernel_cost *cost, double times,
                       double groups, double local_items)
{
    /* A compute unit holds work-groups up to a number of them and up to a number of work-items; one
     * group always fits, or the driver would have refused the launch. */
    double resident = floor(m->resident_work_items / local_items);
    if (resident > m->resident_work_groups)
        resident = m->resident_work_groups;
    if (resident < 1)
        resident = 1;

    struct work w = { .groups = groups, .slots = m->compute_units * resident };
    double item_ns = cost ? cost->work_item_ns : m->default_work_item_ns;
    w.wave_ns = cost && cost->wave_ns > 0 ? cost->wave_ns : item_ns * local_items * w.slots;
    w.wave_ns *= times;
    if (!(w.wave_ns >= 1)) /* no clock shows less, and a time of 0 or below would stop the timeline */
        w.wave_ns = 1;
    return w;
}

double model_throughput(const struct model *m, double fill)
{
    if (fill <= 0)
        return 0;
    return fill >= m->tail ? 1 : fill / m->tail;
}

double model_transfer_ns(const struct model *m, enum transfer_path path, double bytes)
{
    return m->transfer[path].latency_ns + bytes * m->transfer[path].ns_per_byte;
}
