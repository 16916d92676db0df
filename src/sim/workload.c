#include "sim/workload.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/hash.h"

static const struct workload workloads[] = {
    { "registers", "a few hot keys", .keys = 5, .gets = 4, .puts = 4, .deletes = 1, .cases = 2,
      .value_min = 8, .value_max = 200, .rates = { 10, 100, 300, 1000 } },
    { "plain", "the same without conditions", .keys = 4, .gets = 4, .puts = 4, .deletes = 1,
      .value_min = 8, .value_max = 500, .rates = { 10, 100, 300, 1000 } },
    { "counters", "a few hot counters", .keys = 1, .counters = 3, .gets = 2, .incrs = 8,
      .value_min = 8, .value_max = 8, .rates = { 10, 100, 300, 1000 } },
    { "mixed", "registers and counters", .keys = 12, .counters = 2, .gets = 5, .puts = 5,
      .deletes = 1, .cases = 2, .incrs = 2, .value_min = 8, .value_max = 2000,
      .rates = { 1, 50, 200, 600 } },
    { "large", "values of kilobytes", .keys = 8, .gets = 3, .puts = 5, .deletes = 1, .cases = 1,
      .value_min = 1000, .value_max = WORKLOAD_VALUE_MAX, .rates = { 5, 20, 40, 80 } },
    { "many", "many keys: flushes, compactions, cold reads", .keys = 2000, .gets = 4, .puts = 8,
      .deletes = 2, .cases = 1, .value_min = 50, .value_max = 1000,
      .rates = { 10, 200, 500, 1000 } },
    { "fading", "values that expire", .keys = 4, .gets = 6, .puts = 3, .deletes = 1, .cases = 1,
      .fades = 70, .value_min = 8, .value_max = 200, .rates = { 5, 10, 20, 50 } },
    { "idle", "long silence, now and then a burst", .keys = 4, .counters = 1, .gets = 3, .puts = 3,
      .deletes = 1, .cases = 1, .incrs = 1, .value_min = 8, .value_max = 100,
      .rates = { 0, 0, 1, 200 } },
};

uint32_t
workload_count(void)
{
    return sizeof(workloads) / sizeof(workloads[0]);
}

const struct workload *
workload_at(uint32_t index)
{
    ASSERT(index < workload_count());
    return &workloads[index];
}

const struct workload *
workload_find(const char *name)
{
    for (uint32_t i = 0; i < workload_count(); i++) {
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    }
    return NULL;
}

/* ------------------------------------------------------------------ values */

enum { PERIOD = 16, RANDOM = 8 };

#define FOUR_BITS_EACH UINT64_C(0x0f0f0f0f0f0f0f0f)
#define LETTER_A_EACH  UINT64_C(0x6161616161616161)

/* What follows a name: text, so that a person can look at it; half of it compresses. */
static void
next_period(uint64_t *word, uint8_t out[PERIOD])
{
    uint64_t letters;

    *word = hash_u64(*word);
    letters = (*word & FOUR_BITS_EACH) + LETTER_A_EACH;
    memcpy(out, &letters, RANDOM);
    memset(out + RANDOM, '-', PERIOD - RANDOM);
}

size_t
value_make(uint8_t *out, size_t size, uint32_t client, uint64_t number)
{
    char name[VALUE_NAME_MAX];
    int length = snprintf(name, sizeof(name), "%" PRIu32 ".%" PRIu64, client, number);
    struct slice named = slice_of(name, (size_t)length);
    uint64_t word = hash64(named);
    uint8_t period[PERIOD];

    memcpy(out, name, named.size);
    if (size <= named.size)
        return named.size;
    out[named.size] = ' ';
    for (size_t at = named.size + 1; at < size; at += PERIOD) {
        next_period(&word, period);
        memcpy(out + at, period, size - at < PERIOD ? size - at : PERIOD);
    }
    return size;
}

static bool
is_intact(struct slice value, struct slice name)
{
    uint64_t word = hash64(name);
    uint8_t period[PERIOD];

    for (size_t at = name.size + 1; at < value.size; at += PERIOD) {
        next_period(&word, period);
        if (memcmp(value.data + at, period, value.size - at < PERIOD ? value.size - at : PERIOD) !=
            0)
            return false;
    }
    return true;
}

void
value_name(struct slice value, char out[VALUE_NAME_MAX])
{
    size_t size = 0;

    while (size < value.size && size < VALUE_NAME_MAX - 1 &&
           (value.data[size] == '.' || (value.data[size] >= '0' && value.data[size] <= '9')))
        size++;
    if ((size == value.size || value.data[size] == ' ') &&
        is_intact(value, slice_of(value.data, size))) {
        memcpy(out, value.data, size);
        out[size] = '\0';
        return;
    }
    snprintf(out, VALUE_NAME_MAX, "damaged: %zu bytes, hash %016" PRIx64, value.size,
             hash64(value));
}
