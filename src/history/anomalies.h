/*
 * history/anomalies.h — short reasons why there is no order.
 */
#ifndef HISTORY_ANOMALIES_H
#define HISTORY_ANOMALIES_H

#include "history/check.h"
#include "history/subhistory.h"

struct anomaly {
    enum history_anomaly kind;
    uint32_t observer; /* the operation that saw what it could not */
    uint32_t against;  /* the write that it contradicts; HISTORY_OPS_MAX: none */
};

/* The first one by the observers' returns; HISTORY_NO_ANOMALY: there is none.  `s` is as
 * subhistory_init() made it: not reduced.  Each implies that there is no order.  ST_NO_MEMORY. */
MUST_USE enum status anomalies_find(const struct subhistory *s, struct anomaly *out);

#endif
