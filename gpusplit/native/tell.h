/* What the library has to say: on standard error, or to Python where that listens (control.h). */
#ifndef GPUSPLIT_TELL_H
#define GPUSPLIT_TELL_H

#include <stdbool.h>
#include <stddef.h>

enum telling {
    TELL_WHOLE = 'w', /* a launch stays whole though the policy wanted groups; never on standard error */
    TELL_COUNT = 'c', /* the number of VMs is unknown */
    TELL_JUDGE = 'j', /* the judge cannot be asked */
    TELL_OTHER = 'o',
};

/* One line, without "gpusplit: " and without an end. */
__attribute__((format(printf, 2, 3))) void tell(enum telling kind, const char *format, ...);

/* Whether somebody in this process listens. */
bool tell_heard(void);

/* The oldest that was told and not heard yet, cut to `size`; false: there is none.  wait: waits until there
 * is one, and leaves it: who takes it must not be kept from saying it on. */
bool tell_hear(char *kind, char *text, size_t size, bool wait);

#endif
