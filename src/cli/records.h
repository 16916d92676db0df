/*
 * cli/records.h — keys and values as lines of text: JSON lines and CSV.
 *
 *      jsonl  {"key":"k","value":"v","expires_ms":1767225600000}
 *             bytes that are not UTF-8: "key_base64", "value_base64"
 *      csv    key,value,expires_ms     (RFC 4180; the first line names the columns)
 *             read without that line, too; "key" begins one, and "value" is ST_INVALID
 */
#ifndef CLI_RECORDS_H
#define CLI_RECORDS_H

#include <stdio.h>

#include "base/slice.h"
#include "base/status.h"

enum record_format { RECORD_JSONL, RECORD_CSV };

struct record {
    struct buf key;      /* owned */
    struct buf value;    /* owned */
    uint64_t expires_ms; /* Unix ms; 0 = never */
};

void record_init(struct record *r);
void record_release(struct record *r);

/* By name ("jsonl", "csv"), or by the ending of the path when `name` is NULL; false: neither. */
bool record_format_of(const char *name, const char *path, enum record_format *format);

struct record_reader;

MUST_USE enum status record_reader_create(struct record_reader **out, FILE *file,
                                          enum record_format format);
void record_reader_destroy(struct record_reader *r);
uint64_t record_reader_offset(const struct record_reader *r); /* bytes read so far */

uint64_t record_reader_line(const struct record_reader *r); /* where the last record begins */

/* ST_NOT_FOUND: the end.  ST_INVALID: the text names line and fault.  ST_IO: the file cannot be
 * read, or a signal came (EINTR); what stood before it is no record, if its end is not there. */
MUST_USE enum status record_read(struct record_reader *r, struct record *out, struct err *err);

/* One line; the CSV header is written by record_write_header(). */
MUST_USE enum status record_write_header(FILE *file, enum record_format format);
MUST_USE enum status record_write(FILE *file, enum record_format format, struct slice key,
                                  struct slice value, uint64_t expires_ms);

#endif
