#include "kv/kv.h"

/* One bracket expression at pattern[at] (just past '['): does it take `c`?  `*next` is just past
 * its end. */
static bool
bracket(struct slice pattern, size_t at, uint8_t c, size_t *next)
{
    bool negated = at < pattern.size && pattern.data[at] == '^';
    bool taken = false;

    if (negated)
        at++;
    while (at < pattern.size && pattern.data[at] != ']') {
        uint8_t low = pattern.data[at];
        uint8_t high;

        if (low == '\\' && at + 1 < pattern.size)
            low = pattern.data[++at];
        high = low;
        if (at + 2 < pattern.size && pattern.data[at + 1] == '-') {
            high = pattern.data[at + 2];
            at += 2;
        }
        if (low > high) {
            uint8_t swap = low;

            low = high;
            high = swap;
        }
        taken = taken || (c >= low && c <= high);
        at++;
    }
    *next = at < pattern.size ? at + 1 : at;
    return taken != negated;
}

/* Match one character that is not a star; `*next` is just past what was used of the pattern. */
static bool
one(struct slice pattern, size_t at, uint8_t c, size_t *next)
{
    uint8_t p = pattern.data[at];

    *next = at + 1;
    if (p == '?')
        return true;
    if (p == '[')
        return bracket(pattern, at + 1, c, next);
    if (p == '\\' && at + 1 < pattern.size) {
        *next = at + 2;
        return pattern.data[at + 1] == c;
    }
    return p == c;
}

/* Without recursion: on a mismatch only the last star need take one character more. */
bool
kv_glob(struct slice pattern, struct slice text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX;
    size_t star_text = 0;
    size_t next;

    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern.size && one(pattern, p, text.data[t], &next)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}
