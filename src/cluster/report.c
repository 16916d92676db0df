/*
 * A report is, in varints but for the flags,
 *
 *      tablet leader term commit edition basis settled bytes bytes_left count { node flags:u8 }*
 *
 * where bit 0 of a member's flags says that it votes, and bit 1 that it has caught up.
 */
#include "cluster/report.h"

#include "base/hash.h"

enum { FLAG_VOTES = 1, FLAG_CAUGHT_UP = 2 };

const struct report_member *
report_member(const struct tablet_report *r, uint64_t node)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (r->members[i].node == node)
            return &r->members[i];
    }
    return NULL;
}

bool
report_is_newer(const struct tablet_report *a, const struct tablet_report *b)
{
    return a->term > b->term || (a->term == b->term && a->commit >= b->commit);
}

/* Sizes count by their order of magnitude. */
uint64_t
report_essence(const struct tablet_report *r)
{
    uint64_t hash = hash_u64(r->leader ^ hash_u64(r->term ^ (uint64_t)r->settled << 63));

    hash = hash_u64(hash ^ r->basis);
    hash = hash_u64(hash ^ r->edition);
    hash = hash_u64(hash ^ (uint64_t)(63 - __builtin_clzll(r->bytes | 1)));
    for (uint32_t i = 0; i < r->member_count; i++) {
        hash = hash_u64(
            hash ^ r->members[i].node ^
            ((uint64_t)r->members[i].votes << 62 | (uint64_t)r->members[i].caught_up << 63));
    }
    return hash;
}

enum status
report_encode(const struct tablet_report *r, struct buf *out)
{
    const uint64_t numbers[] = { r->tablet, r->leader,  r->term,  r->commit,     r->edition,
                                 r->basis,  r->settled, r->bytes, r->bytes_left, r->member_count };
    size_t begin = out->size;
    enum status st = ST_OK;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && st == ST_OK; i++)
        st = append_varint(out, numbers[i]);
    for (uint32_t i = 0; i < r->member_count && st == ST_OK; i++) {
        const struct report_member *m = &r->members[i];

        st = append_varint(out, m->node);
        if (st == ST_OK)
            st = append_u8(
                out, (uint8_t)((m->votes ? FLAG_VOTES : 0) | (m->caught_up ? FLAG_CAUGHT_UP : 0)));
    }
    if (st != ST_OK)
        out->size = begin;
    return st;
}

enum status
report_decode(struct reader *from, struct tablet_report *out)
{
    uint64_t settled, count;

    *out = (struct tablet_report){ .tablet = read_varint(from), .leader = 0 };
    out->leader = read_varint(from);
    out->term = read_varint(from);
    out->commit = read_varint(from);
    out->edition = read_varint(from);
    out->basis = read_varint(from);
    settled = read_varint(from);
    out->bytes = read_varint(from);
    out->bytes_left = read_varint(from);
    count = read_varint(from);
    if (from->bad || settled > 1 || count > RAFT_MEMBERS_MAX || out->leader == 0)
        return ST_CORRUPT;
    out->settled = settled == 1;
    for (uint32_t i = 0; i < count; i++) {
        struct report_member *m = &out->members[i];
        uint8_t flags;

        m->node = read_varint(from);
        flags = read_u8(from);
        m->votes = (flags & FLAG_VOTES) != 0;
        m->caught_up = (flags & FLAG_CAUGHT_UP) != 0;
    }
    out->member_count = (uint32_t)count;
    return from->bad ? ST_CORRUPT : ST_OK;
}
