/* A strict reader of the part of TOML that a profile needs: comments, [tables] (dotted, bare or quoted
 * names), and keys with a string, an integer (decimal or hexadecimal), a float, or an array of
 * integers, one to a line. The rest of TOML is refused with its line, never skipped.
 *
 * Why our own: Debian 12 has TOML libraries for C++ only, and the layer is to link the C library alone
 * so that one file can be copied into a guest. */
#ifndef EMUGPU_TOML_H
#define EMUGPU_TOML_H

#include <stdbool.h>
#include <stddef.h>

enum toml_type { TOML_STRING, TOML_INTEGER, TOML_FLOAT, TOML_INTEGERS };

#define TOML_MAX_ARRAY 4

struct toml_value {
    enum toml_type type;
    char text[128];               /* strings */
    double number;                /* integers and floats */
    double numbers[TOML_MAX_ARRAY];
    int n_numbers;
};

/* Called for each key in the order of the file. False stops with the text in `message`. */
typedef bool toml_visit(void *data, const char *table, const char *key, const struct toml_value *value,
                        char *message, size_t room);

/* False and "line N: what is wrong" in `message` if the text isn't such a file. A table or a key given
 * twice is wrong too. */
bool toml_read(const char *text, toml_visit *visit, void *data, char *message, size_t room);

#endif
