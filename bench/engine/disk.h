/* Folders of stores, and what the bare disk can do. */
#ifndef BENCH_ENGINE_DISK_H
#define BENCH_ENGINE_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"

/* Everything in it, and the folder.  It need not be there. */
void disk_remove(const char *dir);

/* Bytes of all files whose names end in `suffix`. */
uint64_t disk_bytes(const char *dir, const char *suffix);

/* Write `bytes` and fdatasync, one after the other into a file that is already zero-filled,
 * for `seconds`: the most that one synced writer could get here.  Returns how many. */
uint64_t disk_sync_rate(const char *dir, size_t bytes, double seconds, struct histogram *times_ns);

#endif
