#undef _FORTIFY_SOURCE /* its longjmp() takes a stack that is another one for damage */
#include "simenv/sim_switch.h"

#include <string.h>

#include "base/assert.h"

#include "simenv/sim_announce.h"

#if defined(SIM_ADDRESS_SANITIZER) || defined(SIM_THREAD_SANITIZER)
enum { SANITIZER_LOOKS_ON = true };
#else
enum { SANITIZER_LOOKS_ON = false };
#endif

/* makecontext() passes ints only: two addresses come in halves. */
struct entry {
    void (*run)(void *ctx);
    void *ctx;
};

_Static_assert(sizeof(struct entry) == 4 * sizeof(unsigned), "see begin()");

SIM_CHANGES_STACKS static void
begin(unsigned first, unsigned second, unsigned third, unsigned fourth)
{
    const unsigned quarters[4] = { first, second, third, fourth };
    struct entry entry;

    memcpy(&entry, quarters, sizeof(entry));
    entry.run(entry.ctx);
    assert_failed("a fiber has returned", __FILE__, __LINE__);
}

void
sim__stack_make(struct sim_stack *stack, void *bytes, size_t size, void (*run)(void *ctx),
                void *ctx)
{
    const struct entry entry = { run, ctx };
    unsigned quarters[4];
    int failed;

    memcpy(quarters, &entry, sizeof(entry));
    failed = getcontext(&stack->context);
    ASSERT(failed == 0);
    stack->context.uc_stack.ss_sp = bytes;
    stack->context.uc_stack.ss_size = size;
    stack->context.uc_link = NULL;
    makecontext(&stack->context, (void (*)(void))begin, 4, quarters[0], quarters[1], quarters[2],
                quarters[3]);
    stack->is_new = true;
}

SIM_CHANGES_STACKS void
sim__stack_switch(struct sim_stack *from, struct sim_stack *to)
{
    bool is_new = to->is_new;

    to->is_new = false;
    if (SANITIZER_LOOKS_ON) {
        swapcontext(&from->context, &to->context);
        return;
    }
    if (_setjmp(from->back) != 0)
        return;
    if (is_new)
        setcontext(&to->context);
    _longjmp(to->back, 1);
}
