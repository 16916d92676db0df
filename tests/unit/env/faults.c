#include "faults.h"

#include <sys/uio.h>
#include <uv.h>

struct faults faults;

void
forget_faults(void)
{
    memset(&faults, 0, sizeof(faults));
}

void
set_fault(struct fault *f, int count, int sys, size_t bytes_max)
{
    f->sys = sys;
    f->bytes_max = bytes_max;
    atomic_store(&f->calls, 0);
    atomic_store(&f->count, count);
}

/* Is this call to be disturbed? */
static bool
strikes(struct fault *f)
{
    atomic_fetch_add(&f->calls, 1);
    if (atomic_load(&f->count) <= 0)
        return false;
    atomic_fetch_sub(&f->count, 1);
    return true;
}

/* ... by failing, and not only by being cut short? */
static bool
fails(struct fault *f, bool struck)
{
    if (!struck || f->sys == 0)
        return false;
    errno = f->sys;
    return true;
}

static size_t
cut(struct fault *f, bool struck, size_t size)
{
    return struck && size > f->bytes_max ? f->bytes_max : size;
}

/* ------------------------------------------------------------------ between us and the system */

ssize_t __real_pread(int fd, void *out, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *out, size_t size, off_t at);
ssize_t __real_preadv2(int fd, const struct iovec *iov, int count, off_t at, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int count, off_t at, int flags);
ssize_t __real_pwritev(int fd, const struct iovec *iov, int count, off_t at);
ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int count, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __real_fallocate(int fd, int mode, off_t at, off_t size);
int __wrap_fallocate(int fd, int mode, off_t at, off_t size);
ssize_t __real_recv(int fd, void *out, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *out, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags);
int __real_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *ctx);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *ctx);
int __real_uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb fn);
int __wrap_uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb fn);
int __real_uv_poll_stop(uv_poll_t *poll);
int __wrap_uv_poll_stop(uv_poll_t *poll);

ssize_t
__wrap_pread(int fd, void *out, size_t size, off_t at)
{
    bool struck = strikes(&faults.pread);

    if (fails(&faults.pread, struck))
        return -1;
    return __real_pread(fd, out, cut(&faults.pread, struck, size), at);
}

/* Never the real one: what the page cache holds is not ours to say. */
ssize_t
__wrap_preadv2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
    bool struck = strikes(&faults.preadv2);

    MUST(count == 1 && flags == RWF_NOWAIT); /* F3 */
    if (fails(&faults.preadv2, struck))
        return -1;
    return __real_pread(fd, iov->iov_base, cut(&faults.preadv2, struck, iov->iov_len), at);
}

ssize_t
__wrap_pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    bool struck = strikes(&faults.pwritev);
    struct iovec first = iov[0];

    if (fails(&faults.pwritev, struck))
        return -1;
    if (!struck)
        return __real_pwritev(fd, iov, count, at);
    first.iov_len = cut(&faults.pwritev, struck, first.iov_len);
    return __real_pwritev(fd, &first, 1, at);
}

int
__wrap_fdatasync(int fd)
{
    if (fails(&faults.fdatasync, strikes(&faults.fdatasync)))
        return -1;
    return __real_fdatasync(fd);
}

int
__wrap_ftruncate(int fd, off_t size)
{
    if (fails(&faults.ftruncate, strikes(&faults.ftruncate)))
        return -1;
    return __real_ftruncate(fd, size);
}

int
__wrap_fallocate(int fd, int mode, off_t at, off_t size)
{
    if (fails(&faults.fallocate, strikes(&faults.fallocate)))
        return -1;
    return __real_fallocate(fd, mode, at, size);
}

ssize_t
__wrap_recv(int fd, void *out, size_t size, int flags)
{
    bool struck = strikes(&faults.recv);

    if (fails(&faults.recv, struck))
        return -1;
    return __real_recv(fd, out, cut(&faults.recv, struck, size), flags);
}

ssize_t
__wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    bool struck = strikes(&faults.sendmsg);
    struct msghdr shorter = *message;
    struct iovec first = message->msg_iov[0];

    MUST((flags & MSG_NOSIGNAL) != 0);
    if (fails(&faults.sendmsg, struck))
        return -1;
    if (!struck)
        return __real_sendmsg(fd, message, flags);
    first.iov_len = cut(&faults.sendmsg, struck, first.iov_len);
    shorter.msg_iov = &first;
    shorter.msg_iovlen = 1;
    return __real_sendmsg(fd, &shorter, flags);
}

int
__wrap_accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
    if (fails(&faults.accept4, strikes(&faults.accept4)))
        return -1;
    return __real_accept4(fd, peer, size, flags);
}

int
__wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *ctx)
{
    if (fails(&faults.pthread_create, strikes(&faults.pthread_create)))
        return faults.pthread_create.sys;
    return __real_pthread_create(out, attr, fn, ctx);
}

int
__wrap_uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb fn)
{
    strikes(&faults.poll_start);
    return __real_uv_poll_start(poll, events, fn);
}

int
__wrap_uv_poll_stop(uv_poll_t *poll)
{
    strikes(&faults.poll_stop);
    return __real_uv_poll_stop(poll);
}
