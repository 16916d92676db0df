#include "base/broken.h"

#include <string.h>

#ifdef DISTKV_MUTANTS

enum broken broken_now = BROKEN_NOTHING;

bool
broken_choose(enum broken what)
{
    broken_now = what;
    return true;
}

#else

bool
broken_choose(enum broken what)
{
    return what == BROKEN_NOTHING && BROKEN(NOTHING);
}

#endif

static const char *const names[BROKEN_COUNT] = { [BROKEN_NOTHING] = "NOTHING",
#define BROKEN_NAME(name, text) [BROKEN_##name] = #name,
                                                 BROKEN_LIST(BROKEN_NAME) };

static const char *const texts[BROKEN_COUNT] = { [BROKEN_NOTHING] = "nothing is done wrong",
#define BROKEN_TEXT(name, text) [BROKEN_##name] = (text),
                                                 BROKEN_LIST(BROKEN_TEXT) };

enum broken
broken_find(const char *name)
{
    for (int i = BROKEN_NOTHING + 1; i < BROKEN_COUNT; i++) {
        if (strcmp(names[i], name) == 0)
            return (enum broken)i;
    }
    return BROKEN_NOTHING;
}

const char *
broken_name(enum broken what)
{
    return names[what];
}

const char *
broken_text(enum broken what)
{
    return texts[what];
}
