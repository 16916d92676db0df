/*
 * A feed is
 *
 *      format:u8 = 1  since:varint  count:varint  { kind:u8 id:varint version:varint value:string }*
 *
 * and its records are in ascending order of their keys, each once.
 */
#include "cluster/book.h"

#include "base/assert.h"
#include "base/mem.h"

enum { FEED_FORMAT = 1, PAGES_AT_FIRST = 64 };

static int
compare_keys(const struct record_key *a, const struct record_key *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Where the key is, or belongs. */
static uint32_t
place_of(const struct book *b, const struct record_key *key)
{
    uint32_t low = 0;
    uint32_t high = b->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare_keys(&b->pages[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
is_at(const struct book *b, uint32_t at, const struct record_key *key)
{
    return at < b->count && compare_keys(&b->pages[at].key, key) == 0;
}

const struct page *
book_find(const struct book *b, const struct record_key *key)
{
    uint32_t at = place_of(b, key);

    return is_at(b, at, key) ? &b->pages[at] : NULL;
}

void
book_release(struct book *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        mem_free(mem_own(b->pages[i].value.data));
    mem_free(b->pages);
    *b = (struct book){ 0 };
}

static enum status
reserve(struct book *b, uint32_t more)
{
    uint32_t capacity = b->capacity == 0 ? PAGES_AT_FIRST : b->capacity;
    struct page *grown;

    while (capacity < b->count + more)
        capacity *= 2;
    if (capacity == b->capacity)
        return ST_OK;
    grown = mem_resize(b->pages, capacity * sizeof(*grown));
    if (grown == NULL)
        return ST_NO_MEMORY;
    b->pages = grown;
    b->capacity = capacity;
    return ST_OK;
}

/* There is room.  The value is owned from now on. */
static void
insert(struct book *b, uint32_t at, const struct page *page)
{
    ASSERT(b->count < b->capacity);
    memmove(&b->pages[at + 1], &b->pages[at], (b->count - at) * sizeof(*b->pages));
    b->pages[at] = *page;
    b->count++;
}

static void
place(struct book *b, const struct page *page)
{
    uint32_t at = place_of(b, &page->key);

    if (is_at(b, at, &page->key)) {
        mem_free(mem_own(b->pages[at].value.data));
        b->pages[at] = *page;
    } else {
        insert(b, at, page);
    }
    if (page->version > b->version)
        b->version = page->version;
    b->edits++;
}

static bool
is_news(const struct book *b, const struct record_key *key, version_t version)
{
    const struct page *known = book_find(b, key);

    return known == NULL || known->version < version;
}

/* The page, with a value of its own. */
static enum status
make_page(const struct record_key *key, version_t version, struct slice value, struct page *out,
          struct err *err)
{
    struct record unused;
    uint8_t *copy;
    enum status st = record_decode(key, value, &unused, err);

    if (st != ST_OK)
        return st;
    copy = mem_alloc(value.size);
    if (copy == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the cluster's metadata");
    memcpy(copy, value.data, value.size);
    *out = (struct page){ *key, version, slice_of(copy, value.size) };
    return ST_OK;
}

enum status
book_put(struct book *b, const struct record_key *key, version_t version, struct slice value,
         struct err *err)
{
    struct page page = { 0 };
    enum status st;

    if (!is_news(b, key, version))
        return ST_OK;
    if (reserve(b, 1) != ST_OK)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the cluster's metadata");
    st = make_page(key, version, value, &page, err);
    if (st == ST_OK)
        place(b, &page);
    return st;
}

/* ------------------------------------------------------------------ feeds */

static uint32_t
count_since(const struct book *b, version_t since)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < b->count; i++)
        count += b->pages[i].version > since;
    return count;
}

static enum status
feed_page(const struct page *p, struct buf *out)
{
    enum status st = append_u8(out, (uint8_t)p->key.kind);

    if (st == ST_OK)
        st = append_varint(out, p->key.id);
    if (st == ST_OK)
        st = append_varint(out, p->version);
    if (st == ST_OK)
        st = append_string(out, p->value);
    return st;
}

enum status
book_feed(const struct book *b, version_t since, struct buf *out)
{
    size_t begin = out->size;
    enum status st = append_u8(out, FEED_FORMAT);

    if (st == ST_OK)
        st = append_varint(out, since);
    if (st == ST_OK)
        st = append_varint(out, count_since(b, since));
    for (uint32_t i = 0; i < b->count && st == ST_OK; i++) {
        if (b->pages[i].version > since)
            st = feed_page(&b->pages[i], out);
    }
    if (st != ST_OK)
        out->size = begin;
    return st;
}

/* The pages of a feed that are news, with values of their own. */
struct harvest {
    struct page *pages;
    uint32_t count;
    struct record_key last; /* that was read, news or not */
};

static void
harvest_release(struct harvest *h)
{
    for (uint32_t i = 0; i < h->count; i++)
        mem_free(mem_own(h->pages[i].value.data));
    mem_free(h->pages);
}

static enum status
reap(const struct book *b, struct reader *r, struct harvest *h, struct err *err)
{
    struct record_key key = { .kind = (enum record_kind)read_u8(r) };
    version_t version;
    struct slice value;
    enum status st;

    key.id = read_varint(r);
    version = read_varint(r);
    value = read_string(r);
    if (r->bad || version == 0 || version > VERSION_MAX || value.size > RECORD_VALUE_BYTES_MAX ||
        compare_keys(&key, &h->last) <= 0)
        return err_raise(err, ST_CORRUPT, "a feed of the cluster's metadata cannot be read");
    h->last = key;
    if (!is_news(b, &key, version))
        return ST_OK;
    st = make_page(&key, version, value, &h->pages[h->count], err);
    h->count += st == ST_OK;
    return st;
}

/* The smallest record in a feed has four bytes, which bounds what a count may promise. */
static enum status
reap_all(const struct book *b, struct reader *r, struct harvest *h, struct err *err)
{
    version_t since = read_varint(r);
    uint64_t count = read_varint(r);
    enum status st = ST_OK;

    if (!r->bad && since > b->version) {
        return err_raise(
            err, ST_CONFLICT,
            "a feed of the cluster's metadata goes on from a version that is not here");
    }
    if (r->bad || count > reader_left(r) / 4)
        return err_raise(err, ST_CORRUPT, "a feed of the cluster's metadata cannot be read");
    h->pages = mem_new_array(struct page, count + 1);
    if (h->pages == NULL)
        return err_raise(err, ST_NO_MEMORY, "out of memory for the cluster's metadata");
    for (uint64_t i = 0; i < count && st == ST_OK; i++)
        st = reap(b, r, h, err);
    if (st == ST_OK && reader_left(r) != 0)
        st = err_raise(err, ST_CORRUPT, "a feed of the cluster's metadata goes on after its end");
    return st;
}

enum status
book_take(struct book *b, struct slice feed, struct err *err)
{
    struct reader r = reader_of(feed);
    struct harvest h = { 0 };
    uint8_t format = read_u8(&r);
    enum status st = ST_OK;

    if (!r.bad && format > FEED_FORMAT) {
        return err_raise(err, ST_INVALID,
                         "a feed of the cluster's metadata is of format %u, which is newer than "
                         "this program's %d",
                         format, FEED_FORMAT);
    }
    if (format == 0)
        return err_raise(err, ST_CORRUPT, "a feed of the cluster's metadata cannot be read");
    st = reap_all(b, &r, &h, err);
    if (st == ST_OK && reserve(b, h.count) != ST_OK)
        st = err_raise(err, ST_NO_MEMORY, "out of memory for the cluster's metadata");
    if (st == ST_OK) {
        for (uint32_t i = 0; i < h.count; i++)
            place(b, &h.pages[i]);
        h.count = 0;
    }
    harvest_release(&h);
    return st;
}
