#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

#include "cli/cli.h"
#include "cli/show.h"
#include "cli/transfer.h"

enum { PAGE_KEYS = 256, PAGE_KEYS_TEXT = 8 };

static const char help[] =
    "usage: distkv export [FLAG]... [--format jsonl|csv] [FILE]\n\n"
    "Writes every key of database 0 in order, to FILE or to standard output (-).\n"
    "Each page of keys is read at one moment; a key that is written meanwhile may be seen as it\n"
    "was before or after.\n\n";

/* One page: keys and values as RANGE gave them, then their expiries. */
struct page {
    struct buf keys[PAGE_KEYS];
    struct buf values[PAGE_KEYS];
    uint32_t count;
};

struct exporting {
    struct client *client;
    FILE *file;
    enum record_format format;
    struct progress progress;
    uint64_t records;
    struct buf from; /* where the next page begins */
    struct page page;
};

static enum status
read_page(struct exporting *ex, struct err *err)
{
    char limit[PAGE_KEYS_TEXT];
    struct slice words[5] = { slice_str("RANGE"), buf_slice(&ex->from), slice_str("+"),
                              slice_str("LIMIT") };
    struct resp_item item = { 0 };
    bool last = false;
    uint64_t at = 0;
    enum status st;

    snprintf(limit, sizeof(limit), "%d", PAGE_KEYS);
    words[4] = slice_str(limit);
    ex->page.count = 0;
    st = client_command(ex->client, words, 5);
    if (st == ST_OK)
        st = client_flush(ex->client, err);
    while (st == ST_OK && !last) {
        st = client_item(ex->client, &item, &last, err);
        if (st == ST_OK && item.type == RESP_FAILURE)
            return err_raise(err, ST_INVALID, "RANGE: %.*s", (int)item.text.size,
                             (const char *)item.text.data);
        if (st != ST_OK || item.depth == 0)
            continue;
        if (at / 2 < PAGE_KEYS) {
            struct buf *to = at % 2 == 0 ? &ex->page.keys[at / 2] : &ex->page.values[at / 2];

            to->size = 0;
            st = buf_append(to, item.text);
            at++;
        }
    }
    ex->page.count = (uint32_t)(at / 2);
    return st;
}

static enum status
write_page(struct exporting *ex, struct err *err)
{
    struct slice words[2] = { slice_str("PEXPIRETIME") };
    enum status st = ST_OK;

    for (uint32_t i = 0; i < ex->page.count && st == ST_OK; i++) {
        words[1] = buf_slice(&ex->page.keys[i]);
        st = client_command(ex->client, words, 2);
    }
    if (st == ST_OK)
        st = client_flush(ex->client, err);
    for (uint32_t i = 0; i < ex->page.count && st == ST_OK; i++) {
        struct resp_item item;

        st = client_reply(ex->client, &item, NULL, err);
        if (st == ST_OK && record_write(ex->file, ex->format, buf_slice(&ex->page.keys[i]),
                                        buf_slice(&ex->page.values[i]),
                                        item.integer > 0 ? (uint64_t)item.integer : 0) != ST_OK)
            st = err_raise_sys(err, ST_IO, errno, "the output cannot be written");
    }
    ex->records += ex->page.count;
    return st;
}

/* The next page begins just after the last key of this one: at that key and a zero byte. */
static enum status
advance(struct exporting *ex)
{
    const struct buf *last = &ex->page.keys[ex->page.count - 1];
    uint8_t zero = 0;
    enum status st;

    ex->from.size = 0;
    st = buf_append(&ex->from, buf_slice(last));
    return st == ST_OK ? buf_append(&ex->from, slice_of(&zero, 1)) : st;
}

static enum status
export_all(struct exporting *ex, struct err *err)
{
    enum status st = record_write_header(ex->file, ex->format);

    if (st == ST_OK)
        st = buf_append(&ex->from, slice_str("-"));
    do {
        if (st == ST_OK)
            st = read_page(ex, err);
        if (st == ST_OK)
            st = write_page(ex, err);
        if (st == ST_OK && ex->page.count > 0)
            st = advance(ex);
        progress_update(&ex->progress, 0, ex->records);
    } while (st == ST_OK && ex->page.count == PAGE_KEYS);
    return st;
}

static int
export_file(struct target *t, const char *path, enum record_format format)
{
    static struct exporting ex;
    struct err err = { 0 };
    enum status st;

    ex = (struct exporting){ .client = target_client(t), .format = format };
    ex.file = path == NULL ? stdout : fopen(path, "w");
    if (ex.file == NULL) {
        st = err_raise_sys(&err, ST_IO, errno, "%s cannot be written", path);
        fprintf(stderr, "distkv export: %s\n", err.text);
        return st == ST_OK ? 0 : 1;
    }
    ex.from = buf_empty(LIMIT_KEY_BYTES + 1);
    for (uint32_t i = 0; i < PAGE_KEYS; i++) {
        ex.page.keys[i] = buf_empty(LIMIT_KEY_BYTES);
        ex.page.values[i] = buf_empty(LIMIT_VALUE_BYTES);
    }
    progress_begin(&ex.progress, stderr, "exported", 0);
    st = export_all(&ex, &err);
    if (fflush(ex.file) != 0 && st == ST_OK)
        st = err_raise_sys(&err, ST_IO, errno, "the output cannot be written");
    progress_end(&ex.progress, ex.records);
    for (uint32_t i = 0; i < PAGE_KEYS; i++) {
        buf_release(&ex.page.keys[i]);
        buf_release(&ex.page.values[i]);
    }
    buf_release(&ex.from);
    if (path != NULL && fclose(ex.file) != 0 && st == ST_OK)
        st = err_raise_sys(&err, ST_IO, errno, "the output cannot be written");
    if (st != ST_OK)
        fprintf(stderr, "distkv export: %s; %s is not complete\n", err.text,
                path == NULL ? "the output" : path);
    return st == ST_OK ? 0 : 1;
}

int
cli_export_main(int argc, char **argv)
{
    struct transfer x = { .name = "export", .help = help, .only_reads = true };
    const char *path;
    int code;

    if (!transfer_parse(&x, argc, argv, &code) || !transfer_open(&x, &code))
        return code;
    path = x.path == NULL || strcmp(x.path, "-") == 0 ? NULL : x.path;
    return transfer_end(&x, export_file(x.target, path, x.format));
}
