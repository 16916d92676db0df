/* What a figure is worthless without. */
#ifndef BENCH_ENGINE_MACHINE_H
#define BENCH_ENGINE_MACHINE_H

/* Cores, memory, kernel, file system, load, to standard output. */
void machine_print(const char *dir);

#endif
