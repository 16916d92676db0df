#include "server/tuning.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"

#include "server/membership.h"
#include "server/settings.h"

void
tuning_apply(const struct tuning *t)
{
    const struct config *c = t->config;
    struct log_sink sink = { .level = (enum log_level)c->log_level,
                             .format = (enum log_format)c->log_format };
    struct cluster_pace pace;

    log_set_sink(&sink);
    if (t->api == NULL)
        return;
    api_set_password(t->api, c->password);
    api_set_durability(t->api, (enum durability)c->sync);
    api_set_deadline_ms(t->api, (uint32_t)c->deadline_ms);
    api_set_moved(t->api, c->redis_moved != 0);
    api_set_stale_ms(t->api, (uint32_t)c->stale_reads_ms);
    pace = membership_pace(c);
    kv_set_pace(t->kv, &pace);
    kv_set_streaming(t->kv, c->streaming_throughput);
    kv_set_leases(t->kv, c->read_leases != 0);
}

/* ------------------------------------------------------------------ read again */

/* Take from a freshly read configuration what may change. */
static void
take_one(void *ctx, const char *name, const char *value)
{
    const struct tuning *t = ctx;
    struct err err;

    if (strcmp(name, "password") == 0 || config_changeable(slice_str(name)) != ST_OK)
        return;
    if (config_set(t->config, slice_str(name), slice_str(value), "reload", &err) != ST_OK)
        log_event(LOG_ERROR, "server.reload_failed", log_err(&err));
}

static void
warn_of_fixed(void *ctx, const char *name)
{
    (void)ctx;
    log_event(LOG_WARN, "server.reload_ignored", log_str("setting", name),
              log_str("effect", "it has changed, and counts after a restart"));
}

void
tuning_reload(const struct tuning *t)
{
    struct tuning taking = *t;
    struct config fresh;
    struct err err;
    enum status st = config_init(&fresh, &err);

    if (st == ST_OK)
        st = config_load(&fresh, t->argc, t->argv, &err);
    if (st == ST_OK)
        st = config_check(&fresh, &err);
    if (st == ST_OK)
        st = config_set(t->config, slice_str("password"),
                        slice_str(fresh.password == NULL ? "" : fresh.password), "reload", &err);
    if (st == ST_OK) {
        config_each_fixed_difference(t->config, &fresh, warn_of_fixed, NULL);
        config_each(&fresh, take_one, &taking);
        tuning_apply(t);
        log_event(LOG_INFO, "server.reloaded",
                  log_str("file", t->config->config_file == NULL ? "" : t->config->config_file));
    } else {
        log_event(LOG_ERROR, "server.reload_failed", log_err(&err),
                  log_str("effect", "the settings stay as they were"));
    }
    config_release(&fresh);
}

/* ------------------------------------------------------------------ one by one */

struct query {
    struct slice pattern;
    void (*fn)(void *ctx, const char *name, const char *value);
    void *ctx;
};

static void
match(void *ctx, const char *name, const char *value)
{
    struct query *q = ctx;

    if (kv_glob(q->pattern, slice_str(name)))
        q->fn(q->ctx, name, value);
}

void
tuning_each(const struct tuning *t, struct slice pattern,
            void (*fn)(void *ctx, const char *name, const char *value), void *ctx)
{
    struct query q = { pattern, fn, ctx };

    config_each(t->config, match, &q);
}

/* As it was, if it does not go together with the others. */
static enum status
change(struct config *c, struct slice name, struct slice value, struct err *err)
{
    const struct setting *setting = setting_find(name);
    char before[SETTING_VALUE_MAX];
    struct slice old;
    enum status st;

    if (setting_is_text(setting))
        return config_set(c, name, value, "value", err);
    old = slice_str(setting_value(setting, c, before));
    st = config_set(c, name, value, "value", err);
    if (st != ST_OK || config_check_together(c, err) == ST_OK)
        return st;
    st = config_set(c, name, old, "value", NULL);
    ASSERT(st == ST_OK);
    return ST_INVALID;
}

enum status
tuning_set(const struct tuning *t, struct slice name, struct slice value, struct err *err)
{
    enum status st = config_changeable(name);

    if (st == ST_OK && slice_equal_nocase(name, "password") && value.size == 0 &&
        config_needs_password(t->config))
        return err_raise(err, ST_INVALID, "%s is beyond loopback, which needs a password",
                         t->config->bind);
    if (st == ST_OK)
        st = change(t->config, name, value, err);
    if (st == ST_OK)
        tuning_apply(t);
    return st;
}
