/* server/certificates.h — a node's carrier (peer/carrier.h), whose files may change while the server runs. */
#ifndef SERVER_CERTIFICATES_H
#define SERVER_CERTIFICATES_H

#include "peer/carrier.h"
#include "server/config.h"

struct certificates {
    struct carrier *carrier; /* NULL: there are none, and nodes speak plainly */
    struct env *env;
    struct job job; /* reads the files */
    bool reading;
    bool again;
    enum status status; /* of the job */
    struct err err;
};

/* Start-up code; zeroed before.  Statuses as carrier_create(). */
MUST_USE enum status certificates_open(struct certificates *c, struct env *env,
                                       const struct config *config, struct err *err);

/* Read the files again, in the background; a failure is one line, and all stays as it was.  On loop 0. */
void certificates_reload(struct certificates *c, struct loop *loop);

/* The loops have stopped, jobs have ended, and so have connections.  Zeroed is allowed. */
void certificates_close(struct certificates *c);

#endif
