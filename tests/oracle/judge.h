/*
 * oracle/judge.h — is what etcd says the same, but for the named differences?
 */
#ifndef ORACLE_JUDGE_H
#define ORACLE_JUDGE_H

#include "oracle/script.h"

/* `answer` is taken apart.  NULL: it is; else in what they differ: a literal, and `*at` says in which
 * step, `*theirs` what etcd has there. */
const char *judge_script(const struct script *s, char *answer, struct view *theirs, uint32_t *at);

#endif
