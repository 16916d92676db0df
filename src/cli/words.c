#include "cli/words.h"

#include "base/limits.h"

#include "wire/resp.h"

void
words_init(struct words *w)
{
    w->line = buf_empty(LIMIT_LINE_BYTES);
    w->count = 0;
}

void
words_release(struct words *w)
{
    buf_release(&w->line);
}

static size_t
skip_blanks(struct slice line, size_t at)
{
    while (at < line.size && (line.data[at] == ' ' || line.data[at] == '\t'))
        at++;
    return at;
}

static struct slice
next_word(struct slice line, size_t *at)
{
    size_t begin = skip_blanks(line, *at);
    size_t end = begin;

    while (end < line.size && line.data[end] != ' ' && line.data[end] != '\t')
        end++;
    *at = end;
    return slice_of(line.data + begin, end - begin);
}

/* PUT key, one blank, and then every byte counts. */
static bool
split_put(struct words *w, struct slice line)
{
    size_t at = 0;
    struct slice verb = next_word(line, &at);
    struct slice key;

    if (!slice_equal_nocase(verb, "put"))
        return false;
    key = next_word(line, &at);
    w->word[w->count++] = verb;
    if (key.size > 0)
        w->word[w->count++] = key;
    if (at < line.size)
        w->word[w->count++] = slice_of(line.data + at + 1, line.size - at - 1);
    return true;
}

enum status
words_split(struct words *w, struct slice line)
{
    struct resp_inline it;
    enum resp_event event;
    struct slice word;
    enum status st;

    w->line.size = 0;
    w->count = 0;
    st = buf_append(&w->line, line);
    if (st != ST_OK || split_put(w, buf_slice(&w->line)))
        return st;
    it = (struct resp_inline){ w->line.data, w->line.data + w->line.size };
    while ((event = resp_inline_next(&it, &word)) == RESP_ARG) {
        if (w->count == WORDS_MAX)
            return ST_TOO_BIG;
        w->word[w->count++] = word;
    }
    return event == RESP_END ? ST_OK : ST_INVALID;
}
