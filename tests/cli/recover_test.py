#!/usr/bin/env python3
"""A majority is gone for good: `distkv cluster recover`, on real processes.

Two of three nodes die, and then three of five; what an operator is told, what is done, what is there afterwards, and
what happens to those who come back.

usage: recover_test.py BINARY
"""
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
SILENCE_S = 6  # a node that is to count as lost was silent for 5 s


def run(*words, wait_s=90):
    done = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=wait_s)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def recover(server, *words):
    return run("cluster", "recover", *words, "-p", str(server.port))


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def form(folder, servers, count):
    ports = free_ports(2 * count)
    for i in range(count):
        join = [] if i == 0 else ["--join", "127.0.0.1:%d" % ports[count]]
        servers.append(Server(BINARY, "%s/n%d" % (folder, i),
                              ["--node-name", "n%d" % i, "--cluster-name", "tried", "--port", str(ports[i]),
                               "--peer-port", str(ports[count + i]), *SMALL, *join]))
        servers[-1].start()
    healthy(servers[-1], count)


def healthy(server, count):
    code, out, err = run("cluster", "status", "--wait", "60", "--nodes", str(count), "-p", str(server.port))
    expect(code, 0, "healthy: " + out + err)


def put(server, value):
    """Into as many databases as take it; those that do."""
    c = server.connect()
    taken = []
    for db in range(16):
        c.call("SELECT", str(db))
        if c.call("SET", "key", value) == b"OK":
            taken.append(db)
    c.close()
    return taken


def get(server):
    c = server.connect()
    values = []
    for db in range(16):
        c.call("SELECT", str(db))
        values.append(c.call("GET", "key"))
    c.close()
    return values


def refused(result, want):
    code, out, err = result
    expect((code, out, want in err, err.count("\n")), (1, "", True, 1), "refused: %r %r" % (out, err))


def comes_back_refused(server):
    """It ends, and says why in one line of its log."""
    try:
        server.start(wait_s=20)
        wait_for("who comes back is gone again", lambda: server.process.poll() is not None, 20)
    except RuntimeError:
        pass  # it was refused before it was ready
    expect(server.process.poll(), 1, "the exit code of who comes back")
    expect("was removed from this cluster" in server.log(), True, server.log()[-2000:])


# ---------------------------------------------------------------- two of three

def two_of_three(folder, servers):
    form(folder, servers, 3)
    expect(put(servers[1], "before"), list(range(16)), "databases before")
    refused(recover(servers[0], "--confirm", "tried"), "nothing to recover")
    refused(recover(servers[0], "--confirm", "other"), "this cluster is called tried")
    servers[0].kill()
    servers[2].kill()
    refused(recover(servers[1]), "it counts as lost when it was silent for 5 s")
    time.sleep(SILENCE_S)

    code, out, err = recover(servers[1])
    expect((code, err, "17 of 17 tablets can elect nobody" in out, "Nothing was done" in out,
            "recover --confirm tried" in out, "n0 (silent for" in out),
           (1, "", True, True, True, True), out + err)
    plan = json.loads(recover(servers[1], "--json")[1])
    expect((plan["done"], sorted(n["name"] for n in plan["lost"]), [n["name"] for n in plan["left"]]),
           (False, ["n0", "n2"], ["n1"]), "the plan")
    expect({t["from"]["node"] for t in plan["tablets"]}, {"n1"}, "who goes on")

    code, out, err = recover(servers[1], "--confirm", "tried")
    expect((code, err, "Done." in out), (0, "", True), out + err)
    healthy(servers[1], 1)
    expect(get(servers[1]), [b"before"] * 16, "what was there before")
    expect(put(servers[1], "after"), list(range(16)), "databases afterwards")
    log = servers[1].log()
    expect(("event=cluster.membership_imposed" in log, "event=cluster.tablet_recovered" in log,
            "event=cluster.recovered tablets=17 nodes_lost=2" in log), (True, True, True), log[-2000:])
    refused(recover(servers[1]), "nothing to recover")


def the_lost_come_back(folder, servers):
    comes_back_refused(servers[0])
    comes_back_refused(servers[2])
    expect(get(servers[1]), [b"after"] * 16, "what was there before they came back")
    servers[1].kill()
    servers[1].start()
    healthy(servers[1], 1)
    expect(get(servers[1]), [b"after"] * 16, "what is there after a restart")


def it_grows_again(folder, servers):
    peer = servers[1].flags[servers[1].flags.index("--peer-port") + 1]
    for i in (0, 2):
        shutil.rmtree(servers[i].data_dir)
        flags = servers[i].flags
        if "--join" in flags:
            flags = flags[:flags.index("--join")]
        servers[i].flags = flags + ["--join", "127.0.0.1:" + peer]
        servers[i].start()
    healthy(servers[0], 3)
    expect(get(servers[2]), [b"after"] * 16, "at a node that is new")


# ---------------------------------------------------------------- three of five

def three_of_five(folder, servers):
    form(folder, servers, 5)
    put(servers[1], "before")
    for i in (0, 2, 4):
        servers[i].kill()
    time.sleep(SILENCE_S)
    code, out, err = recover(servers[3], "--confirm", "tried", "--json")
    expect((code, err), (0, ""), "recover: " + out + err)
    report = json.loads(out)
    empty = {int(t["keyspace"]) for t in report["tablets"]
             if t["outcome"] == "begins empty" and t["keyspace"].isdigit()}
    expect((report["done"], len(report["lost"])), (True, 3), "the report")
    healthy(servers[1], 2)
    expect(get(servers[1]), [None if db in empty else b"before" for db in range(16)], "what is left")
    expect(put(servers[3], "after"), list(range(16)), "databases afterwards")
    print("of 16 databases %d begin empty" % len(empty), flush=True)
    comes_back_refused(servers[4])


def main():
    end_after(170)
    folder = temporary_folder("distkv-recover-")
    servers = []
    others = []
    try:
        began = time.monotonic()
        for part in [two_of_three, the_lost_come_back, it_grows_again]:
            part(folder, servers)
            print("%-18s %5.1f s" % (part.__name__, time.monotonic() - began), flush=True)
        for server in servers:
            server.kill()
        os.mkdir(folder + "/five")
        three_of_five(folder + "/five", others)
        print("%-18s %5.1f s" % ("three_of_five", time.monotonic() - began), flush=True)
        shutil.rmtree(folder)
    finally:
        for server in servers + others:
            server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
