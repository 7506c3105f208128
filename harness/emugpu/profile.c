#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toml.h"

/* The default profile is the file itself, so that there is one source of its figures. */
__asm__(".section .rodata\n"
        "emugpu_default_profile:\n"
        ".incbin \"profiles/radeon-hd6570.toml\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char emugpu_default_profile[];

enum field_type {
    FIELD_TEXT,
    FIELD_UNSIGNED, /* a whole number */
    FIELD_BYTES,    /* a whole number x factor, 64 bits */
    FIELD_TIME,     /* a number x factor */
    FIELD_RATE,     /* factor / a number: bandwidths become time per byte */
    FIELD_WAIT, /* no offset: it sets two members */
};

struct field {
    const char *table, *key;
    enum field_type type;
    size_t offset;
    double factor, least, most;
};

#define US 1e3
#define MAX_TIME 1e12 /* 1000 s: more is a wrong unit */
#define AT(member) offsetof(struct model, member)
#define TRANSFER(name, path)                                                                      \
    { "transfer." name, "latency_us", FIELD_TIME, AT(transfer[path].latency_ns), US, 0, MAX_TIME }, \
    { "transfer." name, "gigabytes_per_s", FIELD_RATE, AT(transfer[path].ns_per_byte), 1, 1e-6, 1e6 }

/* Everything a profile must have, [kernels.*] and compute_capability aside. */
static const struct field fields[] = {
    { "card", "name", FIELD_TEXT, AT(name), 0, 0, sizeof(((struct model *)0)->name) },
    { "card", "vendor", FIELD_TEXT, AT(vendor), 0, 0, sizeof(((struct model *)0)->vendor) },
    { "card", "vendor_id", FIELD_UNSIGNED, AT(vendor_id), 1, 0, 0xFFFFFFFFu },
    { "card", "vendor_queries", FIELD_TEXT, AT(vendor_queries), 0, 0,
      sizeof(((struct model *)0)->vendor_queries) },
    { "card", "compute_units", FIELD_UNSIGNED, AT(compute_units), 1, 1, 65536 },
    { "card", "cores_per_unit", FIELD_UNSIGNED, AT(cores_per_unit), 1, 1, 65536 },
    { "card", "wavefront", FIELD_UNSIGNED, AT(wavefront), 1, 1, 1024 },
    { "card", "clock_mhz", FIELD_UNSIGNED, AT(clock_mhz), 1, 1, 100000 },
    { "card", "max_work_group_size", FIELD_UNSIGNED, AT(max_work_group_size), 1, 1, 65536 },
    { "card", "global_memory_mib", FIELD_BYTES, AT(global_mem), 1 << 20, 1, 1 << 24 },
    { "card", "local_memory_kib", FIELD_BYTES, AT(local_mem), 1 << 10, 1, 1 << 20 },
    { "execution", "resident_work_groups", FIELD_UNSIGNED, AT(resident_work_groups), 1, 1, 65536 },
    { "execution", "resident_work_items", FIELD_UNSIGNED, AT(resident_work_items), 1, 1, 1 << 20 },
    { "execution", "launch_latency_us", FIELD_TIME, AT(launch_ns), US, 0, MAX_TIME },
    { "execution", "gap_us", FIELD_TIME, AT(gap_ns), US, 0, MAX_TIME },
    { "execution", "tail", FIELD_TIME, AT(tail), 1, 0, 1 },
    { "execution", "straggle", FIELD_TIME, AT(straggle), 1, 0, 10 },
    TRANSFER("upload", PATH_UPLOAD),
    TRANSFER("download", PATH_DOWNLOAD),
    TRANSFER("device", PATH_DEVICE),
    { "driver", "wait", FIELD_WAIT, 0, 0, 0, 0 },
    { "driver", "then_after_us", FIELD_TIME, AT(then_after_ns), US, 0, MAX_TIME },
    { "driver", "submit_us", FIELD_TIME, AT(submit_ns), US, 0, MAX_TIME },
    { "driver", "poll_period_us", FIELD_TIME, AT(poll_period_ns), US, 0, MAX_TIME },
    { "driver", "poll_cost_us", FIELD_TIME, AT(poll_cost_ns), US, 0, MAX_TIME },
    { "driver", "tick_us", FIELD_TIME, AT(tick_ns), US, 0, MAX_TIME },
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

struct reading {
    struct model *model;
    bool given[N_FIELDS];
    bool default_given;
};

#define REFUSE(...) return snprintf(message, room, __VA_ARGS__), false

static bool in_range(const struct toml_value *value, double least, double most, bool whole,
                     const char *key, char *message, size_t room)
{
    bool number = value->type == TOML_INTEGER || (!whole && value->type == TOML_FLOAT);
    if (!number || value->number < least || value->number > most)
        REFUSE("%s must be a %s from %.10g to %.10g", key, whole ? "whole number" : "number", least,
               most);
    return true;
}

static bool set_field(struct model *model, const struct field *f, const struct toml_value *value,
                      char *message, size_t room)
{
    char *at = (char *)model + f->offset;
    bool whole = f->type == FIELD_UNSIGNED || f->type == FIELD_BYTES;
    switch (f->type) {
    case FIELD_TEXT:
        if (value->type != TOML_STRING || strlen(value->text) >= f->most)
            REFUSE("%s must be a string of less than %g bytes", f->key, f->most);
        strcpy(at, value->text);
        return true;
    case FIELD_WAIT:
        if (value->type != TOML_STRING || !model_set_wait(model, value->text))
            REFUSE("%s must be " PROFILE_WAITS, f->key);
        return true;
    default:
        break;
    }
    if (!in_range(value, f->least, f->most, whole, f->key, message, room))
        return false;
    if (f->type == FIELD_UNSIGNED)
        *(unsigned *)at = (unsigned)value->number;
    else if (f->type == FIELD_BYTES)
        *(uint64_t *)at = (uint64_t)(value->number * f->factor);
    else
        *(double *)at = f->type == FIELD_RATE ? f->factor / value->number : value->number * f->factor;
    return true;
}

/* The entry of a kernel, made if it is new; NULL if there are too many. */
static struct kernel_cost *entry_of(struct model *model, const char *name)
{
    for (int k = 0; k < model->kernels; k++)
        if (strcmp(model->kernel[k].name, name) == 0)
            return &model->kernel[k];
    if (model->kernels == MODEL_MAX_KERNELS || strlen(name) >= sizeof model->kernel[0].name)
        return NULL;
    struct kernel_cost *cost = &model->kernel[model->kernels++];
    *cost = (struct kernel_cost){ .times_argument = -1 };
    strcpy(cost->name, name);
    return cost;
}

/* "default" is a keyword of C, so no kernel is called so. */
static bool set_kernel(struct reading *r, const char *name, const char *key,
                       const struct toml_value *value, char *message, size_t room)
{
    struct model *m = r->model;
    struct kernel_cost *cost = NULL;
    if (strcmp(name, "default") == 0) {
        if (strcmp(key, "work_item_ns") != 0)
            REFUSE("[kernels.default] has no key %s", key);
        r->default_given = true;
    } else if (!(cost = entry_of(m, name))) {
        REFUSE("more than %d kernels, or a name that is too long", MODEL_MAX_KERNELS);
    }
    if (strcmp(key, "work_item_ns") == 0) {
        *(cost ? &cost->work_item_ns : &m->default_work_item_ns) = value->number;
        return in_range(value, 1e-9, MAX_TIME, false, key, message, room);
    }
    if (strcmp(key, "wave_us") == 0) {
        cost->wave_ns = value->number * US;
        return in_range(value, 1e-6, MAX_TIME / US, false, key, message, room);
    }
    if (strcmp(key, "times_argument") == 0) {
        if (!in_range(value, 0, 255, true, key, message, room))
            return false;
        cost->times_argument = (int)value->number;
        return true;
    }
    REFUSE("[kernels.%s] has no key %s", name, key);
}

static bool visit(void *data, const char *table, const char *key, const struct toml_value *value,
                  char *message, size_t room)
{
    struct reading *r = data;
    for (int f = 0; f < N_FIELDS; f++)
        if (strcmp(fields[f].table, table) == 0 && strcmp(fields[f].key, key) == 0) {
            r->given[f] = true;
            return set_field(r->model, &fields[f], value, message, room);
        }
    if (strncmp(table, "kernels.", 8) == 0)
        return set_kernel(r, table + 8, key, value, message, room);
    if (strcmp(table, "card") == 0 && strcmp(key, "compute_capability") == 0) {
        if (value->type != TOML_INTEGERS || value->n_numbers != 2)
            REFUSE("compute_capability must be [major, minor]");
        for (int i = 0; i < 2; i++) {
            if (value->numbers[i] < 0 || value->numbers[i] > 99)
                REFUSE("compute_capability must be [major, minor]");
            r->model->compute_capability[i] = (unsigned)value->numbers[i];
        }
        return true;
    }
    REFUSE("there is no key %s in [%s]", key, table);
}

const char *const profile_times[] = {
    "submit_us", "launch_latency_us", "gap_us", "then_after_us", "poll_period_us", "poll_cost_us", "tick_us",
    NULL,
};

bool profile_set_time(struct model *model, const char *key, const char *text, char *message, size_t room)
{
    const struct field *f = fields;
    while (strcmp(f->key, key) != 0)
        f++;
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= f->least && number <= f->most))
        REFUSE("must be a number from %.10g to %.10g", f->least, f->most);
    *(double *)((char *)model + f->offset) = number * f->factor;
    return true;
}

/* What one time of the driver alone can't tell. */
bool profile_check_driver(const struct model *m, char *message, size_t room)
{
    if (m->gap_ns > m->launch_ns)
        REFUSE("gap_us is a part of launch_latency_us and can't be more");
    if (model_waits_by(m, WAIT_POLL) && m->poll_period_ns <= 0)
        REFUSE("poll_period_us must be above 0 to poll");
    if (model_waits_by(m, WAIT_TICK) && m->tick_ns <= 0)
        REFUSE("tick_us must be above 0 to sleep by ticks");
    return true;
}

/* What one key alone can't tell. */
static bool check(const struct reading *r, char *message, size_t room)
{
    const struct model *m = r->model;
    for (int f = 0; f < N_FIELDS; f++)
        if (!r->given[f])
            REFUSE("[%s] %s is missing", fields[f].table, fields[f].key);
    if (!r->default_given)
        REFUSE("[kernels.default] work_item_ns is missing");
    for (int k = 0; k < m->kernels; k++)
        if ((m->kernel[k].work_item_ns > 0) == (m->kernel[k].wave_ns > 0))
            REFUSE("[kernels.%s] must have either work_item_ns or wave_us", m->kernel[k].name);
    bool amd = strcmp(m->vendor_queries, "amd") == 0;
    if (!amd && strcmp(m->vendor_queries, "nvidia") != 0 && *m->vendor_queries)
        REFUSE("vendor_queries must be \"amd\", \"nvidia\" or \"\"");
    if (amd && (m->wavefront % 4 || m->cores_per_unit % (m->wavefront / 4)))
        REFUSE("an AMD card's cores_per_unit must be a multiple of wavefront / 4");
    if (strcmp(m->vendor_queries, "nvidia") == 0 && !m->compute_capability[0])
        REFUSE("compute_capability is missing");
    return profile_check_driver(m, message, room);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    enum { ROOM = 1 << 16 };
    char *text = calloc(1, ROOM + 1);
    size_t size = text ? fread(text, 1, ROOM, file) : 0;
    bool bad = !text || ferror(file) || !feof(file) || strlen(text) != size;
    int error = ferror(file) ? errno : EFBIG;
    fclose(file);
    if (bad) {
        free(text);
        errno = error;
        return NULL;
    }
    return text;
}

bool profile_read(const char *path, struct model *model, char *message, size_t room)
{
    char problem[256];
    struct reading r = { .model = model };
    memset(model, 0, sizeof *model);
    char *text = NULL;
    if (path && !(text = read_file(path)))
        REFUSE("profile %s: %s", path, strerror(errno));
    bool ok = toml_read(path ? text : emugpu_default_profile, visit, &r, problem, sizeof problem) &&
              check(&r, problem, sizeof problem);
    free(text);
    if (!ok)
        REFUSE("profile %s: %s", path ? path : "(built in)", problem);
    return true;
}
