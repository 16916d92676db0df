/*
 * base/lock.h — a mutex for a few instructions.
 *
 * Held for pointer swaps and list operations only, never across a call to
 * `env`: in the simulator every thread of a node is a fiber of one real
 * thread, and a fiber that slept with a lock would stop them all.  To wait for
 * something, use env's gates.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>

struct lock {
    pthread_mutex_t mutex;
};

void lock_init(struct lock *l);
void lock_release(struct lock *l);

static inline void
lock_take(struct lock *l)
{
    pthread_mutex_lock(&l->mutex);
}

static inline void
lock_drop(struct lock *l)
{
    pthread_mutex_unlock(&l->mutex);
}

#endif
