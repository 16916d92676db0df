/* server/membership.h — what a node's settings say of its place among others. */
#ifndef SERVER_MEMBERSHIP_H
#define SERVER_MEMBERSHIP_H

#include "base/limits.h"

#include "kv/kv.h"
#include "server/config.h"

/* Texts that follow from the settings. */
struct membership {
    char name[LIMIT_NAME_BYTES + 1];
    char join_host[CONFIG_HOST_MAX];
};

/* The settings were checked.  `out` borrows from both. */
void membership_of(const struct config *c, struct membership *m, struct kv_member *out);

/* When silent nodes are what. */
struct cluster_pace membership_pace(const struct config *c);

#endif
