#!/usr/bin/env python3
"""Hostile and broken clients against the real binary (P6, P9).

Each case ends with a protocol error, back-pressure or a closed connection; memory stays
within the budget and 64 MB; and a well-behaved client is served all the while.

usage: hostile_test.py BINARY [IDLE_CONNECTIONS]
"""
import os
import resource
import shutil
import socket
import sys
import threading
import time

from server import Client, Server, temporary_folder

MB = 1 << 20
BUDGET_MB = 64
FLAGS = ["--memory-budget", "%dmb" % BUDGET_MB, "--memtable", "8mb", "--log-segment", "16mb",
         "--min-free-bytes", "1mb", "--max-connections", "12000"]


def resident_mb(server):
    with open("/proc/%d/status" % server.process.pid) as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
    raise RuntimeError("no VmRSS")


class Witness:
    """A well-behaved client beside the others: every call must be answered, and soon."""

    def __init__(self, server):
        self.client = server.connect()
        self.over = False
        self.calls = 0
        self.slowest = 0.0
        self.failure = None
        self.peak_mb = 0
        self.server = server
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            while not self.over:
                began = time.monotonic()
                if self.client.call(b"SET", b"witness", b"%d" % self.calls) != b"OK":
                    raise AssertionError("the witness's SET was refused")
                if self.client.call(b"GET", b"witness") != b"%d" % self.calls:
                    raise AssertionError("the witness read something else")
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.calls += 1
                self.peak_mb = max(self.peak_mb, resident_mb(self.server))
                time.sleep(0.01)
        except Exception as e:  # whatever it is, the test must hear of it
            self.failure = e

    def end(self):
        self.over = True
        self.thread.join()
        if self.failure is not None:
            raise self.failure


def raw(server, data, wait_s=5.0):
    """Send bytes, read until the server closes or is silent; what it said."""
    s = socket.create_connection(("127.0.0.1", server.port), timeout=wait_s)
    said = b""
    try:
        s.sendall(data)
        s.settimeout(wait_s)
        while True:
            part = s.recv(65536)
            if not part:
                break
            said += part
            s.settimeout(0.5)
    except (socket.timeout, ConnectionError):
        pass
    s.close()
    return said


def malformed(server):
    for data, part in ((b"*1\r\n$9223372036854775808\r\n", b"invalid bulk length"),
                       (b"*9223372036854775808\r\n", b"invalid multibulk length"),
                       (b"*1\r\n$-5\r\n", b"invalid bulk length"),
                       (b"*2\r\n:1\r\n", b"expected '$'"),
                       (b"*1\r\n$600000000\r\n", b"invalid bulk length"),
                       (b"x" * (1 << 17) + b"\r\n", b""),
                       (b"\x00\x01\x02\r\n", b"ERR"),
                       (os.urandom(4096) + b"\r\n", b"")):
        said = raw(server, data)
        if part not in said:
            raise AssertionError("%r...: the server said %r" % (data[:40], said[:200]))


def half_open(server):
    """Connections that begin a command and go silent."""
    held = []
    for i in range(200):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + b"x" * (i * 100))
        held.append(s)
    time.sleep(1)
    for s in held:
        s.close()


def idle(server, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
    count = min(count, hard - 200)
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(count)]
    clients = server.connect().call(b"INFO", b"clients")
    if b"connected_clients:%d" % count > clients and count < 100:
        raise AssertionError("INFO says %r" % clients)
    held[-1].sendall(b"PING\r\n")
    if held[-1].recv(16) != b"+PONG\r\n":
        raise AssertionError("the last of %d connections is not served" % count)
    for s in held:
        s.close()
    return count


def slow_reader(server):
    """Asks for much and reads nothing: the server may hold only so much for it."""
    writer = server.connect()
    if writer.call(b"SET", b"big", b"x" * (4 * MB)) != b"OK":
        raise AssertionError("SET of 4 MB was refused")
    slow = []
    for _ in range(20):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" * 50)
        slow.append(s)
    time.sleep(2)
    for s in slow:
        s.close()


def pipelined(server, total_mb):
    """One connection sends without reading: it is slowed down, not stored."""
    s = socket.create_connection(("127.0.0.1", server.port))
    value = b"x" * 1000
    batch = b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\np%05d\r\n$1000\r\n%s\r\n" % (i, value)
                     for i in range(1000))
    drained = threading.Thread(target=drain, args=(s,))
    drained.start()
    for _ in range(total_mb):
        s.sendall(batch)
    s.shutdown(socket.SHUT_WR)
    drained.join()


def drain(s):
    time.sleep(1)
    try:
        while s.recv(1 << 18):
            pass
    except OSError:
        pass


def large_values(server):
    """More bytes in flight than the whole budget."""
    def one(n):
        c = Client(server.port)
        c.socket.settimeout(60)
        try:
            c.send((b"SET", b"large:%d" % n, b"y" * (8 * MB)))
            c.reply()  # OK, or a typed refusal
        except (OSError, ConnectionError):
            pass
        c.close()
    threads = [threading.Thread(target=one, args=(n,)) for n in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    folder = temporary_folder("distkv-hostile-")
    server = Server(sys.argv[1], folder + "/data", FLAGS).start()
    try:
        witness = Witness(server)
        for name, case in (("malformed", malformed), ("half-open", half_open),
                           ("idle", lambda s: idle(s, count)), ("slow reader", slow_reader),
                           ("pipelined", lambda s: pipelined(s, 100)),
                           ("large values", large_values)):
            began = time.monotonic()
            case(server)
            print("%-12s %5.1f s, resident %d MB, the witness's slowest call %.3f s"
                  % (name, time.monotonic() - began, resident_mb(server), witness.slowest),
                  flush=True)
        witness.end()
        print("witness: %d calls, peak resident %d MB (budget %d MB)"
              % (witness.calls, witness.peak_mb, BUDGET_MB))
        if witness.peak_mb > BUDGET_MB + 64:
            raise AssertionError("resident memory passed the budget and 64 MB")
        if server.stop() != 0:
            raise AssertionError("the graceful stop failed")
        shutil.rmtree(folder)
    finally:
        if server.process.poll() is None:
            server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
