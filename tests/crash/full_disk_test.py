#!/usr/bin/env python3
"""A full disk, against the real binary on a real file system of 64 MB (P6).

The file system is an ext4 image on a loop device, or else a tmpfs, mounted in a mount namespace of
our own: it is gone when we are.  Where that is not allowed the test ends with 77, "skipped".

  another's file    fills it to the last byte: writes are refused with MISCONF, reads and DEL go on,
                    after kill -9 on the full disk too; when the file goes, writes go on by themselves
  to the last byte  it takes what the spent reserve gave, too, and whatever is given back between
                    two starts: each start succeeds all the same, and serves reads
  our own data      fills it: the same, and it resumes when keys were deleted

After each, every acknowledged write is there.

usage: full_disk_test.py BINARY
"""
import errno
import os
import random
import shutil
import subprocess
import sys

from server import Server, end_after, temporary_folder, wait_for

SKIPPED = 77
STARTS = 6
DISK_MB = 64
MB = 1 << 20
FLAGS = ["--memtable", "1mb", "--log-segment", "1mb", "--table-bytes", "1mb", "--level-base", "4mb",
         "--memory-budget", "32mb", "--min-free-bytes", "8mb", "--log-retained-max", "4mb",
         "--compaction-wait-ms", "100", "--deadline-ms", "20000"]
REFUSED = "MISCONF the disk is full"
INSIDE = "DISTKV_FULL_DISK_FOLDER"  # unset before the server starts: it refuses what it does not know


def skip(why):
    print("skipped: %s" % why)
    sys.exit(SKIPPED)


def enter_namespace():
    """Once more, from the beginning, where mounts are our own."""
    unshare = shutil.which("unshare")
    if unshare is None:
        skip("there is no unshare(1)")
    inside = [unshare, "--mount", "--propagation", "private"]
    tried = subprocess.run([*inside, "true"], check=False, stderr=subprocess.PIPE)
    if tried.returncode != 0:  # in a container even root may not
        skip(tried.stderr.decode("utf-8", "replace").strip())
    os.environ[INSIDE] = temporary_folder("distkv-full-")
    os.execv(unshare, [*inside, sys.executable, *sys.argv])


def mount(folder):
    """The folder of the small disk, and what kind it is."""
    place, image = folder + "/disk", folder + "/image"
    os.mkdir(place)
    with open(image, "wb") as f:
        f.truncate(DISK_MB * MB)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=False,
                          stderr=subprocess.DEVNULL).returncode if shutil.which("mkfs.ext4") else 1
    if made == 0 and subprocess.run(["mount", "-o", "loop", image, place], check=False,
                                    stderr=subprocess.DEVNULL).returncode == 0:
        return place, "ext4"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % DISK_MB, "none", place],
                      check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return place, "tmpfs"
    return None, None


def free_mb(place):
    s = os.statvfs(place)
    return s.f_bavail * s.f_frsize / MB


class Ballast:
    """Somebody else's file."""

    def __init__(self, place):
        self.path = place + "/ballast"

    def fill(self):
        """To the last byte; more than once, because others release what they no longer need."""
        with open(self.path, "ab", buffering=0) as f:
            for size in (MB, 4096):
                try:
                    while True:
                        f.write(bytes(size))
                        os.fsync(f.fileno())
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise

    def remove(self):
        os.unlink(self.path)


class Store:
    """What was acknowledged, beside the server that should have it."""

    def __init__(self, server, rng):
        self.server = server
        self.rng = rng
        self.client = server.connect()
        self.expected = {}
        self.unsure = {}  # key: what an answer that did not come may have left
        self.next = 0

    def set(self, count=64):
        """Write new keys and old ones; the refusals."""
        batch = []
        for _ in range(count):
            if self.expected and self.rng.random() < 0.2:
                key = b"key:%06d" % self.rng.randrange(self.next)
            else:
                key = b"key:%06d" % self.next
                self.next += 1
            batch.append((key, self.rng.randbytes(2000)))
        self.client.send(*[(b"SET", k, v) for k, v in batch])
        refusals = []
        for k, v in batch:
            said = self.client.reply()
            if said == b"OK":
                self.expected[k] = v
            else:
                refusals.append(str(said))
        wrong = [r for r in refusals if not r.startswith(REFUSED)]
        if wrong:
            raise AssertionError("on a full disk SET was answered with %r" % wrong[0])
        return refusals

    def write_until_refused(self):
        wait_for("writes are refused", lambda: self.set(512), wait_s=120)

    def delete(self, count):
        keys = self.rng.sample(sorted(self.expected), count)
        for at in range(0, count, 64):
            part = keys[at:at + 64]
            self.client.send(*[(b"DEL", k) for k in part])
            for k in part:
                said = self.client.reply()
                if said != 1:
                    raise AssertionError("DEL on a full disk was answered with %r" % said)
                del self.expected[k]

    def check(self, when):
        """Every key that ever was: what was acknowledged last, or nothing."""
        names = [b"key:%06d" % n for n in range(self.next)]
        for at in range(0, len(names), 100):
            part = names[at:at + 100]
            got = self.client.call(b"MGET", *part)
            if isinstance(got, Exception):
                raise AssertionError("%s: MGET was answered with %r" % (when, got))
            for name, value in zip(part, got):
                if value != self.expected.get(name):
                    raise AssertionError("%s: %s is %.60r, and %.60r was acknowledged"
                                         % (when, name, value, self.expected.get(name)))

    def try_deletes(self, count):
        """Where not even the log has room, they may be refused; each says what became of it."""
        for key in self.rng.sample(sorted(self.expected), count):
            said = self.client.call(b"DEL", key)
            if said == 1:
                del self.expected[key]
            elif not str(said).startswith((REFUSED, "BUSY")):
                raise AssertionError("DEL with no byte free was answered with %r" % said)

    def start(self):
        self.server.start()
        self.client = self.server.connect()

    def restart(self):
        self.server.kill()
        self.start()

    def await_writes(self):
        wait_for("writes go on by themselves", lambda: self.set(1) == [], wait_s=120)


def fill_by_another(store, place):
    ballast = Ballast(place)
    for _ in range(100):
        store.set()
    ballast.fill()
    store.write_until_refused()
    print("another's file: %.1f MB are free, writes are refused" % free_mb(place), flush=True)
    store.check("on a full disk")
    store.delete(1000)
    store.check("after deletes on a full disk")
    store.restart()
    store.check("after kill -9 on a full disk")
    store.write_until_refused()
    store.delete(500)
    store.restart()
    store.check("after deletes and kill -9 on a full disk")
    store.write_until_refused()
    ballast.remove()
    store.await_writes()
    store.check("when there is room again")


def fill_to_the_last_byte(store, place):
    ballast = Ballast(place)
    ballast.fill()
    store.write_until_refused()
    ballast.fill()
    print("to the last byte: %.1f MB are free" % free_mb(place), flush=True)
    store.check("with no byte free")
    for n in range(STARTS):
        store.server.kill()
        ballast.fill()
        store.start()
        store.check("after start %d with no byte free" % (n + 1))
        if n % 2 == 0:
            store.try_deletes(40)
        ballast.fill()
    ballast.remove()
    store.restart()
    store.await_writes()
    store.check("after a start with no byte free")


def fill_by_ourselves(store, place):
    store.write_until_refused()
    print("our own data: %.1f MB are free, %d keys" % (free_mb(place), len(store.expected)),
          flush=True)
    store.check("full of our own data")
    store.restart()
    store.write_until_refused()
    store.check("full of our own data, after kill -9")
    store.delete(len(store.expected) * 9 // 10)
    store.await_writes()
    print("              %.1f MB are free after deletes, writes go on" % free_mb(place), flush=True)
    store.check("after most was deleted")


def run(binary, place, seed):
    # What is tested needs the server's view of the disk, and nothing else of the machine.
    server = Server(binary, place + "/data", FLAGS)
    server.log_path = os.path.dirname(place) + "/server.log"
    server.start()
    try:
        store = Store(server, random.Random(seed))
        fill_by_another(store, place)
        fill_to_the_last_byte(store, place)
        fill_by_ourselves(store, place)
        log = server.log()
        for event in ("event=space.low", "event=space.resumed"):
            if event not in log:
                raise AssertionError("the log does not say %s" % event)
        if "event=log.failed" in log:
            raise AssertionError("the log has failed, which ENOSPC must not do to it")
        if server.stop() != 0:
            raise AssertionError("the graceful stop failed")
        if subprocess.run([binary, "check", place + "/data"], check=False,
                          stdout=subprocess.DEVNULL).returncode != 0:
            raise AssertionError("distkv check finds something")
    finally:
        server.kill()


def main():
    if INSIDE not in os.environ:
        if os.geteuid() != 0:
            skip("only root may mount a small file system")
        enter_namespace()
    folder = os.environ.pop(INSIDE)
    seed = int(os.environ.get("TEST_SEED") or random.randrange(1 << 30))
    place, kind = mount(folder)
    if place is None:
        shutil.rmtree(folder)
        skip("neither a loop device nor a tmpfs can be mounted here")
    print("seed: TEST_SEED=%d; %s of %d MB" % (seed, kind, DISK_MB), flush=True)
    end_after(280)
    try:
        run(sys.argv[1], place, seed)
        done = True
    except BaseException:
        done = False
        raise
    finally:
        if done:
            subprocess.run(["umount", place], check=True)
            shutil.rmtree(folder)
        else:
            print("the log is %s/server.log" % folder)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
