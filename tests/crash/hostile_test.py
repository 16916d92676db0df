#!/usr/bin/env python3
"""Hostile and broken clients against the real binary (P6, P9).

Each case ends with a protocol error, back-pressure or a closed connection; memory stays within
the budget and 64 MB; and a well-behaved client is served all the while, whose slowest call is told.

usage: hostile_test.py BINARY [--long] [--sanitized]

Without --long (`make hostile`) the same cases, smaller.  A sanitizer's memory is not ours, so
--sanitized tells the peak and does not judge it.
"""
import os
import resource
import select
import shutil
import socket
import struct
import sys
import threading
import time

from server import Client, Server, Witness, end_after, temporary_folder, wait_for

MB = 1 << 20
BUDGET_MB = 128
BESIDES_MB = 64
# A deadline that a loaded machine does not reach: whoever is refused all the same, was harmed.
FLAGS = ["--memory-budget", "%dmb" % BUDGET_MB, "--memtable", "8mb", "--log-segment", "16mb",
         "--min-free-bytes", "1mb", "--max-connections", "12000", "--deadline-ms", "20000"]


class Size:
    """How much of everything."""

    def __init__(self, long):
        self.long = long
        self.idle_count = 10000 if long else 2000
        self.pipelined_mb = 1024 if long else 32
        self.slow_s = 75 if long else 2
        self.deaf_s = 45 if long else 1
        self.half_open_s = 45 if long else 1


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=120)


def reset(s):
    """Gone without a word: the kernel sends RST, and no port is left in TIME_WAIT."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def said_to(server, data):
    """Send bytes and the end of the stream; all that the server says until it closes."""
    s = connect(server)
    said = b""
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        while True:
            part = s.recv(65536)
            if not part:
                break
            said += part
    except (ConnectionError, OSError) as e:
        if isinstance(e, TimeoutError):
            raise AssertionError("%r...: neither an answer nor an end" % data[:40]) from e
    s.close()
    return said


def bulks(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


PING = bulks(b"PING")

# What is sent, what must be among the answers, and whether the connection goes on after it.
MALFORMED = (
    (b"*1\r\n$9223372036854775808\r\n", b"-ERR Protocol error: invalid bulk length", False),
    (b"*1\r\n$9223372036854775807\r\n", b"-ERR Protocol error: invalid bulk length", False),
    (b"*9223372036854775808\r\n", b"-ERR Protocol error: invalid multibulk length", False),
    (b"*9223372036854775807\r\n", b"-ERR Protocol error: invalid multibulk length", False),
    (b"*-9223372036854775809\r\n", b"-ERR Protocol error: invalid multibulk length", False),
    (b"*1\r\n$18446744073709551617\r\nx\r\n", b"-ERR Protocol error: invalid bulk length", False),
    (b"*1\r\n$-5\r\n", b"-ERR Protocol error: invalid bulk length", False),
    (b"*1\r\n$600000000\r\n", b"-ERR Protocol error: invalid bulk length", False),
    (b"*2\r\n:1\r\n", b"-ERR Protocol error: expected '$'", False),
    (b"*1\r\n$4\r\nPINGxx", b"-ERR Protocol error", False),
    (PING + b"x" * (1 << 17) + b"\r\n", b"-ERR Protocol error: too big inline request", False),
    (b"x" * (1 << 17) + b"\r\n", b"ERROR unknown command", False),
    (b"SET k \"unbalanced\r\n", b"-ERR Protocol error: unbalanced quotes", False),
    (b"\x00\x01\x02\r\n", b"-ERR unknown command", True),
    (b"*0\r\n*-1\r\n\r\n", b"", True),
    (b"*1048576\r\n" + b"$1\r\nx\r\n" * 1048576, b"-ERR unknown command", True),
    (b"*1048577\r\n", b"-ERR Protocol error: invalid multibulk length", False),
    (bulks(b"SET", b"k" * (1 << 17), b"v"), b"-ERR", True),
    (bulks(b"SET", b"k", b"v" * (17 * MB)), b"-ERR", True),
)


def malformed(server, _size):
    for data, part, goes_on in MALFORMED:
        said = said_to(server, data + PING)
        if part not in said or said.endswith(b"+PONG\r\n") != goes_on:
            raise AssertionError("%r...: the server said %r" % (data[:40], said[:200]))
    for _ in range(20):
        said_to(server, os.urandom(4096) + b"\r\n")


def endless(server, size):
    """Lines without end: they are not stored; the server says so, and hangs up.  One of those that
    may have 16 MB at a time: with this budget there is room for one."""
    if size.long:
        never_ends(server, b"", b"x" * MB, b"ERROR line too long\n")
    in_parallel(never_ends, [
        (server, b"GET nothing\n", b"PUT k " + b"x" * MB, b"NOT_FOUND\nERROR line too long\n"),
        (server, PING, b"x" * MB, b"+PONG\r\n-ERR Protocol error: too big inline request\r\n")])


def never_ends(server, start, piece, expected):
    s = connect(server)
    said = b""
    until = time.monotonic() + 60
    try:
        s.sendall(start)
        while time.monotonic() < until:
            s.sendall(piece)
            if len(said) < len(expected):
                said += what_is_there(s)
        raise AssertionError("%r... without end is still read after 60 s" % (start + piece)[:20])
    except ConnectionError:
        pass
    s.close()
    if not expected.startswith(said):  # the reset may take words with it
        raise AssertionError("%r... without end was answered with %r"
                             % ((start + piece)[:20], said[:200]))


def what_is_there(s):
    poll = select.poll()
    poll.register(s, select.POLLIN)
    return s.recv(65536) if poll.poll(0) else b""


def in_parallel(call, arguments):
    """Call with each of `arguments` on a thread of its own; the first failure is raised."""
    failures = []

    def one(a):
        try:
            call(*a)
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=one, args=(a,)) for a in arguments]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]


def half_open(server, size):
    """Connections that begin a command and go silent; then half of them vanish."""
    held = []
    for i in range(200):
        s = connect(server)
        s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + b"x" * (i * 100))
        held.append(s)
    time.sleep(size.half_open_s)
    for i, s in enumerate(held):
        (reset if i % 2 else socket.socket.close)(s)


def allow_descriptors(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, OSError) as e:
        raise AssertionError("%d open files are needed, and %d are the limit: ulimit -Hn"
                             % (wanted, hard)) from e


def connected(server):
    client = server.connect()
    text = client.call(b"INFO", b"clients").decode()
    client.close()
    return int(text.split("connected_clients:")[1].split("\r")[0])


def idle(server, size):
    before_mb = server.resident_mb()
    held = [connect(server) for _ in range(size.idle_count)]
    wait_for("all idle connections are counted", lambda: connected(server) >= size.idle_count)
    for s in (held[0], held[-1]):
        s.sendall(b"PING\r\n")
        if s.recv(16) != b"+PONG\r\n":
            raise AssertionError("an idle connection is not served when it speaks")
    print("              %d idle connections: %.1f MB more"
          % (len(held), server.resident_mb() - before_mb))
    for s in held:
        reset(s)
    wait_for("connections that vanished are forgotten", lambda: connected(server) < 100)


def put_value(server, key, size):
    value = os.urandom(64) * (size // 64)
    writer = server.connect()
    if writer.call(b"SET", key, value) != b"OK":
        raise AssertionError("SET of %d bytes was refused" % size)
    writer.close()
    return b"$%d\r\n%s\r\n" % (len(value), value)


def slow_reader(server, size):
    """Two read a little at a time, and get every byte.  Twenty ask for much and read nothing: the
    server reads no more from them, and closes them after a minute."""
    expected = put_value(server, b"big", 4 * MB)
    put_value(server, b"part", 64 << 10)
    slow = [connect(server) for _ in range(2)]
    deaf = [connect(server) for _ in range(20)]
    for s in slow:
        s.sendall(bulks(b"GET", b"big"))
    for s in deaf:
        s.sendall(bulks(b"GET", b"part") * 500)
    steps = int(size.slow_s / 0.05)
    for step in range(steps):
        for s in slow:
            begin, limit = (len(expected) * n // steps for n in (step, step + 1))
            if exactly(s, limit - begin) != expected[begin:limit]:
                raise AssertionError("a slow reader got something else near byte %d" % begin)
        time.sleep(0.05)
    if size.long:
        closed = sum(is_closed(s) for s in deaf)
        print("              %d of %d who read nothing were closed" % (closed, len(deaf)))
        if closed < len(deaf):
            raise AssertionError("who reads nothing for %d s is still connected" % size.slow_s)
    for s in deaf + slow:
        reset(s)


def exactly(s, size):
    got = b""
    while len(got) < size:
        part = s.recv(size - len(got))
        if not part:
            raise AssertionError("a slow reader was closed")
        got += part
    return got


def large_replies(server, size):
    """Twenty who ask for more than there is memory, and read nothing."""
    put_value(server, b"big", 4 * MB)
    held = [connect(server) for _ in range(20)]
    for s in held:
        s.sendall(bulks(b"GET", b"big") * 50)
    time.sleep(size.deaf_s)
    for s in held:
        reset(s)


def is_closed(s):
    """Read what the kernels hold; does an end follow?"""
    s.settimeout(10)
    try:
        while s.recv(1 << 18):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def eager_readers(server, _size):
    """Readers that ask for more than there is memory, and do read: each gets every value, for no
    reply that must wait for its turn keeps the room of one whose turn it is."""
    expected = put_value(server, b"big", 4 * MB)[10:-2]

    def one(count):
        client = Client(server.port)
        client.socket.settimeout(120)
        client.send(*[(b"GET", b"big")] * count)
        for _ in range(count):
            got = client.reply()
            if got != expected:
                raise AssertionError("an eager reader was answered with %.80r" % got)
        client.close()
    in_parallel(one, [(10,) for _ in range(16)])


def pipelined(server, size):
    """One connection sends, and reads late: it is slowed down, not stored, and hears of each."""
    s = connect(server)
    value = b"x" * 1000
    batch = b"".join(bulks(b"SET", b"p%05d" % i, value) for i in range(1000))
    heard = []
    reader = threading.Thread(target=hear, args=(s, heard))
    reader.start()
    for _ in range(size.pipelined_mb):
        s.sendall(batch)
    s.shutdown(socket.SHUT_WR)
    reader.join()
    s.close()
    if heard != [size.pipelined_mb * 1000]:
        raise AssertionError("%d pipelined writes, and as answers %r"
                             % (size.pipelined_mb * 1000, heard))


def hear(s, heard):
    """Count the OKs up to the end of the stream; whatever else is said goes to `heard` too."""
    time.sleep(1)
    count, rest = 0, b""
    try:
        while True:
            part = s.recv(1 << 18)
            if not part:
                break
            lines = (rest + part).split(b"\r\n")
            rest = lines.pop()
            oks = lines.count(b"+OK")
            count += oks
            if oks != len(lines):
                heard.extend([line for line in lines if line != b"+OK"][:3])
    except OSError as e:
        heard.append(e)
    heard.append(count)


def large_values(server, _size):
    """More bytes in flight than the whole budget: each is taken, or refused in words."""
    def one(n):
        client = Client(server.port)
        client.socket.settimeout(120)
        said = client.call(b"SET", b"large:%d" % n, b"y" * (4 * MB))
        client.close()
        if said != b"OK" and str(said).split()[0] not in ("BUSY", "TIMEOUT"):
            raise AssertionError("a large value was answered with %r" % said)
    in_parallel(one, [(n,) for n in range(48)])


CASES = (("malformed", malformed), ("endless", endless), ("half-open", half_open),
         ("idle", idle), ("slow reader", slow_reader), ("large replies", large_replies),
         ("eager readers", eager_readers), ("pipelined", pipelined), ("large values", large_values))


def all_at_one_node(server, size, sanitized):
    witness = Witness(server.connect())
    peak_mb = 0
    try:
        for name, case in CASES:
            began = time.monotonic()
            server.reset_peak()
            case(server, size)
            witness.check()
            peak_mb = max(peak_mb, server.peak_mb())
            print("%-13s %5.1f s, resident %.0f MB, at most %.0f MB, slowest call so far %.3f s"
                  % (name, time.monotonic() - began, server.resident_mb(), server.peak_mb(),
                     witness.slowest), flush=True)
    finally:
        witness.over = True
    witness.end()
    print("well-behaved client: %d calls, the slowest %.3f s; peak resident %.0f MB (budget %d MB)"
          % (witness.calls, witness.slowest, peak_mb, BUDGET_MB))
    if witness.calls == 0:
        raise AssertionError("the well-behaved client has not been served")
    if peak_mb > BUDGET_MB + BESIDES_MB and not sanitized:
        raise AssertionError("resident memory passed the budget and %d MB" % BESIDES_MB)


def silent_ones_are_closed(server):
    """--idle-timeout-ms: who has begun a command, or nothing, and says no more."""
    began = time.monotonic()
    held = [connect(server) for _ in range(50)]
    for s in held[::2]:
        s.sendall(b"*2\r\n$3\r\nGET\r\n$10\r\nabc")
    for s in held:
        if not is_closed(s):
            raise AssertionError("a silent connection outlived the idle timeout")
        s.close()
    print("silent connections closed after %.1f s" % (time.monotonic() - began))


def main():
    size = Size("--long" in sys.argv)
    end_after(1700 if size.long else 280)
    allow_descriptors(size.idle_count + 1000)
    folder = temporary_folder("distkv-hostile-")
    server = Server(sys.argv[1], folder + "/data", FLAGS).start()
    try:
        all_at_one_node(server, size, "--sanitized" in sys.argv)
        began = time.monotonic()
        if server.stop() != 0:
            raise AssertionError("the graceful stop failed")
        print("graceful stop %.1f s" % (time.monotonic() - began))
        server.flags += ["--idle-timeout-ms", "300"]
        server.start()
        silent_ones_are_closed(server)
        server.kill()
        shutil.rmtree(folder)
    finally:
        server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
