/* Profiles: a card's figures from a TOML file. */
#ifndef EMUGPU_PROFILE_H
#define EMUGPU_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "model.h"

/* The file at `path`, or the paper's card, which is built in, if path is NULL. False and one line in
 * `message` if the file can't be read or anything in it is missing, unknown or out of range. */
bool profile_read(const char *path, struct model *model, char *message, size_t room);

#endif
