#!/usr/bin/env python3
"""A cluster as its operator sees it: `distkv cluster` and `distkv keyspace`, on real processes.

Three nodes are formed, asked, ordered about, and shrunk again; each verb for people and as JSON.

usage: cluster_test.py BINARY
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, free_ports, temporary_folder, wait_for  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "64mb", "--table-bytes", "1mb", "--threads", "1"]


def run(*words, wait_s=60):
    done = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=wait_s)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def ask(server, *words):
    """What `distkv cluster` prints; it must have succeeded."""
    code, out, err = run("cluster", *words, "-p", str(server.port))
    expect((code, err), (0, ""), "distkv cluster %r" % (words,))
    return out


def ask_json(server, *words, program="cluster"):
    """The answer, and that the server's own words are printed: one line of JSON.  Not healthy is 1."""
    code, out, err = run(program, *words, "--json", "-p", str(server.port))
    expect((code in (0, 1), out.count("\n"), err), (True, 1, ""), "distkv %s %r" % (program, words))
    return json.loads(out)


def refused(server, want, *words, program="cluster", code=1):
    """One line on standard error that says this, and nothing on standard output."""
    got, out, err = run(program, *words, "-p", str(server.port))
    expect((got, out, want in err), (code, "", True), "distkv %s %r: %r" % (program, words, err))
    if code == 1:
        expect(err.count("\n"), 1, "the lines of an error")


def rows(text):
    """The lines of a table behind its head."""
    return [line.split() for line in text.strip().split("\n")[1:]]


def form(folder, servers):
    ports = free_ports(6)
    for i in range(3):
        join = [] if i == 0 else ["--join", "127.0.0.1:%d" % ports[3]]
        servers.append(Server(BINARY, "%s/n%d" % (folder, i),
                              ["--node-name", "n%d" % i, "--cluster-name", "tried", "--port", str(ports[i]),
                               "--peer-port", str(ports[3 + i]), *SMALL, *join]))
        servers[-1].start()
    code, out, err = run("cluster", "status", "--wait", "30", "--nodes", "3",
                         "--port", str(servers[2].port))
    expect((code, out.split("\n")[0]),
           (0, "Cluster tried is healthy: 3 nodes, every tablet with all its copies."), out + err)
    expect("\033" in out, False, "colours off a terminal")


# ---------------------------------------------------------------- what is

def status_and_nodes(servers):
    status = ask_json(servers[1], "status")
    expect((status["nodes"]["healthy"], status["tablets"]["copies_min"], status["worst"]),
           (3, 3, []), "status")
    out = ask(servers[1], "status")
    expect(("3 healthy" in out, "led by n" in out), (True, True), out)
    nodes = ask_json(servers[0], "nodes")
    expect(sorted(n["name"] for n in nodes), ["n0", "n1", "n2"], "nodes")
    table = rows(ask(servers[0], "nodes"))
    expect([row[0] + " " + row[1] for row in table],
           ["n0 healthy", "n1 healthy", "n2 healthy"], "the table of nodes")
    for s in servers:
        expect(any("127.0.0.1:%d" % s.port in row for row in table), True, "a door of each node")
    code, out, _ = run("cluster", "status", "--nodes", "4", "-p", str(servers[0].port))
    expect(code, 1, "fewer nodes than there should be")


def client_of_users(server):
    """A client of the keyspace; of database 0 where SELECT takes no names yet, which is said."""
    c = server.connect()
    if c.call("SELECT", "users") != b"OK":
        print("SELECT of a name is not served: keys go to database 0", flush=True)
    return c


def keyspaces(servers):
    code, out, err = run("keyspace", "create", "users", "--mode", "strong", "--replicas", "3",
                         "--tablets", "16", "-p", str(servers[1].port))
    expect((code, err, out.split(".")[0]),
           (0, "", "Keyspace users: 16 tablets, 3 copies of each"), "keyspace create")
    c = client_of_users(servers[2])
    for i in range(300):
        expect(c.call("SET", "user:%d" % i, i), b"OK", "SET")
    expect([c.call("GET", "user:%d" % i) for i in range(300)], [b"%d" % i for i in range(300)], "GET")
    c.close()
    found = [k for k in ask_json(servers[0], "list", program="keyspace") if k["name"] == "users"]
    expect((found[0]["tablets"], found[0]["replicas"]), (16, 3), "keyspace list")
    expect("users" in run("keyspace", "list", "-p", str(servers[0].port))[1], True, "the table")
    tablets = ask_json(servers[0], "tablets", "users")
    expect((len(tablets), all(t["leader"] for t in tablets)), (16, True), "tablets")
    table = rows(ask(servers[0], "tablets", "users"))
    expect([row[2].split("-")[0] for row in table], [str(i * 1024) for i in range(16)],
           "the table of tablets")
    expect(len(rows(ask(servers[0], "tablets"))), 16 + 17, "the table of all tablets")


def more_keyspaces(servers):
    def order(*words):
        code, out, err = run("keyspace", *words, "-p", str(servers[0].port))
        expect((code, err), (0, ""), "distkv keyspace %r" % (words,))
        return out
    expect(order("create", "r", "--partition", "range", "--replicas", "1").split(".")[0],
           "Keyspace r: 1 tablet, 1 copy of each", "a range keyspace")
    expect("the first key to the last" in ask(servers[0], "tablets", "r"), True, "its bounds")
    expect(order("alter", "r", "--replicas", "3"), "Keyspace r: 3 copies of each tablet.\n", "alter")
    members = ask_json(servers[0], "tablets", "r")[0]["members"]
    expect([m["role"] for m in members], ["voter"] * 3, "members after alter")
    expect(order("split", "r", "--at", "m"), "Keyspace r: 2 tablets.\n", "split at a key")
    expect(order("split", "users", "--tablets", "20").split(",")[0], "Keyspace users: 20 tablets.\n", "split")
    c = client_of_users(servers[1])
    expect([c.call("GET", "user:%d" % i) for i in range(300)], [b"%d" % i for i in range(300)], "GET after a split")
    expect(c.call("DBSIZE"), 300, "DBSIZE after a split")
    c.close()
    refused(servers[0], "of ranges", "split", "r", "--tablets", "4", program="keyspace")
    refused(servers[0], "by the slots", "split", "users", "--at", "m", program="keyspace")
    refused(servers[0], "--tablets N, or --at", "split", "users", program="keyspace", code=2)
    expect(order("drop", "r"), "Keyspace r is dropped, with all that was in it.\n", "drop")
    for want, words in [("there is no keyspace r", ("drop", "r")),
                        ("cannot be dropped", ("drop", "0")),
                        ("there is a keyspace users already", ("create", "users")),
                        ("begins with one tablet", ("create", "s", "--partition", "range",
                                                    "--tablets", "2"))]:
        refused(servers[0], want, *words, program="keyspace")
    for words in [("create",), ("create", "s", "--tablets", "x"), ("create", "s", "--replicas", "8"),
                  ("create", "s", "--mode", "weak"), ("alter", "users"), ("list", "x"), ("make", "s")]:
        refused(servers[0], "", *words, program="keyspace", code=2)


def ring(servers):
    key = ask_json(servers[0], "ring", "--keyspace", "users", "--key", "{foo}bar")
    expect((key["slot"], key["hash"] % 16384), (12182, 12182), "slot of foo")
    place = key["place"]
    expect((place["slots"][0] <= 12182 <= place["slots"][1], len(place["position"]),
            sorted(place["preference"]), place["leader"] in place["preference"]),
           (True, 32, ["n0", "n1", "n2"], True), "its place")
    out = ask(servers[0], "ring", "--keyspace", "users", "--key", "{foo}bar")
    for word in ["12182", place["id"], place["position"], "clockwise", "holders"]:
        expect(word in out, True, "%s in\n%s" % (word, out))
    positions = [row[0] for row in rows(ask(servers[0], "ring", "--keyspace", "users"))]
    expect((len(positions), positions == sorted(positions)), (20, True), "the ring's order")
    expect(len(ask_json(servers[0], "ring")), 1, "the ring of database 0")


def wrong_words(servers):
    for words in [(), ("what",), ("drain",), ("nodes", "n0"), ("nodes", "--key", "k"), ("replace", "n0"),
                  ("status", "--wait", "soon"), ("status", "--wait"), ("undrain", "n0", "n1"),
                  ("status", "--data-dir", "x"), ("ring", "--keyspace")]:
        refused(servers[0], "", *words, code=2)
    for want, words in [("no node of this cluster is called nobody", ("drain", "nobody")),
                        ("--confirm tried", ("drain", "n1", "n2")),
                        ("this cluster is called tried", ("drain", "n1", "n2", "--confirm", "other")),
                        ("under their quorum", ("drain", "n1", "n2", "--confirm", "tried")),
                        ("n1 is named twice", ("drain", "n1", "n1", "--confirm", "tried")),
                        ("nobody would be left", ("drain", "n0", "n1", "n2", "--confirm", "tried")),
                        ("drain it first", ("remove", "n1")),
                        ("n1 is not draining", ("undrain", "n1")),
                        ("n1 cannot replace itself", ("replace", "n1", "n1")),
                        ("no node of this cluster is called n9", ("replace", "n1", "n9")),
                        ("there is no keyspace x", ("tablets", "x"))]:
        refused(servers[1], want, *words)
    expect(run("cluster", "--help")[0], 0, "--help")
    expect("drain NODE" in run("help", "cluster")[1], True, "distkv help cluster")
    for verb in ["status", "nodes", "tablets", "ring", "drain", "undrain", "remove", "replace", "rebalance",
                 "recover"]:
        code, out, err = run("cluster", verb, "--help")
        expect((code, out.startswith("usage: distkv cluster " + verb), err), (0, True, ""), "--help")
    for verb in ["create", "list", "alter", "drop"]:
        code, out, err = run("keyspace", verb, "--help")
        expect((code, out.startswith("usage: distkv keyspace " + verb), err), (0, True, ""), "--help")


# ---------------------------------------------------------------- a node that is down

def a_node_down(servers):
    servers[2].kill()

    def is_seen():
        return ask_json(servers[0], "status")["nodes"]["healthy"] == 2
    wait_for("a silent node is seen", is_seen, 15)
    code, out, err = run("cluster", "status", "-p", str(servers[1].port))
    first = out.split("\n")[0]
    expect((code, err, first.startswith("Cluster tried is NOT healthy: 1 of 3 nodes does not answer")),
           (1, "", True), out)
    expect(("suspicious: n2" in out, "Fewest copies first:" in out), (True, True), out)
    refused(servers[0], "under their quorum", "drain", "n1")
    refused(servers[0], "does not answer", "replace", "n1", "n2")
    code, _, err = run("cluster", "status", "-p", str(servers[2].port))
    expect((code, "nobody answers" in err, err.count("\n")), (1, True, 1), "status of who is dead")
    servers[2].start()
    expect(run("cluster", "status", "--wait", "30", "-p", str(servers[0].port))[0], 0,
           "healthy when it is back")


# ---------------------------------------------------------------- nodes that go

def interrupted(server):
    """Ctrl-C while something is watched that will not be done."""
    watcher = subprocess.Popen([BINARY, "cluster", "status", "--wait", "60", "--nodes", "9",
                                "-p", str(server.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.5)
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=10)
    expect((watcher.returncode, out, b"The work goes on without you" in err), (130, b"", True), err)


def drain_and_remove(servers):
    expect(ask(servers[0], "rebalance", "--dry-run"),
           "Nothing to move: every tablet is where it belongs.\n", "rebalance with nothing to do")
    expect(ask_json(servers[0], "rebalance")["moves"], [], "its JSON")
    code, out, err = run("cluster", "replace", "n2", "n0", "-p", str(servers[1].port))
    expect((code, out.startswith("Node n2 is empty")), (0, True), "replace: " + out + err)
    left = {n["name"]: (n["state"], n["tablets"]) for n in ask_json(servers[1], "nodes")}
    expect((left["n2"], left["n0"][1]), (("draining", 0), 37), "what is left on it")
    out = ask(servers[0], "undrain", "n2", "--json")
    expect("change" in json.loads(out), True, "undrain: " + out)
    expect(run("cluster", "rebalance", "-p", str(servers[0].port))[0], 0, "rebalance until done")
    expect(ask_json(servers[0], "rebalance", "--dry-run")["moves"], [], "what is left to move")


def shrink(servers):
    interrupted(servers[0])
    code, out, err = run("cluster", "drain", "n2", "-p", str(servers[0].port))
    expect((code, out), (0, "Node n2 is empty; `distkv cluster remove n2` takes it out of the cluster.\n"),
           "drain: " + err)
    expect("removed for good" in ask(servers[0], "remove", "n2"), True, "remove")
    gone = next(n["id"] for n in ask_json(servers[0], "nodes") if n["state"] == "removed")
    refused(servers[0], "was removed already", "remove", gone)
    refused(servers[0], "no node of this cluster is called n2", "undrain", "n2")
    expect([row[0] for row in rows(ask(servers[0], "nodes"))].count("n2"), 0, "nodes without it")
    expect("removed" in ask(servers[0], "nodes", "--all"), True, "nodes with it")
    expect(run("cluster", "status", "--wait", "20", "-p", str(servers[0].port))[0], 0, "two nodes")
    c = client_of_users(servers[1])
    expect([c.call("GET", "user:%d" % i) for i in range(300)], [b"%d" % i for i in range(300)], "GET")
    c.close()


def is_refused(folder, peer, want):
    """Started with --join, this data directory is refused: one line, exit code 1."""
    ports = [str(port) for port in free_ports(2)]
    done = subprocess.run([BINARY, "server", "--data-dir", folder, "--port", ports[0],
                           "--peer-port", ports[1], "--join", peer, "--log-level", "off", *SMALL], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    err = done.stderr.decode()
    expect((done.returncode, want in err, err.count("\n")), (1, True, 1), "who is refused: " + err)


def strangers(folder, servers):
    peer = next(n["peer"] for n in ask_json(servers[0], "nodes") if n["name"] == "n0")
    servers[2].kill()
    is_refused(servers[2].data_dir, peer, "was removed from this cluster")
    other = Server(BINARY, folder + "/other", SMALL).start()
    expect(other.stop(), 0, "another cluster's only node")
    is_refused(other.data_dir, peer, "belongs to another cluster")


def main():
    end_after(110)
    folder = temporary_folder("distkv-cluster-")
    servers = []
    try:
        began = time.monotonic()
        form(folder, servers)
        for part in [status_and_nodes, keyspaces, more_keyspaces, ring, wrong_words, a_node_down,
                     drain_and_remove, shrink]:
            part(servers)
            print("%-18s %5.1f s" % (part.__name__, time.monotonic() - began), flush=True)
        strangers(folder, servers)
        shutil.rmtree(folder)
    finally:
        for server in servers:
            server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
