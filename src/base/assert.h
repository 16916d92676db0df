/*
 * base/assert.h — bugs end the process, at once and with a line number.
 *
 *      ASSERT(x)   always on; x is cheap (O(1)) and has no effect
 *      VERIFY(x)   as ASSERT, but only in builds with DISTKV_VERIFY, for costly checks
 *
 * Bytes from disk, network, configuration or a client are never asserted:
 * they are ST_CORRUPT or ST_INVALID.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

_Noreturn void assert_failed(const char *expression, const char *file, int line);

#define ASSERT(x) (__builtin_expect(!(x), 0) ? assert_failed(#x, __FILE__, __LINE__) : (void)0)

#ifdef DISTKV_VERIFY
# define VERIFY(x) ASSERT(x)
#else
# define VERIFY(x) ((void)sizeof(!(x)))
#endif

#endif
