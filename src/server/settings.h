/*
 * server/settings.h — which settings there are, and how one of them is a text.
 */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include "server/config.h"

enum setting_kind { SETTING_TEXT, SETTING_SECRET, SETTING_NUMBER, SETTING_BYTES, SETTING_WORD };

enum { SETTING_VALUE_MAX = 512 };

struct word {
    const char *text;
    uint64_t value;
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset; /* in struct config */
    const char *fallback;
    uint64_t least;
    uint64_t most;
    const struct word *words; /* SETTING_WORD; ends with a NULL text */
    bool changeable;          /* while the server runs */
    const char *help;
};

/* All of them, in the order of the help text. */
extern const struct setting settings[];
extern const int setting_count;

const struct setting *setting_find(struct slice name); /* NULL: there is none */

bool setting_is_text(const struct setting *s);
bool setting_takes_no_value(const struct setting *s); /* as a flag */

/* As config_set(). */
MUST_USE enum status setting_set(const struct setting *s, struct config *c, const char *text,
                                 const char *where, struct err *err);

/* Its text, if it is one, is freed. */
void setting_release(const struct setting *s, struct config *c);

/* Its present value; a password as "(set)" or "". */
const char *setting_value(const struct setting *s, const struct config *c,
                          char out[SETTING_VALUE_MAX]);

/* What a word setting may be: "a, b, c". */
void setting_list_words(const struct setting *s, char *out, size_t room);

#endif
