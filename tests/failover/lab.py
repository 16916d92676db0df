"""Nodes of a cluster, each in a network of its own, and what can be done to them.

    lab's namespace                  node n's namespace
    bridge 10.77.0.254 ── veth n ──  eth0 10.77.0.n      distkv server, disk: a small ext4 of its own
        clients                      nftables: whom it hears, and who hears it

Namespaces of network, mounts and processes are the lab's own: whatever becomes of it, when it is gone
the kernel has taken away every process, link, rule and mount of it.  Only the folder stays.
"""
import ctypes
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

PORT, PEER_PORT = 6379, 7379
DISK_MB = 160
DEADLINE_MS = 2000
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
INSIDE = "FAILOVER_LAB_INSIDE"
FLAGS = ["--insecure", "yes", "--port", str(PORT), "--deadline-ms", str(DEADLINE_MS),
         "--memory-budget", "64mb", "--memtable", "4mb", "--log-segment", "4mb",
         "--log-retained-max", "16mb", "--min-free-bytes", "16mb"]


def enter():
    """Once more, from the beginning, in namespaces of our own."""
    if os.environ.pop(INSIDE, None):
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    if os.geteuid() != 0:
        sys.exit("failover: only root may make networks")
    os.environ[INSIDE] = "1"
    command = ["unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork",
               "--kill-child", "--mount-proc", sys.executable, *sys.argv]
    # Whatever ends us ends the child, and its end takes all that is in the namespaces with it.
    child = subprocess.Popen(command, preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    # Ctrl-C reaches it by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: child.kill())
    sys.exit(child.wait())


def run(*command, text=None):
    subprocess.run(command, check=True, input=text, universal_newlines=True)


def wait_for(what, condition, wait_s):
    deadline = time.monotonic() + wait_s
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError("not within %.0f s: %s" % (wait_s, what))
        time.sleep(0.05)


class Node:
    def __init__(self, lab, number):
        self.lab = lab
        self.number = number
        self.name = "n%d" % number
        self.link = "veth%d" % number
        self.address = "10.77.0.%d" % number
        self.door = "%s:%d" % (self.address, PORT)
        self.place = os.path.join(lab.folder, self.name)
        self.log_path = self.place + ".log"
        self.control = self.place + ".stalled"
        self.process = None
        self.paused = False
        self._make_network()
        self._make_disk()

    def _make_network(self):
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", self.link, "master", "bridge", "up")
        inside = ("ip", "-n", self.name)
        run(*inside, "addr", "add", self.address + "/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")

    def _make_disk(self):
        image = self.place + ".image"
        os.mkdir(self.place)
        with open(image, "wb") as f:
            f.truncate(DISK_MB << 20)
        run("mkfs.ext4", "-q", "-m", "0", image)
        run("mount", "-o", "loop", image, self.place)

    # ---------------------------------------------------------------- the process

    def start(self, join=None):
        command = ["ip", "netns", "exec", self.name, self.lab.binary, "server", *FLAGS,
                   "--bind", self.address, "--peer-bind", self.address, "--node-name", self.name,
                   "--data-dir", self.place + "/data"]
        if join:
            command += ["--join", "%s:%d" % (join.address, PEER_PORT)]
        environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": self.lab.stall,
                       "STALL_CONTROL": self.control}
        with open(self.log_path, "ab") as log:
            offset = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        wait_for("%s is ready" % self.name, lambda: self._is_ready(offset), 20)

    def _is_ready(self, offset):
        if self.process.poll() is not None:
            raise AssertionError("%s has ended with %d: see %s"
                                 % (self.name, self.process.returncode, self.log_path))
        with open(self.log_path, "rb") as f:
            f.seek(offset)
            return re.search(rb"event=server\.ready ", f.read())

    def is_up(self):
        return self.process is not None and self.process.poll() is None and not self.paused

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process, self.paused = None, False

    def terminate(self):
        """As an operator stops it; how long that took, in seconds."""
        began = time.monotonic()
        self.process.terminate()
        if self.process.wait(20) != 0:
            raise AssertionError("%s: the stop in order has failed" % self.name)
        self.process = None
        return time.monotonic() - began

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def leads(self, tablet):
        """By its own word, which is never behind, as what others have heard of it is.  A founder says nothing
        when a group that it leads alone gets members."""
        with open(self.log_path, "rb") as f:
            words = re.findall(rb"event=(tablet\.leads\w*) tablet=%d " % tablet, f.read())
        return not words or words[-1] == b"tablet.leads"

    # ---------------------------------------------------------------- its network

    def cut(self, others, hears=False, is_heard=False):
        """Between it and the others; what comes in, what goes out, or both is dropped."""
        addresses = ", ".join(o.address for o in others)
        rules = ["table inet lab {"]
        if not hears:
            rules.append("chain in { type filter hook input priority 0;"
                         " ip saddr { %s } drop; }" % addresses)
        if not is_heard:
            rules.append("chain out { type filter hook output priority 0;"
                         " ip daddr { %s } drop; }" % addresses)
        rules.append("}")
        run("ip", "netns", "exec", self.name, "nft", "-f", "-", text="\n".join(rules))

    def mend(self):
        run("ip", "netns", "exec", self.name, "nft", "flush", "ruleset")

    # ---------------------------------------------------------------- its disk

    def stall(self):
        with open(self.control, "w"):
            pass

    def flow(self):
        if os.path.exists(self.control):
            os.unlink(self.control)

    def fill(self):
        """Somebody else's file, to the last byte."""
        with open(self.place + "/ballast", "ab", buffering=0) as f:
            try:
                os.posix_fallocate(f.fileno(), 0, DISK_MB << 20)
            except OSError as e:
                if e.errno != errno.ENOSPC:
                    raise
            for size in (1 << 20, 4096):
                try:
                    while True:
                        f.write(bytes(size))
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise

    def empty(self):
        if os.path.exists(self.place + "/ballast"):
            os.unlink(self.place + "/ballast")

    def destroy(self):
        self.heal()
        self.kill()
        run("ip", "link", "del", self.link)
        run("ip", "netns", "del", self.name)
        run("umount", self.place)

    def heal(self):
        """Nothing is wrong with it any more, but that it may not run."""
        self.mend()
        self.flow()
        self.empty()
        if self.paused:
            self.resume()


class Lab:
    """A cluster of so many nodes, which begins empty."""

    def __init__(self, folder, binary, tools):
        self.folder = folder
        self.binary = binary
        self.stall = os.path.join(tools, "stall.so")
        self.load = os.path.join(tools, "load")
        self.nodes = []
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        run("ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        run("ip", "addr", "add", "10.77.0.254/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")

    def add(self):
        """One more node, which joins."""
        number = 1 + max((n.number for n in self.nodes), default=0)
        node = Node(self, number)
        self.nodes.append(node)
        node.start(next((n for n in self.nodes if n is not node and n.is_up()), None))
        return node

    def node(self, name):
        return next((n for n in self.nodes if n.name == name), None)

    def forget(self, node):
        """It is no part of the cluster any more."""
        node.destroy()
        self.nodes.remove(node)

    def ask(self, *words, node=None):
        """An operator's word, at any node that answers; None: nobody does."""
        for n in [node] if node else self.nodes:
            if not n.is_up():
                continue
            try:
                said = subprocess.run(["redis-cli", "-h", n.address, "-p", str(PORT), "DISTKV",
                                       "CLUSTER", *words], timeout=3, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, check=False).stdout
                return json.loads(said)
            except (ValueError, subprocess.TimeoutExpired):
                continue
        return None

    def tablet(self):
        """That of database 0, which the clients use."""
        said = self.ask("TABLETS", "0")
        return said[0] if said else None

    def leader(self):
        """Of that tablet: who is reported to lead it, and says so itself."""
        def find():
            t = self.tablet()
            node = self.node(t["leader"]) if t else None
            return node if node and node.is_up() and node.leads(int(t["id"], 16)) else None
        return wait_for("database 0 has a leader", find, 15)

    def await_calm(self, wait_s=30):
        """Every tablet has all its members, caught up, and is led from where it should be."""
        def is_calm(t):
            members = t["members"]
            return (set(t["wanted"]) == {m["node"] for m in members}
                    and t["leader"] and t["leader"] == t["should_lead"]
                    and all(m["votes"] and m["caught_up"] for m in members))

        def all_calm():
            tablets = self.ask("TABLETS")
            return tablets and all(is_calm(t) for t in tablets)
        wait_for("the cluster is calm", all_calm, wait_s)

    def await_nodes(self, count, wait_s=30):
        """A cluster that does not know yet who joins is calm, too."""
        wait_for("%d nodes are members" % count,
                 lambda: len(self.ask("NODES") or ()) == count, wait_s)

    def await_replicas(self, count, wait_s=60):
        """Database 0 has so many members."""
        wait_for("database 0 has %d members" % count,
                 lambda: len((self.tablet() or {"members": ()})["members"]) == count, wait_s)
        self.await_calm(wait_s)

    def close(self):
        """What the end of the namespaces would do, but in time for the folder to be read."""
        for n in self.nodes:
            n.destroy()
        run("ip", "link", "del", "bridge")
