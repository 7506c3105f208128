/* Profiles: a card's figures from a TOML file. */
#ifndef EMUGPU_PROFILE_H
#define EMUGPU_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "model.h"

/* The file at `path`, or the paper's card, which is built in, if path is NULL. False and one line in
 * `message` if the file can't be read or anything in it is missing, unknown or out of range. */
bool profile_read(const char *path, struct model *model, char *message, size_t room);

/* The words for a driver's wait, for messages. */
#define PROFILE_WAITS \
    "\"spin\", \"interrupt\", \"poll\", \"yield\" or \"tick\", or two of them, as \"spin-then-interrupt\""

/* The times that may be said in place of a profile's, by their keys; NULL is the end. */
extern const char *const profile_times[];

/* Sets one of those times from `text`, a number of microseconds. False and what it must be in `message`
 * if it isn't one. */
bool profile_set_time(struct model *model, const char *key, const char *text, char *message, size_t room);

/* False and one line if the driver's times and its way of waiting don't go together. */
bool profile_check_driver(const struct model *model, char *message, size_t room);

#endif
