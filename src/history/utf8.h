/*
 * history/utf8.h — is it text?
 */
#ifndef HISTORY_UTF8_H
#define HISTORY_UTF8_H

#include <stdbool.h>

#include "base/slice.h"

/* Well-formed UTF-8 as of Unicode 3.9, table 3-7: no overlong forms, no surrogates, nothing beyond
 * U+10FFFF. */
bool utf8_is_valid(struct slice s);

#endif
