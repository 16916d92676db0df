#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#include "cli/cli.h"
#include "cli/show.h"
#include "cli/transfer.h"

enum { BATCH_RECORDS = 512, BATCH_BYTES = 1 << 20 };

static const char help[] =
    "usage: distkv import [FLAG]... [--format jsonl|csv] FILE\n\n"
    "Loads records into a node; FILE - reads standard input.\n\n"
    "  jsonl  one object a line: {\"key\":\"k\",\"value\":\"v\",\"expires_ms\":1767225600000};\n"
    "         bytes that are not UTF-8 as \"key_base64\", \"value_base64\"\n"
    "  csv    key,value[,expires_ms], quoted as in RFC 4180, with a first line \"key,value,...\"\n\n"
    "The format is taken from the file's name unless it is given.\n\n";

struct importing {
    struct client *client;
    struct record_reader *reader;
    struct progress progress;
    uint64_t records;
    uint32_t pending;
    size_t pending_bytes;
};

static enum status
send_record(struct importing *im, const struct record *r)
{
    struct slice words[5] = { slice_str("SET"), buf_slice(&r->key), buf_slice(&r->value),
                              slice_str("PXAT") };
    char expiry[24];

    snprintf(expiry, sizeof(expiry), "%llu", (unsigned long long)r->expires_ms);
    words[4] = slice_str(expiry);
    im->pending++;
    im->pending_bytes += r->key.size + r->value.size;
    return client_command(im->client, words, r->expires_ms == 0 ? 3 : 5);
}

/* Every answer of the batch; the first refusal ends the import. */
static enum status
await_batch(struct importing *im, struct err *err)
{
    struct buf text = buf_empty(ERR_TEXT_MAX);
    struct resp_item item;
    enum status st = client_flush(im->client, err);

    for (; im->pending > 0 && st == ST_OK; im->pending--) {
        st = client_reply(im->client, &item, &text, err);
        if (st == ST_OK && item.type == RESP_FAILURE) {
            st = err_raise(err, ST_INVALID, "record %llu was refused: %.*s",
                           (unsigned long long)im->records + 1, (int)text.size,
                           (const char *)text.data);
        } else if (st == ST_OK) {
            im->records++;
        }
    }
    im->pending_bytes = 0;
    buf_release(&text);
    return st;
}

static enum status
import_all(struct importing *im, struct err *err)
{
    struct record r;
    enum status st;

    record_init(&r);
    while ((st = record_read(im->reader, &r, err)) == ST_OK) {
        if (send_record(im, &r) != ST_OK)
            st = err_raise(err, ST_NO_MEMORY, "out of memory");
        if (st == ST_OK && (im->pending >= BATCH_RECORDS || im->pending_bytes >= BATCH_BYTES))
            st = await_batch(im, err);
        if (st != ST_OK)
            break;
        progress_update(&im->progress, record_reader_offset(im->reader), im->records);
    }
    record_release(&r);
    if (st != ST_NOT_FOUND)
        return st;
    return await_batch(im, err);
}

static int
import_file(struct target *t, const char *path, enum record_format format)
{
    struct importing im = { .client = target_client(t) };
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    struct err err = { 0 };
    struct stat info;
    enum status st;

    if (file == NULL || fstat(fileno(file), &info) != 0) {
        fprintf(stderr, "distkv import: %s cannot be read\n", path);
        return 1;
    }
    st = record_reader_create(&im.reader, file, format);
    if (st != ST_OK) {
        fprintf(stderr, "distkv import: out of memory\n");
        return 1;
    }
    progress_begin(&im.progress, stderr, "imported",
                   S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0);
    st = import_all(&im, &err);
    progress_end(&im.progress, im.records);
    record_reader_destroy(im.reader);
    if (file != stdin)
        fclose(file);
    if (st != ST_OK)
        fprintf(stderr, "distkv import: %s: %s\n", path, err.text);
    return st == ST_OK ? 0 : 1;
}

int
cli_import_main(int argc, char **argv)
{
    struct transfer x = { .name = "import", .help = help, .needs_path = true };
    int code;

    if (!transfer_begin(&x, argc, argv, &code))
        return code;
    return transfer_end(&x, import_file(x.target, x.path, x.format));
}
