#include "unit/simenv/disk_model.h"

#include <string.h>

#include "base/assert.h"

const char *const model_names[MODEL_NAMES] = { "a", "b", "c", "d/a", "d/b", "d/c" };
const char *const model_folders[MODEL_FOLDERS] = { "/", "d" };

static int
folder_of(int name)
{
    return name < MODEL_NAMES / 2 ? 0 : 1;
}

void
model_init(struct model *m)
{
    memset(m, 0, sizeof(*m));
    for (int i = 0; i < MODEL_NAMES; i++)
        model_settle_name(m, i, -1);
}

/* ------------------------------------------------------------------ names */

static void
set_name(struct model *m, int name, int file)
{
    m->now[name] = file;
    m->possible[name][file + 1] = true;
}

void
model_settle_name(struct model *m, int name, int file)
{
    memset(m->possible[name], 0, sizeof(m->possible[name]));
    set_name(m, name, file);
}

void
model_create(struct model *m, int name)
{
    struct model_file *file = &m->files[m->file_count];

    ASSERT(m->now[name] < 0 && m->file_count < MODEL_FILES);
    for (int s = 0; s < MODEL_SECTORS; s++)
        file->sectors[s].version_count = 1; /* zeros */
    set_name(m, name, m->file_count++);
}

void
model_remove(struct model *m, int name)
{
    set_name(m, name, -1);
}

void
model_rename(struct model *m, int from, int to)
{
    int file = m->now[from];

    if (from == to)
        return;
    set_name(m, from, -1);
    set_name(m, to, file);
}

/* A rename between folders becomes durable in both; of the other folder's name we then know less
 * than there is to know, which is safe. */
void
model_sync_dir(struct model *m, int folder)
{
    for (int i = 0; i < MODEL_NAMES; i++) {
        if (folder_of(i) == folder)
            model_settle_name(m, i, m->now[i]);
    }
}

/* ------------------------------------------------------------------ bytes */

bool
model_may_change(const struct model_file *file)
{
    for (int s = 0; s < MODEL_SECTORS; s++) {
        if (file->sectors[s].version_count + 2 > MODEL_VERSIONS)
            return false;
    }
    return true;
}

static void
set_bytes(struct model_file *file, uint64_t begin, uint64_t limit, const uint8_t *bytes)
{
    for (uint64_t s = begin / SIM_SECTOR; s * SIM_SECTOR < limit; s++) {
        struct model_sector *sector = &file->sectors[s];

        for (uint64_t i = 0; i < SIM_SECTOR; i++) {
            uint64_t at = s * SIM_SECTOR + i;

            if (at >= begin && at < limit)
                sector->now[i] = bytes == NULL ? 0 : bytes[at - begin];
        }
        memcpy(sector->versions[sector->version_count++], sector->now, SIM_SECTOR);
        sector->dirty = true;
    }
}

static void
set_size(struct model_file *file, uint64_t size)
{
    file->size = size;
    file->size_min = size < file->size_min ? size : file->size_min;
    file->size_max = size > file->size_max ? size : file->size_max;
    file->size_lost = false;
}

void
model_write(struct model_file *file, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
    if (size == 0)
        return;
    set_bytes(file, offset, offset + size, bytes);
    set_size(file, offset + size > file->size ? offset + size : file->size);
}

void
model_truncate(struct model_file *file, uint64_t size)
{
    if (size < file->size)
        set_bytes(file, size, MODEL_BYTES, NULL);
    set_size(file, size);
}

void
model_fill(struct model_file *file, uint64_t size)
{
    set_bytes(file, 0, MODEL_BYTES, NULL);
    set_size(file, size);
}

void
model_sync(struct model_file *file)
{
    for (int s = 0; s < MODEL_SECTORS; s++) {
        struct model_sector *sector = &file->sectors[s];

        if (!sector->dirty)
            continue;
        memcpy(sector->versions[0], sector->now, SIM_SECTOR);
        sector->version_count = 1;
        sector->dirty = false;
    }
    if (!file->size_lost) {
        file->size_min = file->size;
        file->size_max = file->size;
    }
}

/* What the sync should have written is out; older versions may have been written back before. */
void
model_fail_sync(struct model_file *file)
{
    for (int s = 0; s < MODEL_SECTORS; s++) {
        struct model_sector *sector = &file->sectors[s];

        if (!sector->dirty)
            continue;
        sector->version_count--;
        sector->dirty = false;
    }
    file->size_lost = true;
}

/* ------------------------------------------------------------------ power cuts */

static bool
sector_allows(const struct model_sector *sector, const uint8_t *bytes, size_t size)
{
    for (uint32_t v = 0; v < sector->version_count; v++) {
        if (memcmp(sector->versions[v], bytes, size) == 0)
            return true;
    }
    return false;
}

bool
model_allows(const struct model_file *file, struct slice bytes)
{
    if (bytes.size < file->size_min || bytes.size > file->size_max)
        return false;
    for (size_t s = 0; s * SIM_SECTOR < bytes.size; s++) {
        size_t left = bytes.size - s * SIM_SECTOR;
        size_t size = left < SIM_SECTOR ? left : SIM_SECTOR;

        if (!sector_allows(&file->sectors[s], bytes.data + s * SIM_SECTOR, size))
            return false;
    }
    return true;
}

void
model_settle_file(struct model_file *file, struct slice bytes)
{
    ASSERT(bytes.size <= MODEL_BYTES);
    memset(file, 0, sizeof(*file));
    for (int s = 0; s < MODEL_SECTORS; s++)
        file->sectors[s].version_count = 1;
    file->size = bytes.size;
    file->size_min = bytes.size;
    file->size_max = bytes.size;
    for (size_t i = 0; i < bytes.size; i++) {
        file->sectors[i / SIM_SECTOR].now[i % SIM_SECTOR] = bytes.data[i];
        file->sectors[i / SIM_SECTOR].versions[0][i % SIM_SECTOR] = bytes.data[i];
    }
}
