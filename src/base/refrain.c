#include "base/refrain.h"

#include "base/hash.h"

#define SECOND_NS UINT64_C(1000000000)

enum { SAME_EVERY_S = 60 };

bool
refrain_tells(struct refrain *r, uint64_t now_ns, struct slice what)
{
    uint64_t hash = hash64(what);
    uint64_t pause_ns = hash == r->told ? SAME_EVERY_S * SECOND_NS : SECOND_NS;

    if (r->told_ns != 0 && now_ns - r->told_ns < pause_ns) {
        r->untold++;
        return false;
    }
    *r = (struct refrain){ .told_ns = now_ns, .told = hash, .missed = r->untold };
    return true;
}

uint64_t
refrain_untold(const struct refrain *r)
{
    return r->missed;
}
