/*
 * What the system seldom does: calls that are interrupted, cut short, refused,
 * or not known.  The linker sends the calls named here through a function of
 * faults.c (see CMakeLists.txt), which fails as the test has told it.
 */
#ifndef UNIT_ENV_FAULTS_H
#define UNIT_ENV_FAULTS_H

#include "echo.h"

/* The next `count` calls end with `sys` as errno, or, with sys 0, move at most `bytes_max`. */
struct fault {
    _Atomic int count;
    _Atomic int sys;
    _Atomic size_t bytes_max;
    _Atomic uint32_t calls; /* seen since it was set */
};

struct faults {
    struct fault pread, preadv2, pwritev, fdatasync, ftruncate, fallocate;
    struct fault recv, sendmsg, accept4, pthread_create, poll_start, poll_stop;
};

extern struct faults faults;

void forget_faults(void);
void set_fault(struct fault *f, int count, int sys, size_t bytes_max);

#endif
