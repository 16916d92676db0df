"""What a history says of a fault: gaps, latencies, acknowledged writes that are lost, reads that are stale.

An operation is a dict, as a line of the history has it.  Times are nanoseconds of CLOCK_MONOTONIC,
which all namespaces share, and so does the harness.
"""
import bisect
import collections
import json
import socket
import subprocess
import time

NUMBERS_PER_ADDRESS = 100  # load.c
FINAL = 1000000            # clients from here on are those of the last look


def read(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def read_failures(path):
    """Of each failed operation: when, client, operation, and what was said."""
    failures = []
    with open(path) as f:
        for line in f:
            at, client, op, said = line.rstrip("\n").split(" ", 3)
            failures.append((int(at), int(client), op, said))
    return failures


def address_of(client):
    """The place of its first address in load's list."""
    return client // NUMBERS_PER_ADDRESS - 1


# -------------------------------------------------------------------- the last look

class Reader:
    """Many GETs at once, of one node."""

    def __init__(self, address, port):
        self.socket = socket.create_connection((address, port), timeout=10)
        self.file = self.socket.makefile("rb")

    def get(self, keys):
        self.socket.sendall(b"".join(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(k), k)
                                     for k in (key.encode() for key in keys)))
        return [self._reply() for _ in keys]

    def _reply(self):
        line = self.file.readline().decode()
        if not line or line[0] == "-":
            raise AssertionError("a last read was answered with %r" % line)
        size = int(line[1:])
        return None if size < 0 else self.file.read(size + 2)[:-2].decode()


def look(address, port, keys, first_client):
    """Each key's value as this node answers it now, as operations."""
    reader = Reader(address, port)
    ops = []
    for at in range(0, len(keys), 200):
        part = keys[at:at + 200]
        call = time.monotonic_ns()
        values = reader.get(part)
        back = time.monotonic_ns()
        for key, value in zip(part, values):
            ops.append({"client": first_client + len(ops), "op": "get", "key": key, "value": value,
                        "call_ns": call, "return_ns": back, "result": "ok"})
    reader.socket.close()
    return ops


def keys_of(ops):
    """Registers, and keys that were written once."""
    own = [o["key"] for o in ops if ":own:" in o["key"]]
    return sorted({o["key"] for o in ops if ":own:" not in o["key"]}), own


# -------------------------------------------------------------------- right or wrong

def count_lost(ops):
    """Acknowledged writes of keys that nobody else writes, and that a last look did not find."""
    acknowledged = {o["key"]: o["value"] for o in ops
                    if o["op"] == "put" and o["result"] == "ok" and ":own:" in o["key"]}
    seen = {o["key"]: o["value"] for o in ops if o["client"] >= FINAL}
    return sum(seen.get(key) != value for key, value in acknowledged.items())


def count_stale(ops):
    """Reads of a value that had certainly been overwritten when they were called."""
    writers = {(o["key"], o["value"]): o for o in ops if o["op"] == "put"}
    by_key = collections.defaultdict(list)
    for o in ops:
        if o["op"] == "put" and o["result"] == "ok":
            by_key[o["key"]].append((o["return_ns"], o["call_ns"]))
    latest = {}
    for key, writes in by_key.items():
        writes.sort()
        calls, newest = [], 0
        for _, call in writes:
            newest = max(newest, call)
            calls.append(newest)
        latest[key] = ([back for back, _ in writes], calls)

    def is_stale(o):
        returns, calls = latest.get(o["key"], ((), ()))
        done = bisect.bisect_left(returns, o["call_ns"])
        if done == 0:
            return False
        if o["value"] is None:
            return True
        writer = writers.get((o["key"], o["value"]))
        if writer is None:
            return True  # nobody wrote it
        return writer["result"] == "ok" and calls[done - 1] > writer["return_ns"]
    return sum(is_stale(o) for o in ops if o["op"] == "get" and o["result"] == "ok")


def judge(binary, path):
    """What `distkv check-history` says: "ok", or its words."""
    done = subprocess.run([binary, "check-history", path], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, universal_newlines=True, timeout=120, check=False)
    return "ok" if done.returncode == 0 else "exit %d: %s" % (done.returncode, done.stdout)


# -------------------------------------------------------------------- how long

class Timeline:
    """When operations succeeded, by address and kind."""

    def __init__(self, ops):
        self.done = collections.defaultdict(list)
        for o in ops:
            if o["result"] == "ok" and o["client"] < FINAL:
                self.done[address_of(o["client"]), o["op"]].append(
                    (o["return_ns"], o["return_ns"] - o["call_ns"]))
        for list_of in self.done.values():
            list_of.sort()

    def gap(self, op, addresses, begin, end):
        """The longest time, in seconds, in which none of these addresses' clients succeeded: from the
        last success before `begin` to `end`."""
        times = sorted(t for a in addresses for t, _ in self.done[a, op])
        first = max(0, bisect.bisect_left(times, begin) - 1)
        inside = [t for t in times[first:] if t <= end] or [begin]
        inside.append(max(end, inside[-1]))
        return max(b - a for a, b in zip(inside, inside[1:])) / 1e9

    def worst_gap(self, op, addresses, begin, end):
        """The same for each address alone: the longest of them."""
        return max((self.gap(op, [a], begin, end) for a in addresses), default=0.0)

    def p99(self, op, addresses, begin, end):
        """In milliseconds, of what succeeded within; None: nothing did."""
        took = sorted(d for a in addresses for t, d in self.done[a, op] if begin <= t < end)
        return took[min(len(took) - 1, len(took) * 99 // 100)] / 1e6 if took else None
