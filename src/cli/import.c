#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#include "cli/cli.h"
#include "cli/show.h"
#include "cli/transfer.h"

enum { BATCH_RECORDS = 512, BATCH_BYTES = 1 << 20, INTERRUPTED_CODE = 128 + SIGINT };

static const char help[] =
    "usage: distkv import [FLAG]... [--format jsonl|csv] FILE\n\n"
    "Loads records into a node; FILE - reads standard input.\n\n"
    "  jsonl  one object a line: {\"key\":\"k\",\"value\":\"v\",\"expires_ms\":1767225600000};\n"
    "         bytes that are not UTF-8 as \"key_base64\", \"value_base64\"\n"
    "  csv    key,value[,expires_ms], quoted as in RFC 4180.  A first line whose first column is\n"
    "         \"key\", in any case, names the columns and is no record; one that begins with\n"
    "         \"value\" is refused.  Without such a line the first one is a record: if its key is\n"
    "         one of these words, put a line \"key,value\" before it\n\n"
    "The format is taken from the file's name unless it is given; of standard input it is jsonl.\n"
    "A fault ends it, and is named with its line; what stands before that line is imported then.\n"
    "To import a record twice does no harm.\n\n";

struct importing {
    struct client *client;
    struct record_reader *reader;
    struct progress progress;
    uint64_t records;
    uint64_t lines[BATCH_RECORDS]; /* of the records that wait for their answers */
    uint32_t pending;
    size_t pending_bytes;
};

/* Ctrl-C: no record is sent any more, and a read that waits for one fails.  A second one ends the program as
 * it always does. */
static volatile sig_atomic_t interrupted;

static void
on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static void
heed_interrupt(void)
{
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static enum status
send_record(struct importing *im, const struct record *r)
{
    struct slice words[5] = { slice_str("SET"), buf_slice(&r->key), buf_slice(&r->value),
                              slice_str("PXAT") };
    char expiry[24];

    snprintf(expiry, sizeof(expiry), "%llu", (unsigned long long)r->expires_ms);
    words[4] = slice_str(expiry);
    im->lines[im->pending++] = record_reader_line(im->reader);
    im->pending_bytes += r->key.size + r->value.size;
    return client_command(im->client, words, r->expires_ms == 0 ? 3 : 5);
}

/* Every answer of the batch; the first refusal ends the import. */
static enum status
await_batch(struct importing *im, struct err *err)
{
    struct buf text = buf_empty(ERR_TEXT_MAX);
    struct resp_item item;
    struct err ignored;
    enum status st = client_flush(im->client, err);
    enum status refused = ST_OK;

    for (uint32_t i = 0; i < im->pending && st == ST_OK; i++) {
        st = client_reply(im->client, &item, &text, refused == ST_OK ? err : &ignored);
        if (st == ST_OK && item.type != RESP_FAILURE)
            im->records++;
        if (st != ST_OK || item.type != RESP_FAILURE || refused != ST_OK)
            continue;
        /* The answers behind it still come. */
        refused =
            err_raise(err, ST_INVALID, "line %llu was refused: %.*s",
                      (unsigned long long)im->lines[i], (int)text.size, (const char *)text.data);
    }
    if (st == ST_OK)
        st = refused;
    im->pending = 0;
    im->pending_bytes = 0;
    buf_release(&text);
    return st;
}

/* Whole batches are awaited at once. */
static enum status
import_record(struct importing *im, const struct record *r, struct err *err)
{
    enum status st = ST_OK;

    if (send_record(im, r) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "out of memory");
    if (im->pending >= BATCH_RECORDS || im->pending_bytes >= BATCH_BYTES)
        st = await_batch(im, err);
    if (st == ST_OK)
        progress_update(&im->progress, record_reader_offset(im->reader), im->records);
    return st;
}

/* Whatever ends it, what stands before that place is in. */
static enum status
import_all(struct importing *im, struct err *err)
{
    struct err batch_err;
    struct record r;
    enum status st = ST_OK;
    enum status batch;

    record_init(&r);
    while (st == ST_OK && interrupted == 0) {
        st = record_read(im->reader, &r, err);
        if (interrupted != 0)
            st = ST_OK; /* whatever was read: it may be the interrupt's doing */
        else if (st == ST_OK)
            st = import_record(im, &r, err);
    }
    record_release(&r);
    if (st != ST_OK && st != ST_NOT_FOUND && st != ST_INVALID)
        return st;
    batch = await_batch(im, &batch_err);
    if (batch == ST_OK)
        return st == ST_INVALID ? st : ST_OK;
    *err = batch_err; /* it stands before the other fault, if there is one */
    return batch;
}

static enum status
open_input(const char *path, FILE **file, uint64_t *size, struct err *err)
{
    struct stat info = { 0 };

    *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (*file == NULL || fstat(fileno(*file), &info) != 0)
        return err_raise_sys(err, ST_IO, errno, "%s cannot be read", path);
    if (S_ISDIR(info.st_mode)) {
        fclose(*file);
        return err_raise(err, ST_INVALID, "%s is a folder", path);
    }
    *size = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    return ST_OK;
}

static int
tell(const char *path, enum status st, const struct err *err)
{
    if (st != ST_OK) {
        fprintf(stderr, "distkv import: %s: %s\n", path, err->text);
        return 1;
    }
    if (interrupted == 0)
        return 0;
    fprintf(stderr, "distkv import: interrupted; what was imported stays, and may be imported "
                    "again\n");
    return INTERRUPTED_CODE;
}

static int
import_file(struct target *t, FILE *file, const char *path, uint64_t size,
            enum record_format format)
{
    struct importing im = { .client = target_client(t) };
    struct err err = { 0 };
    enum status st = record_reader_create(&im.reader, file, format);

    if (st != ST_OK) {
        fprintf(stderr, "distkv import: out of memory\n");
        return 1;
    }
    heed_interrupt();
    progress_begin(&im.progress, stderr, "imported", size);
    st = import_all(&im, &err);
    progress_end(&im.progress, im.records);
    record_reader_destroy(im.reader);
    return tell(path, st, &err);
}

int
cli_import_main(int argc, char **argv)
{
    struct transfer x = { .name = "import", .help = help, .needs_path = true };
    struct err err = { 0 };
    uint64_t size = 0;
    FILE *file = NULL;
    int code;

    if (!transfer_parse(&x, argc, argv, &code))
        return code;
    if (open_input(x.path, &file, &size, &err) != ST_OK) {
        fprintf(stderr, "distkv import: %s\n", err.text);
        return 1;
    }
    if (transfer_open(&x, &code))
        code = transfer_end(&x, import_file(x.target, file, x.path, size, x.format));
    if (file != stdin)
        fclose(file);
    return code;
}
