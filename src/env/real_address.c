#include "env/real_internal.h"

bool
real__address_parse(const char *text, uint16_t port, union real_address *out)
{
    memset(out, 0, sizeof(*out));
    return uv_ip4_addr(text, port, &out->v4) == 0 || uv_ip6_addr(text, port, &out->v6) == 0;
}

socklen_t
real__address_size(const union real_address *address)
{
    return address->any.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}
