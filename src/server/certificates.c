#include "server/certificates.h"

enum status
certificates_open(struct certificates *c, struct env *env, const struct config *config,
                  struct err *err)
{
    struct carrier_files files = { .cert = config->peer_tls_cert,
                                   .key = config->peer_tls_key,
                                   .ca = config->peer_tls_ca };

    c->env = env;
    return files.cert == NULL ? ST_OK : carrier_create(&c->carrier, env, &files, err);
}

static void
read_files(struct job *job)
{
    struct certificates *c = container_of(job, struct certificates, job);

    c->status = carrier_reload(c->carrier, &c->err);
}

static void
are_read(struct job *job)
{
    struct certificates *c = container_of(job, struct certificates, job);

    if (c->status != ST_OK)
        log_event(LOG_ERROR, "server.reload_failed", log_err(&c->err),
                  log_str("effect", "the certificates stay as they were"));
    c->reading = false;
    if (c->again)
        certificates_reload(c, c->job.loop);
}

/* What is asked for while files are read, is done after that: they may have changed meanwhile. */
void
certificates_reload(struct certificates *c, struct loop *loop)
{
    c->again = c->reading;
    if (c->carrier == NULL || c->reading)
        return;
    c->reading = true;
    c->job = (struct job){ .run = read_files, .done = are_read, .loop = loop };
    env_submit(c->env, ENV_LANE_READ, &c->job);
}

void
certificates_close(struct certificates *c)
{
    carrier_destroy(c->carrier);
}
