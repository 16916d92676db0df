#include "base/lock.h"

#include "base/assert.h"

void
lock_init(struct lock *l)
{
    int failed = pthread_mutex_init(&l->mutex, NULL);

    ASSERT(failed == 0); /* a plain mutex needs no resource on Linux */
}

void
lock_release(struct lock *l)
{
    int failed = pthread_mutex_destroy(&l->mutex);

    ASSERT(failed == 0); /* EBUSY: somebody still holds it */
}
