#!/usr/bin/env python3
"""Running out of file descriptors, against the real binary.

  few      the server may have 160: of a crowd the surplus is turned away in words, and those who
           are connected, flushes and compactions go on as if nothing were
  none     then, with prlimit(2), not a single one more can be opened: no connection, no table, no
           log segment.  Every call is still answered: rightly, or with a typed error
  killed   in that state; with the usual limit everything acknowledged is there

usage: descriptors_test.py BINARY
"""
import os
import random
import re
import resource
import shutil
import socket
import sys
import time

from server import Client, Server, Witness, end_after, temporary_folder, wait_for

LIMIT = 160
CROWD = 400
FLAGS = ["--memtable", "64kb", "--log-segment", "64kb", "--table-bytes", "64kb",
         "--level-base", "256kb", "--memory-budget", "16mb", "--min-free-bytes", "1mb",
         "--log-retained-max", "1mb", "--compaction-wait-ms", "100", "--deadline-ms", "2000",
         "--threads", "2"]
TYPED = ("BUSY ", "TIMEOUT ")
UNREAD = re.compile("^ERR .*Too many open files")
KEYS = 2000


class Writer:
    """Writes and reads with one connection, and knows what must be there.

    A write that was not acknowledged may have been carried out only if its answer says so
    (UNKNOWN) or never came; here none may.
    """

    def __init__(self, server, rng):
        self.client = server.connect()
        self.rng = rng
        self.expected = {}
        self.refused = 0
        self.unread = 0

    def set(self, key, value):
        said = self.client.call(b"SET", key, value)
        if said == b"OK":
            self.expected[key] = value
        elif str(said).startswith(TYPED):
            self.refused += 1
        else:
            raise AssertionError("SET was answered with %r" % said)

    def write_some(self, count):
        for _ in range(count):
            key = b"key:%05d" % self.rng.randrange(KEYS)
            self.set(key, self.rng.randbytes(self.rng.randrange(20, 600)))

    def check(self, keys, may_fail=False):
        self.client.send(*[(b"GET", key) for key in keys])
        for key in keys:
            got = self.client.reply()
            if may_fail and isinstance(got, Exception) and UNREAD.search(str(got)):
                self.unread += 1
            elif got != self.expected.get(key):
                raise AssertionError("%r is %.80r, not %.80r" % (key, got, self.expected.get(key)))


def crowd(server, count):
    """`count` connections at once; those that were let in, and what the others were told."""
    admitted, told = [], []
    tried = [socket.create_connection(("127.0.0.1", server.port), timeout=60)
             for _ in range(count)]
    for s in tried:
        try:
            s.sendall(b"PING\r\n")
            said = s.recv(200)
        except ConnectionError:
            said = b""
        if said == b"+PONG\r\n":
            admitted.append(s)
        else:
            told.append(said)
            s.close()
    return admitted, told


def tables(server):
    return sum(name.endswith(".sst") for _, _, names in os.walk(server.data_dir) for name in names)


def compactions(writer):
    text = writer.client.call(b"DISTKV", b"STATS").decode()
    return int(text.split('"compactions":')[1].split(",")[0])


def few(server, writer):
    admitted, told = crowd(server, CROWD)
    wrong = [t for t in told if t and b"max number of clients reached" not in t]
    print("few: %d of %d connections admitted, %d open files" %
          (len(admitted), CROWD, server.open_files()))
    if wrong:
        raise AssertionError("a connection too many was told %r" % wrong[0])
    if not 10 < len(admitted) < LIMIT:
        raise AssertionError("%d connections with %d descriptors" % (len(admitted), LIMIT))
    before = compactions(writer)
    witness = Witness(Client(server.port, connected=admitted[0]))
    until = time.monotonic() + 60
    while compactions(writer) < before + 3:
        writer.write_some(200)
        if time.monotonic() > until:
            raise AssertionError("no compactions in 60 s beside a crowd")
    witness.end()
    writer.check(sorted(writer.expected))
    if writer.refused > 0:
        raise AssertionError("%d writes were refused beside a crowd" % writer.refused)
    print("     %d tables, %d compactions more, slowest call %.3f s"
          % (tables(server), compactions(writer) - before, witness.slowest))
    return admitted


def none(server, writer):
    """Nothing can be opened any more, while writes come that would need it."""
    pid = server.process.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, LIMIT))
    waiting = socket.create_connection(("127.0.0.1", server.port), timeout=60)  # the kernel's doing
    waiting.sendall(b"PING\r\n")
    until = time.monotonic() + 60
    while writer.refused < 2:
        writer.write_some(1)
        if time.monotonic() > until:
            raise AssertionError("writes need no descriptor: the case does not prove anything")
    writer.check(writer.rng.sample(sorted(writer.expected), 200), may_fail=True)
    if server.process.poll() is not None:
        raise AssertionError("the server ended with %d" % server.process.returncode)
    print("none: %d writes refused, %d of 200 reads were answered with an error"
          % (writer.refused, writer.unread))
    return waiting


def freed(server, writer, waiting):
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    if waiting.recv(16) != b"+PONG\r\n":
        raise AssertionError("who waited to be accepted was not served")
    waiting.close()
    refused = writer.refused

    def writes_go_on():
        nonlocal refused
        before, refused = refused, writer.refused
        writer.write_some(1)
        return before == writer.refused
    wait_for("writes go on when there are descriptors again", writes_go_on)
    before = tables(server) + compactions(writer)
    for _ in range(20):
        writer.write_some(200)
    wait_for("tables are made again", lambda: tables(server) + compactions(writer) != before)
    writer.check(sorted(writer.expected))


def run(server, rng):
    writer = Writer(server, rng)
    writer.write_some(1000)
    held = few(server, writer)
    for s in held:
        s.close()
    # Accepting goes on when the crowd has left.
    wait_for("others are admitted when the crowd is gone", lambda: crowd(server, 20)[1] == [])
    waiting = none(server, writer)
    freed(server, writer, waiting)
    none(server, writer).close()
    server.kill()
    server.descriptors = None
    server.start()
    writer.client = server.connect()
    writer.check(sorted(writer.expected))
    missing = [k for k in (b"key:%05d" % n for n in range(KEYS)) if k not in writer.expected]
    writer.check(missing)
    print("killed: %d keys are there" % len(writer.expected))
    if server.stop() != 0:
        raise AssertionError("the graceful stop failed")


def far_too_few(binary, folder):
    server = Server(binary, folder + "/tiny", FLAGS, descriptors=20)
    try:
        server.start()
    except RuntimeError as e:
        if "ended with 1" not in str(e) or "limit of open files is 20" not in str(e):
            raise AssertionError("with 20 descriptors: %s" % e) from e
        return
    server.kill()
    raise AssertionError("20 descriptors were enough")


def main():
    seed = int(os.environ.get("TEST_SEED") or random.randrange(1 << 30))
    print("seed: TEST_SEED=%d" % seed, flush=True)
    end_after(240)
    folder = temporary_folder("distkv-descriptors-")
    server = Server(sys.argv[1], folder + "/data", FLAGS, descriptors=LIMIT).start()
    try:
        run(server, random.Random(seed))
        far_too_few(sys.argv[1], folder)
        shutil.rmtree(folder)
    finally:
        server.kill()
        if os.path.exists(folder):
            print("the evidence is in %s" % folder)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
