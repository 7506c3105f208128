/* What is kept of OpenCL's objects, by the handles that the program holds.  An object lives as long as
 * the program holds its handle, and as long as somebody here uses it. */
#ifndef GPUSPLIT_OBJECTS_H
#define GPUSPLIT_OBJECTS_H

#include <stdbool.h>

enum kind { KIND_QUEUE, KIND_PROGRAM, KIND_KERNEL, KIND_EVENT };

/* The first member of whatever is kept. */
struct object {
    enum kind kind;
    void *handle;
    void (*end)(void *object); /* frees it */
    unsigned held;             /* references of the program's */
    _Atomic unsigned uses;     /* the table's, and ours */
    struct object *next;
};

/* Keeps a new object, whose reference the program was just given.  A handle that was known before was
 * given to another object since. */
void object_keep(struct object *object, enum kind kind, void *handle, void (*end)(void *));

/* The object, not to end before object_drop; NULL if nothing is kept. */
void *object_get(enum kind kind, void *handle);
void object_drop(void *object);

/* Once more, by who has it already. */
void object_use(void *object);

/* The program retained the handle, or is about to release it. */
void object_retained(enum kind kind, void *handle);
void object_released(enum kind kind, void *handle);

#endif
