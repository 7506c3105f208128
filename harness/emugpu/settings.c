#include "settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The paper's card. Its 5120 x 5120 launch of 16 x 16 work-groups is 2134 waves of 48 work-groups and
 * takes 65/4 s. */
static const struct model hd6570 = {
    .name = "AMD Radeon HD 6570",
    .vendor = "Advanced Micro Devices, Inc.",
    .vendor_queries = "amd",
    .vendor_id = 0x1002,
    .compute_units = 6,
    .cores_per_unit = 80,
    .wavefront = 64,
    .clock_mhz = 650,
    .max_work_group_size = 256,
    .global_mem = 2ull << 30,
    .local_mem = 32 << 10,
    .resident_work_groups = 8,
    .resident_work_items = 2048,
    .launch_ns = 50e3,
    .gap_ns = 10e3,
    .tail = 1,
    .straggle = 0,
    .transfer = { [PATH_UPLOAD] = { 20e3, 1 / 5.0 },
                  [PATH_DOWNLOAD] = { 20e3, 1 / 5.0 },
                  [PATH_DEVICE] = { 10e3, 1 / 12.0 } },
    .wait = WAIT_SPIN,
    .submit_ns = 5e3,
    .poll_period_ns = 50e3,
    .poll_cost_ns = 1e3,
    .default_work_item_ns = 619.692751,
};

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

bool settings_read(struct settings *s, char *message, size_t room)
{
    s->model = hd6570;

    const char *scale = variable("EMUGPU_SCALE", "1");
    char *end;
    s->scale = strtod(scale, &end);
    if (*end || !isfinite(s->scale) || s->scale <= 0) {
        snprintf(message, room, "EMUGPU_SCALE=%s: must be a number above 0", scale);
        return false;
    }
    const char *exec = variable("EMUGPU_EXEC", "full");
    s->execute = strcmp(exec, "full") == 0;
    if (!s->execute && strcmp(exec, "none") != 0) {
        snprintf(message, room, "EMUGPU_EXEC=%s: must be full or none", exec);
        return false;
    }
    const char *wait = variable("EMUGPU_WAIT", "");
    if (strcmp(wait, "spin") == 0) {
        s->model.wait = WAIT_SPIN;
    } else if (strcmp(wait, "interrupt") == 0) {
        s->model.wait = WAIT_INTERRUPT;
    } else if (strcmp(wait, "poll") == 0) {
        s->model.wait = WAIT_POLL;
    } else if (*wait) {
        snprintf(message, room, "EMUGPU_WAIT=%s: must be spin, interrupt or poll", wait);
        return false;
    }
    model_scale(&s->model, s->scale);
    return true;
}
