/*
 * simenv/sim_switch.h — from one stack to another.
 *
 * A stack is one where code stands that is to go on later.  swapcontext() would
 * do, but it asks the kernel for the signal mask each time, which was more than half of what a
 * simulation cost; so it is used only where the sanitizers, which know it, look on.
 *
 * One thread.  Whoever switches announces it (sim_announce.h).
 */
#ifndef SIMENV_SIM_SWITCH_H
#define SIMENV_SIM_SWITCH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

#include "simenv/sim_announce.h"

struct sim_stack {
    ucontext_t context; /* of the first time at least */
    jmp_buf back;
    bool is_new; /* nothing has run there yet */
};

/* The next switch to it calls `run` on that stack, which must not return. */
void sim__stack_make(struct sim_stack *stack, void *bytes, size_t size, void (*run)(void *ctx),
                     void *ctx);

/* Remembers `from`, and goes on at `to`; comes back when somebody switches to `from`. */
SIM_CHANGES_STACKS void sim__stack_switch(struct sim_stack *from, struct sim_stack *to);

#endif
