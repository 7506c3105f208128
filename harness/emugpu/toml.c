#include "toml.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME 128
#define MAX_KEYS 256

struct reader {
    const char *at;
    int line;
    char table[MAX_NAME];
    /* "table\nkey" of everything seen, to find doubles; tables with an empty key. */
    char seen[MAX_KEYS][2 * MAX_NAME + 2];
    int n_seen;
    char problem[256];
};

static bool wrong(struct reader *r, const char *what)
{
    snprintf(r->problem, sizeof r->problem, "%s", what);
    return false;
}

static void skip_blanks(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\t')
        r->at++;
}

/* Nothing but a comment may follow on the line. */
static bool end_of_line(struct reader *r)
{
    skip_blanks(r);
    if (*r->at == '#')
        while (*r->at && *r->at != '\n')
            r->at++;
    if (*r->at == '\r' && r->at[1] == '\n')
        r->at++;
    if (*r->at && *r->at != '\n')
        return wrong(r, "unexpected text at the end of the line");
    return true;
}

static bool read_string(struct reader *r, char *to, size_t room)
{
    size_t n = 0;
    r->at++; /* the opening quote */
    while (*r->at != '"') {
        if (*r->at == '\0' || *r->at == '\n')
            return wrong(r, "a string without its closing quote");
        if (*r->at == '\\')
            return wrong(r, "escapes in strings are not supported");
        if ((unsigned char)*r->at < 0x20)
            return wrong(r, "a control character in a string");
        if (n + 1 >= room)
            return wrong(r, "a string that is too long");
        to[n++] = *r->at++;
    }
    to[n] = '\0';
    r->at++;
    return true;
}

static bool read_bare(struct reader *r, char *to, size_t room)
{
    size_t n = 0;
    while (isalnum((unsigned char)*r->at) || *r->at == '_' || *r->at == '-') {
        if (n + 1 >= room)
            return wrong(r, "a name that is too long");
        to[n++] = *r->at++;
    }
    to[n] = '\0';
    return n > 0 || wrong(r, "a name is missing");
}

static bool remember(struct reader *r, const char *key)
{
    char name[sizeof r->seen[0]];
    snprintf(name, sizeof name, "%s\n%s", r->table, key);
    for (int i = 0; i < r->n_seen; i++)
        if (strcmp(r->seen[i], name) == 0) {
            snprintf(r->problem, sizeof r->problem, "%s is given twice", *key ? key : r->table);
            return false;
        }
    if (r->n_seen == MAX_KEYS)
        return wrong(r, "too many keys");
    memcpy(r->seen[r->n_seen++], name, sizeof name);
    return true;
}

static bool read_table(struct reader *r)
{
    char part[MAX_NAME];
    size_t n = 0;
    r->at++; /* the bracket */
    if (*r->at == '[')
        return wrong(r, "arrays of tables are not supported");
    for (;;) {
        skip_blanks(r);
        if (!(*r->at == '"' ? read_string : read_bare)(r, part, sizeof part))
            return false;
        n += (size_t)snprintf(r->table + n, sizeof r->table - n, "%s%s", n ? "." : "", part);
        if (n >= sizeof r->table)
            return wrong(r, "a name that is too long");
        skip_blanks(r);
        if (*r->at == ']')
            break;
        if (*r->at != '.')
            return wrong(r, "a table's name must end with ]");
        r->at++;
    }
    r->at++;
    return remember(r, "") && end_of_line(r);
}

/* Digits with single underscores between them, copied without the underscores. */
static bool read_number(struct reader *r, double *number, bool *is_float)
{
    char digits[64];
    size_t n = 0;
    bool hexadecimal = r->at[0] == '0' && r->at[1] == 'x';
    while (isalnum((unsigned char)*r->at) || strchr("+-._", *r->at)) {
        if (*r->at == '\0' || n + 1 >= sizeof digits)
            break;
        if (*r->at == '_') {
            if (n == 0 || !isxdigit((unsigned char)digits[n - 1]) || !isxdigit((unsigned char)r->at[1]))
                return wrong(r, "not a number");
            r->at++;
            continue;
        }
        digits[n++] = *r->at++;
    }
    digits[n] = '\0';
    char *end;
    if (hexadecimal) {
        *is_float = false;
        *number = (double)strtoull(digits + 2, &end, 16);
        return (n > 2 && n < 16 && *end == '\0') || wrong(r, "not a number");
    }
    *is_float = strpbrk(digits, ".eE") != NULL;
    /* strtod also takes what TOML doesn't: hexadecimal floats, "1.", ".5", "nan", leading zeros. */
    const char *first = digits + (digits[0] == '-' || digits[0] == '+');
    const char *point = strchr(digits, '.');
    bool shape = isdigit((unsigned char)*first) &&
                 !(first[0] == '0' && isdigit((unsigned char)first[1])) &&
                 strspn(first, "0123456789.eE+-") == strlen(first) &&
                 (!point || isdigit((unsigned char)point[1]));
    *number = strtod(digits, &end);
    return (shape && *end == '\0' && isfinite(*number)) || wrong(r, "not a number");
}

static bool read_value(struct reader *r, struct toml_value *value)
{
    bool is_float = false;
    memset(value, 0, sizeof *value);
    if (*r->at == '"') {
        value->type = TOML_STRING;
        return read_string(r, value->text, sizeof value->text);
    }
    if (*r->at == '[') {
        value->type = TOML_INTEGERS;
        r->at++;
        for (skip_blanks(r); *r->at != ']'; skip_blanks(r)) {
            if (value->n_numbers == TOML_MAX_ARRAY)
                return wrong(r, "an array that is too long");
            if (!read_number(r, &value->numbers[value->n_numbers++], &is_float))
                return false;
            if (is_float)
                return wrong(r, "only integers are supported in arrays");
            skip_blanks(r);
            if (*r->at == ',')
                r->at++;
            else if (*r->at != ']')
                return wrong(r, "an array without its closing bracket on the line");
        }
        r->at++;
        return true;
    }
    if (*r->at == '\'' || *r->at == '{' || strncmp(r->at, "true", 4) == 0 ||
        strncmp(r->at, "false", 5) == 0)
        return wrong(r, "only \"strings\", numbers and arrays of integers are supported");
    bool ok = read_number(r, &value->number, &is_float);
    value->type = is_float ? TOML_FLOAT : TOML_INTEGER;
    return ok;
}

static bool read_line(struct reader *r, toml_visit *visit, void *data)
{
    char key[MAX_NAME];
    struct toml_value value;
    skip_blanks(r);
    if (*r->at == '[')
        return read_table(r);
    if (*r->at == '#' || *r->at == '\n' || *r->at == '\r' || *r->at == '\0')
        return end_of_line(r);
    if (!read_bare(r, key, sizeof key))
        return false;
    skip_blanks(r);
    if (*r->at != '=')
        return wrong(r, "a key must be followed by = and its value on one line");
    r->at++;
    skip_blanks(r);
    return read_value(r, &value) && end_of_line(r) && remember(r, key) &&
           visit(data, r->table, key, &value, r->problem, sizeof r->problem);
}

bool toml_read(const char *text, toml_visit *visit, void *data, char *message, size_t room)
{
    struct reader *r = calloc(1, sizeof *r);
    if (!r) {
        snprintf(message, room, "out of memory");
        return false;
    }
    r->at = text;
    r->line = 1;
    bool ok;
    while ((ok = read_line(r, visit, data)) && *r->at == '\n') {
        r->at++;
        r->line++;
    }
    if (!ok)
        snprintf(message, room, "line %d: %s", r->line, r->problem);
    free(r);
    return ok;
}
