#!/usr/bin/env python3
"""scripts/cluster, which `make cluster` calls: starts, starts again, names a port that is taken, stops.

usage: make_cluster_test.py BINARY
"""
import os
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Client, end_after, expect, temporary_folder  # noqa: E402

SCRIPT = os.path.join(HERE, "..", "..", "scripts", "cluster")
NODES = 2


def free_block():
    """A port from which on NODES are free, and so are those of the peers."""
    for first in range(20000, 30000, 100):
        try:
            for port in range(first, first + NODES):
                socket.create_server(("127.0.0.1", port)).close()
                socket.create_server(("127.0.0.1", port + 1000)).close()
            return first
        except OSError:
            pass
    raise RuntimeError("no free ports")


def is_running(pid):
    try:
        with open("/proc/%s/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def main():
    end_after(100)
    folder = temporary_folder("distkv-make-cluster-")
    first = free_block()
    env = {**os.environ, "DISTKV": os.path.abspath(sys.argv[1]), "DIR": folder, "PORT": str(first),
           "NODES": str(NODES)}

    def script(word):
        done = subprocess.run([SCRIPT, word], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=80)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def processes():
        return [open(os.path.join(folder, "%d.pid" % (i + 1))).read() for i in range(NODES)]
    try:
        with socket.create_server(("127.0.0.1", first + 1)):
            code, out, err = script("start")
            expect((code, out, "port %d, of node 2, is taken" % (first + 1) in err), (1, "", True), err)
        expect(script("stop"), (0, "cluster: nothing was running\n", ""), "nothing was started")
        code, out, err = script("start")
        expect((code, "is healthy: 2 nodes" in out, err), (0, True, ""), "start: " + out + err)
        for i in range(NODES):
            expect("127.0.0.1:%d" % (first + i) in out, True, "the doors: " + out)
        c = Client(first + 1)
        expect(c.call("SET", "k", "v"), b"OK", "SET")
        c.close()
        began = processes()
        expect((script("start")[0], processes()), (0, began), "a second start")
        expect(script("status")[0], 0, "status")
        expect(script("stop"), (0, "cluster: stopped 2 nodes\n", ""), "stop")
        expect([is_running(pid.strip()) for pid in began], [False] * NODES, "processes")
        expect(script("start")[0], 0, "start with data")
        c = Client(first)
        expect(c.call("GET", "k"), b"v", "GET")
        c.close()
    finally:
        script("stop")
    shutil.rmtree(folder)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
