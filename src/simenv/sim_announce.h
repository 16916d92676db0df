/*
 * simenv/sim_announce.h — telling the sanitizers that the stack is another one.
 *
 * Without these the address sanitizer takes a fiber's frames for damage, and
 * the thread sanitizer loses its record of who called whom.  In other builds
 * they are nothing.
 */
#ifndef SIMENV_SIM_ANNOUNCE_H
#define SIMENV_SIM_ANNOUNCE_H

#if defined(__has_feature)
# if __has_feature(address_sanitizer)
#  define SIM_ADDRESS_SANITIZER 1
# endif
# if __has_feature(thread_sanitizer)
#  define SIM_THREAD_SANITIZER 1
# endif
#endif
#if defined(__SANITIZE_ADDRESS__)
# define SIM_ADDRESS_SANITIZER 1
#endif
#if defined(__SANITIZE_THREAD__)
# define SIM_THREAD_SANITIZER 1
#endif

/* ANNOUNCE_LEAVING    before leaving for another stack; `fake_stack` NULL: for good
 * ANNOUNCE_ARRIVAL    first thing on the other stack; says which one was left, unless NULL
 * ANNOUNCE_NO_FRAMES  whatever frames were there are gone */
#if defined(SIM_ADDRESS_SANITIZER)

# include <sanitizer/asan_interface.h>
# include <sanitizer/common_interface_defs.h>

# define ANNOUNCE_LEAVING(fake_stack, stack, bytes) \
  __sanitizer_start_switch_fiber((fake_stack), (stack), (bytes))
# define ANNOUNCE_ARRIVAL(fake_stack, left_stack, left_bytes) \
  __sanitizer_finish_switch_fiber((fake_stack), (left_stack), (left_bytes))
# define ANNOUNCE_NO_FRAMES(stack, bytes) __asan_unpoison_memory_region((stack), (bytes))

#else

# define ANNOUNCE_LEAVING(fake_stack, stack, bytes) \
  ((void)(fake_stack), (void)(stack), (void)(bytes))
# define ANNOUNCE_ARRIVAL(fake_stack, left_stack, left_bytes) \
  ((void)(fake_stack), (void)(left_stack), (void)(left_bytes))
# define ANNOUNCE_NO_FRAMES(stack, bytes) ((void)(stack), (void)(bytes))

#endif

/* The thread sanitizer keeps a record of calls for each stack, which its instrumentation of a
 * function's entry and exit must leave balanced.  A function that changes stacks, or that is never
 * returned from, is therefore not instrumented (SIM_CHANGES_STACKS), and announces by macros,
 * which become part of it. */
#if defined(SIM_THREAD_SANITIZER)

# include <sanitizer/tsan_interface.h>

# define ANNOUNCE_THREAD_HERE()         __tsan_get_current_fiber()
# define ANNOUNCE_THREAD_CREATED()      __tsan_create_fiber(0)
# define ANNOUNCE_THREAD_ENDED(thread)  __tsan_destroy_fiber(thread)
# define ANNOUNCE_THREAD_SWITCH(thread) __tsan_switch_to_fiber((thread), 0)
# if defined(__clang__)
#  define SIM_CHANGES_STACKS __attribute__((disable_sanitizer_instrumentation))
# else
#  define SIM_CHANGES_STACKS __attribute__((no_sanitize("thread")))
# endif

#else

# define ANNOUNCE_THREAD_HERE()         NULL
# define ANNOUNCE_THREAD_CREATED()      NULL
# define ANNOUNCE_THREAD_ENDED(thread)  ((void)(thread))
# define ANNOUNCE_THREAD_SWITCH(thread) ((void)(thread))
# define SIM_CHANGES_STACKS

#endif

#endif
