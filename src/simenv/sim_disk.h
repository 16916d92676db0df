/*
 * simenv/sim_disk.h — the disk of a simulated node, without faults or latency.
 *
 *      sim_page.c    4 KiB of a file: the page cache and the medium
 *      sim_inode.c   one file: pages, size, blocks
 *      sim_tree.c    folders, entries, paths, and who refers to whom
 *      sim_change.c  name changes that are not durable
 *      sim_disk.c    calls that change names; power cuts
 *      sim_image.c   copies
 *
 * Functions that return an int return 0 or an errno, as a kernel would.
 * Invariants D1..D6: sim_disk.c.
 */
#ifndef SIMENV_SIM_DISK_H
#define SIMENV_SIM_DISK_H

#include "base/list.h"

#include "simenv/simenv.h"

struct sim_disk;
struct sim_inode;
struct sim_entry;

enum { SIM_BLOCK = 4096 }; /* space is given out in blocks of this many bytes */

/* The world's own memory: zeroed, of no heap (S3).  It is no part of the experiment: when the
 * machine has none left, the process ends. */
void *sim__alloc(size_t size);
void *sim__resize(void *block, size_t size);
char *sim__strdup(const char *text);
void sim__append(struct buf *b, struct slice bytes);

/* ------------------------------------------------------------------ sim_page.c */

enum { SIM_PAGE_SECTORS = SIM_BLOCK / SIM_SECTOR };

struct sim_page {
    struct list link; /* in inode->unsynced, unless clean */
    size_t index;
    uint8_t *durable; /* owned */
    uint8_t dirty;    /* a bit for each sector */
    uint8_t lost;
    bool has_block; /* a clean page without one was just made */
    uint8_t now[SIM_BLOCK];
};

struct sim_page *sim__page_create(size_t index);
void sim__page_free(struct sim_page *page);
bool sim__page_is_clean(const struct sim_page *page);

/* The sectors of [begin, limit) are about to change in the page cache. */
void sim__page_touch(struct sim_page *page, struct list *unsynced, size_t begin, size_t limit,
                     struct prng *prng);
void sim__page_sync(struct sim_page *page);
void sim__page_fail_sync(struct sim_page *page); /* D2 */

/* What a power cut leaves.  Sectors from `reverts_at` on are as they were: the truncation that
 * cut them off was lost. */
void sim__page_settle(struct sim_page *page, uint64_t reverts_at, uint32_t percent,
                      struct prng *prng);

/* Both in the page cache and on the medium. */
void sim__page_cut(struct sim_page *page, size_t inside); /* zeros from there on */
void sim__page_flip(struct sim_page *page, size_t inside, unsigned bit);

/* ------------------------------------------------------------------ sim_inode.c: bytes */

struct sim_entry;

struct sim_inode {
    struct list link; /* in disk->inodes */
    struct list work; /* in a list of things to do: to bury, to visit */
    struct sim_disk *disk;
    uint32_t refs; /* entries (now, durable), changes, open files; the root has one more */
    uint32_t live; /* of these: entries (now) and open files */
    bool is_dir;
    struct sim_inode *copy; /* while a disk is being copied */

    /* A file. */
    struct sim_page **pages; /* NULL: zeros; owned */
    size_t page_count;
    size_t page_capacity;
    struct list unsynced; /* struct sim_page that differ from what is durable */
    uint64_t filled;      /* [0, filled) has blocks, by file_fill() */
    uint64_t block_count; /* of the whole file */
    uint64_t size;
    uint64_t size_durable;
    uint64_t size_min; /* since the last sync, that included */
    uint64_t size_max;
    bool size_dirty;   /* a sync would make `size` durable */
    struct file *lock; /* who holds it, by env_lock(); borrowed */

    /* A folder. */
    struct sim_entry **entries; /* sorted by name; owned */
    size_t entry_count;
    size_t entry_capacity;
    struct sim_inode *parent; /* NULL: the root, or no longer anywhere */
};

void sim__inode_init(struct sim_inode *inode, struct sim_disk *disk, bool is_dir);
void sim__inode_release(struct sim_inode *inode); /* the file part */

size_t sim__inode_read(const struct sim_inode *inode, uint64_t offset, void *out, size_t size);

/* How many bytes of a write at `offset` fit when `blocks` more may be taken. */
size_t sim__inode_fit(const struct sim_inode *inode, uint64_t offset, size_t size, uint64_t blocks);

/* A write of parts, or of a run of their bytes: [begin, limit) of all that they are together. */
struct sim_write {
    uint64_t offset; /* where the first byte of the first part belongs */
    const struct slice *parts;
    size_t part_count;
    size_t begin;
    size_t limit;
};

void sim__inode_write(struct sim_inode *inode, const struct sim_write *write, struct prng *prng);
void sim__inode_truncate(struct sim_inode *inode, uint64_t size, struct prng *prng);
void sim__inode_fill(struct sim_inode *inode, uint64_t size, struct prng *prng);

/* How many more blocks filling would take. */
uint64_t sim__inode_fill_blocks(const struct sim_inode *inode, uint64_t size);

void sim__inode_sync(struct sim_inode *inode);
void sim__inode_fail_sync(struct sim_inode *inode); /* D2 */

/* What a power cut leaves; each unsynced change survives with `percent` in 100. */
void sim__inode_crash(struct sim_inode *inode, uint32_t percent, struct prng *prng);

/* Both in the page cache and on the medium. */
void sim__inode_truncate_outright(struct sim_inode *inode, uint64_t size);
bool sim__inode_flip(struct sim_inode *inode, uint64_t offset, unsigned bit);

/* `to` is empty; it gets what `from` shows now, as durable. */
void sim__inode_copy(struct sim_inode *to, const struct sim_inode *from);

/* ------------------------------------------------------------------ sim_disk.c: names */

struct sim_entry {
    struct sim_inode *dir; /* whose entry this is */
    char *name;            /* owned */
    struct sim_inode *now;
    struct sim_inode *durable;
    uint32_t pending; /* changes that are not durable and concern it */
    uint64_t mark;    /* see close_selection() */
};

struct sim_disk {
    struct list inodes;  /* all, in the order of their creation */
    struct list dead;    /* by `work`: nobody refers to them */
    struct list changes; /* struct sim_change, oldest first */
    struct sim_inode *root;
    uint64_t mark;
    uint64_t block_count; /* of all live inodes (D6) */
    uint64_t block_limit;
};

struct sim_disk *sim__disk_create(void);
void sim__disk_destroy(struct sim_disk *d);
struct sim_disk *sim__disk_copy(struct sim_disk *d); /* what it shows now, as durable */

int sim__disk_find(struct sim_disk *d, const char *path, struct sim_inode **out);

/* Find the file, or create it as `flags` of env_open() say. */
int sim__disk_open(struct sim_disk *d, const char *path, unsigned flags, struct sim_inode **out);
int sim__disk_remove(struct sim_disk *d, const char *path);
int sim__disk_rename(struct sim_disk *d, const char *from, const char *to);
int sim__disk_link(struct sim_disk *d, const char *from, const char *to);
int sim__disk_make_dir(struct sim_disk *d, const char *path);
int sim__disk_remove_dir(struct sim_disk *d, const char *path);

/* `fails`: the changes are forgotten instead of made durable. */
int sim__disk_sync_dir(struct sim_disk *d, const char *path, bool fails);

/* An open file keeps its inode. */
void sim__disk_hold(struct sim_inode *inode);
void sim__disk_let_go(struct sim_inode *inode);

uint64_t sim__disk_free_blocks(const struct sim_disk *d);
void sim__disk_power_cut(struct sim_disk *d, struct prng *prng);

/* ------------------------------------------------------------------ sim_tree.c */

/* A place for a name: the folder, and the last part of a path. */
struct sim_place {
    struct sim_inode *dir;
    struct slice name; /* empty: the root itself, which has no such place */
};

/* Where the path's last part is or would be; 0 or an errno. */
int sim__locate(struct sim_disk *d, const char *path, struct sim_place *out);
struct slice sim__path_part(const char **path); /* the next one; empty at the end */

struct sim_inode *sim__inode_create(struct sim_disk *d, bool is_dir);
void sim__inode_ref(struct sim_inode *inode);
void sim__inode_unref(struct sim_inode *inode);
void sim__inode_enliven(struct sim_inode *inode); /* a reference that makes its space count (D6) */
void sim__inode_fade(struct sim_inode *inode);
void sim__bury_dead(struct sim_disk *d);

struct sim_inode *sim__inode_at(struct sim_place p); /* what the name stands for now, or NULL */
struct sim_entry *sim__entry_make(struct sim_place p);
void sim__entry_set_now(struct sim_entry *e, struct sim_inode *to);
void sim__entry_set_durable(struct sim_entry *e, struct sim_inode *to);
void sim__entry_drop_if_empty(struct sim_entry *e);

bool sim__is_empty_dir(const struct sim_inode *dir);
bool sim__is_inside(const struct sim_inode *dir, const struct sim_inode *of); /* or the same */

/* ------------------------------------------------------------------ sim_change.c */

/* A change of one name, or of two at once (a rename), that is not durable yet. */
struct sim_half {
    struct sim_entry *entry; /* NULL: this half has been overruled from outside */
    struct sim_inode *to;    /* what the name stands for after the change, or NULL */
};

/* Record it, and make it visible.  `halves[1].entry` is NULL when only one name changes. */
void sim__change_add(struct sim_disk *d, const struct sim_half halves[2]);

/* Make durable all that concerns the folder, and what that depends on. */
void sim__change_sync(struct sim_disk *d, const struct sim_inode *dir);
void sim__change_fail_sync(struct sim_disk *d, const struct sim_inode *dir);

/* Each survives with `percent` in 100; then none is left. */
void sim__change_power_cut(struct sim_disk *d, uint32_t percent, struct prng *prng);

/* Nothing pending may touch this entry any more. */
void sim__change_void(struct sim_disk *d, struct sim_entry *entry);
void sim__change_forget_all(struct sim_disk *d);

bool sim__survives(struct prng *prng, uint32_t percent);

#endif
