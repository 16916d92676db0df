/*
 * raft/codec.h — messages as bytes, for whoever carries them.  Pure.
 *
 *      message := format:u8 = 1  kind:u8  flags:u8  term  fields  [entries]
 *      flags   := 1 reject  2 force  4 quiesce
 *      fields of a kind, in this order, all varints
 *          PREVOTE, VOTE           index  log_term
 *          their replies           -
 *          APPEND                  index  log_term  commit  flow.messages  flow.bytes
 *          APPEND_REPLY            index  hint  hint_term  flow.messages  flow.bytes
 *          HEARTBEAT               commit  round  sent_ns
 *          HEARTBEAT_REPLY         round  sent_ns
 *          TIMEOUT_NOW             -
 *      entries := count  { term - the term before (at first log_term)  data:string }*     APPEND
 *
 * Who sends and who receives is the connection's to say.  What kind an entry is, and which
 * membership it brings, is in its data, which is the driver's.
 *
 * Bytes of the network are not trusted: the decoder may say ST_CORRUPT, ST_INVALID to a format
 * that is newer, and ST_TOO_BIG to more entries than there is room for.
 */
#ifndef RAFT_CODEC_H
#define RAFT_CODEC_H

#include "raft/raft.h"

enum {
    RAFT_CODEC_FORMAT = 1,
    RAFT_HEADER_BYTES_MAX = 64, /* everything but the entries */
};

/* Bytes that raft_message_encode() will write. */
size_t raft_message_bytes(const struct raft_message *m);
void raft_message_encode(const struct raft_message *m, uint8_t *out);

/* `from` and `to` are left 0; the entries go to `entries`, which has room for `entry_max`, have kind
 * RAFT_DATA, and their data is borrowed from `bytes`. */
MUST_USE enum status raft_message_decode(struct slice bytes, struct raft_message *out,
                                         struct raft_entry *entries, uint32_t entry_max);

/* How many entries a message has, before there is room for them; 0 when it is not an append, or not a message. */
uint32_t raft_message_entry_count(struct slice bytes);

#endif
