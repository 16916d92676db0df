#!/usr/bin/env python3
"""Drills: what docs/OPERATIONS.md says to do when a node's disk is empty or damaged, done, on real processes.

An emptied disk, a flipped bit in each table of a node, and a damaged log; after each the cluster is healthy again and has
every key.

usage: drill_test.py BINARY
"""
import glob
import json
import os
import shutil
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, temporary_folder, wait_for  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "64mb", "--table-bytes", "1mb", "--threads", "1"]
KEYS = 300


def run(*words, wait_s=120):
    done = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=wait_s)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def node(folder, name, join):
    ports = free_ports(2)
    return Server(BINARY, "%s/%s" % (folder, name),
                  ["--node-name", name, "--cluster-name", "drilled", "--port", str(ports[0]),
                   "--peer-port", str(ports[1]), *SMALL, *(["--join", join] if join else [])])


def peer_of(server):
    return "127.0.0.1:" + server.flags[server.flags.index("--peer-port") + 1]


def healthy(server, count=3):
    code, out, err = run("cluster", "status", "--wait", "90", "--nodes", str(count), "-p", str(server.port))
    expect(code, 0, "healthy: " + out + err)


def order(server, *words):
    """As often as somebody's report is still on its way."""
    for _ in range(20):
        code, out, err = run("cluster", *words, "-p", str(server.port))
        if code == 0:
            return
        time.sleep(1)
    raise AssertionError("%r: %s%s" % (words, out, err))


def write(server):
    c = server.connect()
    for i in range(KEYS):
        expect(c.call("SET", "key:%d" % i, "x" * 1000 + str(i)), b"OK", "SET")
    c.close()


def check(servers):
    for s in servers:
        c = s.connect()
        for i in range(KEYS):
            expect(c.call("GET", "key:%d" % i), b"x" * 1000 + b"%d" % i, "GET key:%d" % i)
        c.close()


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 8]))


def replace_by(servers, old, new):
    """As for a node that is gone for good: the new one joins under another name, the old one is drained and removed."""
    servers[servers.index(old)] = new
    new.start()
    healthy_nodes = servers[0] if servers[0] is not new else servers[1]
    order(healthy_nodes, "drain", name_of(old))
    order(healthy_nodes, "remove", name_of(old))
    healthy(new)


def heard(servers):
    return [len(s.log()) for s in servers]


def said(servers, event, since):
    return any("event=" + event in s.log()[at:] for s, at in zip(servers, since))


def name_of(server):
    return server.flags[server.flags.index("--node-name") + 1]


# ---------------------------------------------------------------- the drills

def an_emptied_disk(folder, servers):
    lost, others = servers[2], servers[:2]
    before = heard(others)
    lost.kill()
    shutil.rmtree(lost.data_dir)
    again = node(folder, "n2", peer_of(servers[0]))
    try:
        again.start(wait_s=20)
        wait_for("the name is taken, and it ends", lambda: again.process.poll() is not None, 20)
    except RuntimeError:
        pass
    expect("has the name n2" in again.log(), True, again.log()[-1000:])
    shutil.rmtree(again.data_dir)
    wait_for("it is said that copies lack", lambda: said(others, "cluster.copies_lacking", before), 40)
    expect(said(others, "cluster.copies_restored", before), False, "that they do not, so soon")
    replace_by(servers, lost, node(folder, "n3", peer_of(servers[0])))
    wait_for("it is said that all are there", lambda: said(others, "cluster.copies_restored", before), 20)
    check(servers)


def damaged_tables(folder, servers):
    """Found by the node itself: nobody reads them there."""
    hurt = servers[1]
    c = hurt.connect()
    c.call("SAVE")
    c.close()
    expect(hurt.stop(), 0, "the end of who is to be hurt")
    tables = glob.glob(hurt.data_dir + "/**/*.sst", recursive=True)
    expect(len(tables) > 0, True, "tables")
    for path in tables:
        flip(path, os.path.getsize(path) // 2)
    expect(run("check", hurt.data_dir)[0] != 0, True, "that the damage took place")
    before = len(hurt.log())
    hurt.start()
    wait_for("the damage is said", lambda: "event=tablet.damage" in hurt.log()[before:], 60)
    wait_for("every table was looked at", lambda: "event=scrub.done" in hurt.log()[before:], 60)
    healthy(servers[0])
    healthy(hurt)
    status = json.loads(run("cluster", "status", "--json", "-p", str(hurt.port))[1])
    expect(status["tablets"]["damaged"], 0, "copies that are damaged still")
    check(servers)
    expect(hurt.stop(), 0, "the end of who was hurt")
    code, out, err = run("check", hurt.data_dir)
    expect(code, 0, "check: " + out + err)
    hurt.start()
    healthy(hurt)
    check(servers)


def a_damaged_log(folder, servers):
    """It does not open, and says what to do: its node is gone for good."""
    hurt = servers[0]
    expect(hurt.stop(), 0, "the end of who is to be hurt")
    segment = max(glob.glob(hurt.data_dir + "/log-0/*"), key=lambda p: len(open(p, "rb").read().rstrip(b"\0")))
    used = len(open(segment, "rb").read().rstrip(b"\0"))
    flip(segment, used // 2)
    code, out, err = run("server", "--data-dir", hurt.data_dir, "--log-level", "off", *hurt.flags, wait_s=20)
    expect((code, err.count("\n"), "/log-0)" in err, "put the directory aside" in err), (1, 1, True, True),
           "what it says: " + err)
    expect(run("check", hurt.data_dir)[0] != 0, True, "check of a damaged log")
    os.rename(hurt.data_dir, hurt.data_dir + ".damaged")
    replace_by(servers, hurt, node(folder, "n4", peer_of(servers[1])))
    check(servers)


def main():
    end_after(170)
    folder = temporary_folder("distkv-drill-")
    servers = []
    try:
        began = time.monotonic()
        for i in range(3):
            servers.append(node(folder, "n%d" % i, peer_of(servers[0]) if servers else None))
            servers[-1].start()
        healthy(servers[0])
        write(servers[1])
        for drill in [an_emptied_disk, damaged_tables, a_damaged_log]:
            drill(folder, servers)
            print("%-18s %5.1f s" % (drill.__name__, time.monotonic() - began), flush=True)
        shutil.rmtree(folder)
    finally:
        for server in servers:
            server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
