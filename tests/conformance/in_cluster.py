#!/usr/bin/env python3
"""Clients made for Redis Cluster against three real nodes, in other languages.

They are shown who leads which slots, and ask the leaders themselves.  Each is tried twice: with nodes that answer
whatever they are asked, and with such as say MOVED (the setting redis-moved).

usage: in_cluster.py BINARY
"""
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, free_ports, temporary_folder, wait_for  # noqa: E402

NODES = 3
TABLETS = 32  # of keyspace users: so many that every node leads some, however the others are spread
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "64mb", "--table-bytes", "1mb", "--threads", "1"]


def run(*words):
    """What a program prints; it must succeed."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    expect(done.returncode, 0, "%r: %s" % (words, done.stdout.decode()))
    return done.stdout.decode().strip()


def form(binary, folder, servers):
    ports = free_ports(2 * NODES)
    for i in range(NODES):
        join = [] if i == 0 else ["--join", "127.0.0.1:%d" % ports[NODES]]
        servers.append(Server(binary, "%s/n%d" % (folder, i),
                              ["--port", str(ports[i]), "--peer-port", str(ports[NODES + i]), *SMALL,
                               *join]).start())
    run(binary, "cluster", "status", "--wait", "30", "--nodes", str(NODES), "-p", str(ports[0]))
    run(binary, "keyspace", "create", "users", "--tablets", str(TABLETS), "--replicas", str(NODES),
        "-p", str(ports[0]))
    wait_for("every node leads something", lambda: leaders_are_spread(binary, ports[0]), 20)


def leaders_are_spread(binary, port):
    tablets = json.loads(run(binary, "cluster", "tablets", "--json", "-p", str(port)))
    mine = [t for t in tablets if t["keyspace"] == "users"]
    return all(t["leader"] == t["should_lead"] for t in tablets) and \
        len({t["leader"] for t in mine}) == NODES


def set_moved(servers, word):
    for s in servers:
        c = s.connect()
        expect(c.call("CONFIG", "SET", "redis-moved", word), b"OK", "CONFIG SET redis-moved")
        c.close()


# ---------------------------------------------------------------- redis-cli

def with_redis_cli(servers, moved):
    def cli(server, *words, follow=True):
        return run("redis-cli", *(["-c"] if follow else []), "-p", str(server.port), *words)
    for i, s in enumerate(servers):
        expect(cli(s, "SET", "key:%d" % i, "v%d" % i), "OK", "SET")
    for s in servers:
        expect([cli(s, "GET", "key:%d" % i) for i in range(NODES)], ["v0", "v1", "v2"], "GET")
    replies = [cli(s, "GET", "key:0", follow=False) for s in servers]
    told = [r for r in replies if re.fullmatch(r"MOVED \d+ 127\.0\.0\.1:\d+", r)]
    expect(len(told), NODES - 1 if moved else 0, "nodes that say MOVED: %r" % replies)
    expect("[OK] All 16384 slots covered." in cli(servers[0], "--cluster", "check",
                                                   "127.0.0.1:%d" % servers[1].port), True, "check")
    ids = {cli(s, "CLUSTER", "MYID") for s in servers}
    lines = cli(servers[2], "CLUSTER", "NODES").split("\n")
    expect({line.split()[0] for line in lines}, ids, "CLUSTER NODES")


# ---------------------------------------------------------------- Python

def select_users(connection):
    """What is selected on each of the client's connections: the keyspace whose leaders are spread."""
    connection.send_command("SELECT", "users")
    expect(connection.read_response() in (b"OK", "OK"), True, "SELECT")


def with_python(servers, moved):
    from redis.cluster import RedisCluster
    logging.getLogger("redis.cluster").setLevel(logging.CRITICAL)
    for read_from_replicas in (False, True):
        r = RedisCluster(host="127.0.0.1", port=servers[1].port, redis_connect_func=select_users,
                         read_from_replicas=read_from_replicas)
        expect(len(r.get_nodes()), NODES, "nodes")
        expect(len(r.get_primaries()) >= 1, True, "primaries")
        expect(r.cluster_keyslot("{foo}x"), 12182, "CLUSTER KEYSLOT")
        keys = ["user:%d" % i for i in range(100)]
        for k in keys:
            expect(r.set(k, "of " + k), True, "SET")
        expect([r.get(k) for k in keys], [b"of " + k.encode() for k in keys], "GET")
        expect(set(r.mset_nonatomic({k: "x" for k in keys})), {True}, "MSET by slots")
        expect(r.mget_nonatomic(keys), [b"x"] * 100, "MGET by slots")
        expect(r.delete(*keys), 100, "DEL of many slots")
        with r.pipeline() as p:
            for k in keys:
                p.set(k, 1).incr(k)
            expect(p.execute(), [True, 2] * 100, "a pipeline")
        expect(r.cluster_countkeysinslot(r.keyslot("user:7")) >= 1, True, "COUNTKEYSINSLOT")
        expect("user:7" in r.cluster_get_keys_in_slot(r.keyslot("user:7"), 100), True, "GETKEYSINSLOT")
        follows_wrong_maps(r, keys[:20], moved)
        r.delete(*keys)
        r.close()


def follows_wrong_maps(r, keys, moved):
    """A client that takes another node for the leader is corrected, or answered all the same."""
    corrected = 0
    for k in keys:
        slot = r.keyslot(k)
        right = r.nodes_manager.slots_cache[slot]
        r.nodes_manager.slots_cache[slot] = right[1:] + right[:1]
        expect(r.incr(k), 3, "INCR at another node")
        corrected += r.nodes_manager.slots_cache[slot][0].name == right[0].name
        r.nodes_manager.slots_cache[slot] = right
    expect(corrected > 0, moved, "%d corrections" % corrected)


def survives_a_crash(servers):
    """A client that loses its way begins anew at any node, and learns from those that are left."""
    from redis.cluster import ClusterNode, RedisCluster

    def client():
        return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", s.port) for s in servers],
                            redis_connect_func=select_users)
    clients = [client()]

    def done(word, *args):
        try:
            return getattr(clients[0], word)(*args) is not None
        except Exception:  # of many kinds, not all of them meant by the client's authors
            clients[0] = client()
            return False
    for i in range(50):
        expect(done("set", "before:%d" % i, i), True, "SET")
    servers[2].kill()
    for i in range(50):
        wait_for("SET with a node down", lambda i=i: done("set", "after:%d" % i, i), 20)
        wait_for("GET with a node down", lambda i=i: done("get", "before:%d" % i), 20)


# ---------------------------------------------------------------- READONLY

def reads_behind(servers):
    """Alone, a node tells those who said READONLY what it has, as long as that may be so old."""
    def connect(to):
        c = to.connect()
        expect(c.call("SELECT", "users"), b"OK", "SELECT")
        return c

    def call(*words, at=servers[0]):
        c = connect(at)
        reply = c.call(*words)
        c.close()
        return reply

    def alone(*words):
        c = connect(servers[0])
        for s in servers[1:]:
            os.kill(s.process.pid, signal.SIGSTOP)
        replies = [c.call(*w) for w in words]
        for s in servers[1:]:
            os.kill(s.process.pid, signal.SIGCONT)
        c.close()
        return replies
    set_moved(servers, "no")
    keys = ["behind:%d" % i for i in range(30)]  # of tablets that all three lead
    read = ["MGET", *keys]
    values = [k.encode() for k in keys]
    for name, value in [("deadline-ms", "1000"), ("stale-reads-ms", "60000")]:
        expect(call("CONFIG", "SET", name, value), b"OK", "CONFIG SET " + name)
    for k in keys:
        expect(call("SET", k, k), b"OK", "SET")
    wait_for("the node has what it does not lead",
             lambda: alone(["READONLY"], read)[1] == values, 20)
    replies = alone(["READONLY"], read, ["READWRITE"], read)
    expect(replies[:3], [b"OK", values, b"OK"], "READONLY, MGET, READWRITE")
    expect(isinstance(replies[3], Exception), True, "READWRITE, MGET: %r" % replies[3])
    expect(isinstance(call("CONFIG", "SET", "stale-reads-ms", "1000"), Exception), True,
           "CONFIG SET stale-reads-ms 1000")
    for name, value in [("deadline-ms", "5000"), ("stale-reads-ms", "0")]:
        expect(call("CONFIG", "SET", name, value), b"OK", "CONFIG SET " + name)
    wait_for("all are heard again", lambda: all(
        not isinstance(call(*read, at=s), Exception) for s in servers), 20)


# ---------------------------------------------------------------- Node

def with_node(script, servers, moved):
    folder = os.environ.get("TEST_NODE_DIR") or os.path.join(HERE, "node")
    done = subprocess.run(["node", os.path.join(HERE, "node", script), "yes" if moved else "no",
                           *[str(s.port) for s in servers]], cwd=folder, timeout=60)
    expect(done.returncode, 0, script)


def main():
    end_after(110)
    folder = temporary_folder("distkv-in-cluster-")
    servers = []
    began = time.monotonic()
    try:
        form(sys.argv[1], folder, servers)
        print("formed             %5.1f s" % (time.monotonic() - began), flush=True)
        for word in ("no", "yes"):
            set_moved(servers, word)
            for name, part in [("redis-cli", with_redis_cli), ("python", with_python),
                               ("ioredis", lambda s, m: with_node("ioredis-cluster.js", s, m)),
                               ("node-redis", lambda s, m: with_node("node-redis-cluster.js", s, m))]:
                part(servers, word == "yes")
                print("%-10s %-7s %5.1f s" % (name, word, time.monotonic() - began), flush=True)
        reads_behind(servers)
        print("READONLY           %5.1f s" % (time.monotonic() - began), flush=True)
        survives_a_crash(servers)
        print("a crash            %5.1f s" % (time.monotonic() - began), flush=True)
        shutil.rmtree(folder)
    finally:
        for server in servers:
            server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
