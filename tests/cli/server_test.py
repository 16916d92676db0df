#!/usr/bin/env python3
"""The server as whoever runs it sees it: what it tells, what it is told, and how it stops.

Wrong starts and reloads are tested in tests/crash/wrong_use_test.py, too few descriptors in
tests/crash/descriptors_test.py.

usage: server_test.py BINARY
"""
import os
import re
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, temporary_folder, wait_for  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "128mb", "--table-bytes", "1mb"]
VALUE_BYTES = 4 << 20


def cpu_time(server):
    c = server.connect()
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


def is_full(client, number):
    """The server has more for this connection than the connection takes, and waits to write it."""
    clients = client.call("CLIENT", "LIST").decode()
    return "w" in re.search(r"(?m)^id=%d .* events=(\S*)" % number, clients).group(1)


def is_closed(client):
    try:
        return client.socket.recv(1) == b""
    except BlockingIOError:
        return False


def a_second_signal_does_not_wait(server):
    """A client that reads nothing holds up a graceful stop, for 10 s or until the second signal."""
    c, other = server.connect(), server.connect()
    number = c.call("CLIENT", "ID")
    expect(c.call("SET", "large", b"x" * VALUE_BYTES), b"OK", "SET")
    c.send(*[["GET", "large"]] * 8)
    wait_for("the answers do not fit into the connection", lambda: is_full(other, number))
    server.process.send_signal(signal.SIGINT)
    other.socket.setblocking(False)
    wait_for("who has read everything is let go", lambda: is_closed(other))
    expect("event=server.stopping cause=SIGINT" in server.log(), True, "the log")
    expect(server.process.poll(), None, "a stop that waits")
    begun = time.monotonic()
    expect(server.stop(), 0, "the second signal")
    expect(time.monotonic() - begun < 5, True, "that the second signal does not wait")
    c.close()


def main():
    end_after(110)
    folder = temporary_folder("distkv-server-")
    server = Server(BINARY, folder + "/data", SMALL).start()
    try:
        cpu_time(server)
        no_way_out_of_the_password(folder)
        a_second_signal_does_not_wait(server)
        shutil.rmtree(folder)
    finally:
        server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
