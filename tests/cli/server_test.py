#!/usr/bin/env python3
"""The server as whoever runs it sees it: signals, reloads, and what a start is refused for.

usage: server_test.py BINARY
"""
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, temporary_folder  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "128mb", "--table-bytes", "1mb"]
VALUE_BYTES = 4 << 20
FEW = 200  # descriptors


def expect(got, want, what):
    if got != want:
        raise AssertionError("%s: got %r, expected %r" % (what, got, want))


def refused(*flags, part, code):
    done = subprocess.run([BINARY, "server", *flags], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    text = done.stderr.decode()
    last = text.strip().split("\n")[-1]
    expect((done.returncode, part in last), (code, True), "%r says %r" % (flags, text))


def log_says(server, text, wait_s=20.0):
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        with open(server.log_path) as f:
            if text in f.read():
                return
        time.sleep(0.01)
    raise AssertionError("the log does not say %r" % text)


def starts_that_are_refused(folder, port):
    other = ["--data-dir", folder + "/other", *SMALL]
    refused("--port", str(port), *other, part="port %d of 127.0.0.1 is in use" % port, code=1)
    refused("--bind", "localhost", part="not a numeric address", code=2)
    refused("--bind", "127.0.0.1.example", part="not a numeric address", code=2)
    refused("--bind", "fe80::1%lo", part="beyond loopback", code=2)


def reload(server, ini):
    c = server.connect()
    with open(ini, "w") as f:
        f.write("deadline-ms = 6000\nsync = never\nlevel-base = 7mb\n")
    server.process.send_signal(signal.SIGHUP)
    log_says(server, "event=server.reloaded")
    log_says(server, "event=server.reload_ignored setting=level-base")
    expect(c.call("CONFIG", "GET", "deadline-ms", "sync"), [b"deadline-ms", b"6000", b"sync", b"never"],
           "what can be reloaded")
    expect(c.call("CONFIG", "GET", "level-base"), [b"level-base", b"%d" % (100 << 20)], "what cannot")
    with open(ini, "w") as f:
        f.write("deadline-ms = soon\n")
    server.process.send_signal(signal.SIGHUP)
    log_says(server, "node.ini:1: deadline-ms")
    expect(c.call("CONFIG", "GET", "deadline-ms"), [b"deadline-ms", b"6000"], "a bad file changes nothing")
    cpu = c.call("INFO", "cpu").decode()
    expect("used_cpu_user:" in cpu and "used_cpu_sys:" in cpu, True, "INFO cpu: %r" % cpu)
    c.close()


def no_way_out_of_the_password(folder):
    server = Server(BINARY, folder + "/open", ["--bind", "0.0.0.0", "--password", "pw", *SMALL]).start()
    try:
        c = server.connect()
        expect(c.call("AUTH", "pw"), b"OK", "AUTH")
        expect("needs a password" in str(c.call("CONFIG", "SET", "password", "")), True,
               "CONFIG SET of no password beyond loopback")
        expect(c.call("CONFIG", "SET", "password", "other"), b"OK", "CONFIG SET of another password")
        d = server.connect()
        expect(str(d.call("GET", "k")), "NOAUTH Authentication required.", "GET")
        expect(d.call("AUTH", "other"), b"OK", "AUTH with the new one")
    finally:
        server.kill()


def few_descriptors(folder):
    """Clients may take what they can get: they are refused, and the tables are not."""
    limited = folder + "/limited"
    with open(limited, "w") as f:
        f.write('#!/bin/sh\nulimit -n %d && exec "%s" "$@"\n' % (FEW, os.path.abspath(BINARY)))
    os.chmod(limited, 0o755)
    server = Server(limited, folder + "/few", SMALL).start()
    try:
        c = server.connect()
        clients = [server.connect() for _ in range(2 * FEW)]
        refused = 0
        for client in clients:
            try:
                refused += "max number of clients" in str(client.call("PING"))
            except ConnectionError:
                refused += 1
        expect(refused >= FEW, True, "%d of %d were refused" % (refused, len(clients)))
        expect((c.call("SET", "k", "v"), c.call("SAVE"), c.call("GET", "k")), (b"OK", b"OK", b"v"),
               "who is connected")
        for client in clients:
            client.close()
        expect(server.stop(), 0, "a stop")
    finally:
        server.kill()


def a_second_signal_does_not_wait(server):
    """A client that reads nothing holds up a graceful stop, for 10 s or until the second signal."""
    c = server.connect()
    expect(c.call("SET", "large", b"x" * VALUE_BYTES), b"OK", "SET")
    c.send(*[["GET", "large"]] * 8)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGINT)
    log_says(server, "event=server.stopping cause=SIGINT")
    time.sleep(0.5)
    expect(server.process.poll(), None, "a stop that waits")
    begun = time.monotonic()
    expect(server.stop(), 0, "the second signal")
    expect(time.monotonic() - begun < 5, True, "that the second signal does not wait")
    c.close()


def main():
    end_after(110)
    folder = temporary_folder("distkv-server-")
    ini = folder + "/node.ini"
    with open(ini, "w") as f:
        f.write("deadline-ms = 5000\n")
    server = Server(BINARY, folder + "/data", ["--config", ini, *SMALL]).start()
    try:
        starts_that_are_refused(folder, server.port)
        reload(server, ini)
        no_way_out_of_the_password(folder)
        few_descriptors(folder)
        a_second_signal_does_not_wait(server)
        shutil.rmtree(folder)
    finally:
        server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
