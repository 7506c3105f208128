#include "objects.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PLACES 1024

static struct place {
    pthread_mutex_t lock;
    struct object *first;
} places[PLACES] = { [0 ... PLACES - 1] = { PTHREAD_MUTEX_INITIALIZER, NULL } };

static struct place *place_of(const void *handle)
{
    return &places[((uintptr_t)handle >> 4) * 0x9e3779b97f4a7c15u >> 54];
}

/* Where a pointer to the object is, or the end of the list. */
static struct object **find(struct place *place, enum kind kind, const void *handle)
{
    struct object **at = &place->first;
    while (*at && ((*at)->handle != handle || (*at)->kind != kind))
        at = &(*at)->next;
    return at;
}

void object_drop(void *given)
{
    struct object *object = given;
    if (object && atomic_fetch_sub(&object->uses, 1) == 1)
        object->end(object);
}

void object_use(void *given)
{
    struct object *object = given;
    atomic_fetch_add(&object->uses, 1);
}

void object_keep(struct object *object, enum kind kind, void *handle, void (*end)(void *))
{
    object->kind = kind;
    object->handle = handle;
    object->end = end;
    object->held = 1;
    atomic_init(&object->uses, 1);
    struct place *place = place_of(handle);
    pthread_mutex_lock(&place->lock);
    struct object **at = find(place, kind, handle), *before = *at;
    object->next = before ? before->next : NULL;
    *at = object;
    pthread_mutex_unlock(&place->lock);
    object_drop(before);
}

void *object_get(enum kind kind, void *handle)
{
    struct place *place = place_of(handle);
    pthread_mutex_lock(&place->lock);
    struct object *found = *find(place, kind, handle);
    if (found)
        atomic_fetch_add(&found->uses, 1);
    pthread_mutex_unlock(&place->lock);
    return found;
}

void object_retained(enum kind kind, void *handle)
{
    struct place *place = place_of(handle);
    pthread_mutex_lock(&place->lock);
    struct object *found = *find(place, kind, handle);
    if (found)
        found->held++;
    pthread_mutex_unlock(&place->lock);
}

void object_released(enum kind kind, void *handle)
{
    struct place *place = place_of(handle);
    pthread_mutex_lock(&place->lock);
    struct object **at = find(place, kind, handle), *gone = *at;
    if (gone && --gone->held == 0)
        *at = gone->next;
    else
        gone = NULL;
    pthread_mutex_unlock(&place->lock);
    object_drop(gone);
}
