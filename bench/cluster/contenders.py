"""Clusters under measurement: started on free loopback ports, asked who leads, counted, ended.

Nothing outside the standard library; data lies where the program was started.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "server"))
import servers  # noqa: E402 (its folder is known only now)

READY_S = 60


def await_true(what, probe):
    limit = time.monotonic() + READY_S
    while time.monotonic() < limit:
        try:
            answer = probe()
            if answer:
                return answer
        except (OSError, RuntimeError, ValueError, KeyError):
            pass
        time.sleep(0.05)
    sys.exit("bench: %s not within %d s" % (what, READY_S))


def packets_between(ports):
    """Segments with data that have been sent over connections from or to these ports, and still
    stand: each side shows what it has sent."""
    text = subprocess.run(["ss", "-tinHO"], capture_output=True, text=True, check=True).stdout
    total = 0
    for line in text.splitlines():
        ends = [int(p) for p in re.findall(r":(\d+)\s", line)[:2]]
        sent = re.search(r"data_segs_out:(\d+)", line)
        if sent and any(p in ports for p in ends):
            total += int(sent.group(1))
    return total


class Contender:
    """Some servers that are one store.  Who derives says who leads, and counts the fsyncs."""

    running = []

    def __init__(self, name):
        self.running.append(self)
        self.name = name
        self.members = []
        self.peer_ports = []

    def add(self, root, name, command):
        folder = servers.make_folder(root, "%s-%s" % (self.name.replace(" ", "-"), name))
        member = Node(name, command, folder)
        self.members.append(member)
        return member

    def cpu_seconds(self):
        return sum(m.cpu_seconds() for m in self.members)

    def packets(self):
        return packets_between(set(self.peer_ports))

    def ports(self):
        return [m.port for m in self.members]

    def stop(self):
        self.running.remove(self)
        for member in self.members:
            member.process.terminate()
        for member in self.members:
            member.stop()


def stop_all():
    """Before their folders go."""
    for contender in list(Contender.running):
        contender.stop()


class Node(servers.Server):
    """One that comes back at the port that it had."""

    def start_again(self):
        self.command = [w.replace("{port}", str(self.port)) for w in self.command]
        port = self.port
        self.start(wait=False)
        self.port = port


class DistKV(Contender):
    def __init__(self, root, nodes, name="DistKV", flags=()):
        super().__init__(name)
        self.peer_ports = [servers.free_port() for _ in range(nodes)]
        for i in range(nodes):
            join = ["--join", "127.0.0.1:%d" % self.peer_ports[0]] if i > 0 else []
            self.add(root, "node-%d" % (i + 1),
                     [servers.find_distkv(), "server", "--data-dir", "data", "--port", "{port}",
                      "--peer-port", str(self.peer_ports[i]), "--node-name", "node-%d" % (i + 1),
                      "--sync", "always", "--log-level", "warn", *join, *flags]).start()
        self.await_health()

    def call(self, *words):
        client = servers.Client(self.members[0].port)
        try:
            return client.call(*words)
        finally:
            client.close()

    def ask(self, *words):
        return json.loads(self.call("DISTKV", "CLUSTER", *words))

    def order(self, verb, *words):
        """By the program, which takes the steps that many tablets need."""
        answer = subprocess.run([servers.find_distkv(), "keyspace", verb, *words, "-p",
                                 str(self.members[0].port)], capture_output=True, text=True)
        if answer.returncode != 0:
            sys.exit("bench: keyspace %s %s: %s" % (verb, words[0], answer.stdout + answer.stderr))

    def is_healthy(self):
        status = self.ask("status")
        tablets = status["tablets"]
        return (status["nodes"]["healthy"] == len(self.members) and tablets["moving"] == 0
                and tablets["under_replicated"] == 0 and tablets["leaderless"] == 0
                and all(t["leader"] for t in self.ask("tablets")))

    def await_health(self):
        await_true("%s healthy" % self.name, self.is_healthy)

    def create_keyspace(self, name, replicas, tablets):
        self.order("create", name, "--replicas", str(replicas), "--tablets", str(tablets))
        self.await_health()

    def drop_keyspace(self, name):
        self.order("drop", name)

    def leader(self):
        """The node that leads database 0, which has one tablet."""
        name = self.ask("tablets", "0")[0]["leader"]
        return next(m for m in self.members if m.name == name)

    def fsyncs(self):
        """Of the nodes' logs."""
        total = 0
        for member in self.members:
            client = servers.Client(member.port)
            total += int(client.info()["log_syncs"])
            client.close()
        return total

    @staticmethod
    def version():
        answer = subprocess.run([servers.find_distkv(), "--version"], capture_output=True,
                                text=True)
        return answer.stdout.strip()


class Etcd(Contender):
    """Three members, all settings as they come: an fsync before each answer."""

    def __init__(self, root, nodes):
        super().__init__("etcd")
        self.peer_ports = [servers.free_port() for _ in range(nodes)]
        peers = ["http://127.0.0.1:%d" % p for p in self.peer_ports]
        cluster = ",".join("m%d=%s" % (i, peer) for i, peer in enumerate(peers))
        for i, peer in enumerate(peers):
            clients = "http://127.0.0.1:{port}"
            self.add(root, "m%d" % i,
                     ["etcd", "--name", "m%d" % i, "--data-dir", "data", "--listen-client-urls",
                      clients, "--advertise-client-urls", clients, "--listen-peer-urls", peer,
                      "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
                      "--initial-cluster-state", "new"]).start(wait=False)
        await_true("etcd's leader", self.leader)

    def leader(self):
        for member in self.members:
            request = urllib.request.Request(
                "http://127.0.0.1:%d/v3/maintenance/status" % member.port, b"{}")
            with urllib.request.urlopen(request, timeout=5) as answer:
                status = json.load(answer)
            if status.get("leader") == status["header"]["member_id"]:
                return member
        return None

    @staticmethod
    def metrics(member):
        url = "http://127.0.0.1:%d/metrics" % member.port
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def fsyncs(self):
        """Of the members' logs and of their trees."""
        names = ("etcd_disk_wal_fsync_duration_seconds_count",
                 "etcd_disk_backend_commit_duration_seconds_count")
        return int(sum(self.metrics(m)[n] for m in self.members for n in names))

    def refused(self):
        """Requests that were answered with anything but OK: h2load does not look."""
        return sum(value for m in self.members for name, value in self.metrics(m).items()
                   if name.startswith("grpc_server_handled_total") and "etcdserverpb.KV" in name
                   and 'grpc_code="OK"' not in name)

    @staticmethod
    def is_here():
        return all(shutil.which(p) for p in ("etcd", "h2load"))

    @staticmethod
    def version():
        first = subprocess.run(["etcd", "--version"], capture_output=True, text=True).stdout
        return first.splitlines()[0]


class RedisPair(Contender):
    """A primary and its replica, an fsync before each answer in both."""

    def __init__(self, root):
        super().__init__("Redis")
        program = servers.find_redis(root)
        base = [program, "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly",
                "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"]
        primary = self.add(root, "primary", base)
        primary.start()
        replica = self.add(root, "replica",
                           base + ["--replicaof", "127.0.0.1 %d" % primary.port])
        replica.start()
        self.peer_ports = [primary.port]
        await_true("Redis' replica", lambda: self.info(1)["master_link_status"] == "up")

    def info(self, number):
        client = servers.Client(self.members[number].port)
        try:
            return client.info()
        finally:
            client.close()

    def leader(self):
        return self.members[0]

    @staticmethod
    def fsyncs():
        """Redis does not count them."""
        return 0

    @staticmethod
    def version(root):
        program = servers.find_redis(root)
        return subprocess.run([program, "--version"], capture_output=True,
                              text=True).stdout.strip() if program else None
