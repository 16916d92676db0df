/*
 * swim/codec.h — messages as bytes, for whoever carries them.  Pure.
 *
 *      message := format:u8 = 1  kind:u8  probe  fields  count:u8  update*
 *      fields of a kind, in this order, each u64
 *          PING      origin
 *          ACK       subject  origin
 *          PING_REQ  subject
 *      update  := id:u64  incarnation  0:u8  sequence  payload:string            it lives
 *               | id:u64  incarnation  1:u8  age_ms  accuser_count:u8  accuser:u64*   it is accused
 *
 * What has no width here is a varint.  Who sends and who receives is the connection's to say.
 *
 * Bytes of the network are not trusted: the decoder may say ST_CORRUPT, and ST_INVALID to a format that
 * is newer.  What decodes encodes to the same bytes.
 */
#ifndef SWIM_CODEC_H
#define SWIM_CODEC_H

#include "swim/swim.h"

enum {
    SWIM_CODEC_FORMAT = 1,
    /* What may stand in 62 bits takes 9 bytes, a time in ms 5. */
    SWIM_HEADER_BYTES_MAX = 2 + 10 + 2 * 8 + 1,
    SWIM_UPDATE_BYTES_MAX = 8 + 9 + 1 + 9 + 1 + SWIM_PAYLOAD_BYTES,
    SWIM_MESSAGE_BYTES_MAX = SWIM_HEADER_BYTES_MAX + SWIM_UPDATES_MAX * SWIM_UPDATE_BYTES_MAX,
};

/* Returns how many bytes were written. */
size_t swim_message_encode(const struct swim_message *m, uint8_t out[SWIM_MESSAGE_BYTES_MAX]);

/* `from` and `to` are left 0.  On failure `*out` is untouched. */
MUST_USE enum status swim_message_decode(struct slice bytes, struct swim_message *out);

#endif
