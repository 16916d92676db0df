/*
 * fuzz/fuzz.h — the one function of a fuzz target.
 *
 * It takes any bytes, must neither crash nor run on, and always returns 0.
 * Whatever it finds wrong ends the process: ASSERT.  The same source is linked
 * with libFuzzer (`make fuzz`) and with replay_main.c (`make test`).
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The name is libFuzzer's.  `data` lies in a block of exactly `size` bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
