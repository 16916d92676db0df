#!/usr/bin/env python3
"""SIGKILL at random instants under load with real data: nothing acknowledged is lost (P1).

The data is the machine's own Debian package index: key = package, value =
stanza.  One pipelining connection writes in order, each value ends with its
number; so after each kill what survives can be held to be a prefix:

    every write up to the highest number found is there, and that number is at
    least the highest one that was acknowledged.

usage: kill_test.py BINARY [KILLS] [SEED]
"""
import random
import shutil
import subprocess
import sys
import threading
import time

from server import Server, end_after, temporary_folder

PIPELINE = 64
FLAGS = ["--memtable", "4mb", "--log-segment", "4mb", "--memory-budget", "64mb",
         "--table-bytes", "1mb", "--level-base", "8mb", "--min-free-bytes", "1mb",
         "--open-tables", "8"]


def packages():
    """(name, stanza) of every package that this machine's index knows."""
    text = subprocess.run(["apt-cache", "dumpavail"], stdout=subprocess.PIPE, check=False).stdout
    if text.count(b"\nPackage: ") < 1000:
        with open("/var/lib/dpkg/status", "rb") as f:
            text = f.read()
    found = {}
    for stanza in text.split(b"\n\n"):
        if stanza.startswith(b"Package: "):
            found[stanza[9:stanza.index(b"\n")]] = stanza
    return sorted(found.items())


class Load:
    """Writes record after record until the connection breaks."""

    def __init__(self, server, records, first):
        self.client = server.connect()
        self.records = records
        self.first = first       # number of the first write
        self.sent = first - 1    # highest number sent
        self.acknowledged = first - 1
        self.thread = threading.Thread(target=self._run)

    def record(self, number):
        name, stanza = self.records[number % len(self.records)]
        return name, stanza + b"\n#%d" % number

    def _run(self):
        try:
            while True:
                batch = []
                for _ in range(PIPELINE):
                    self.sent += 1
                    batch.append((b"SET",) + self.record(self.sent))
                self.client.send(*batch)
                for _ in batch:
                    if self.client.reply() != b"OK":
                        raise AssertionError("a write was refused")
                    self.acknowledged += 1
        except (ConnectionError, OSError):
            pass


def number_of(value):
    return int(value[value.rindex(b"#") + 1:])


def verify(server, records, load, newest_before):
    """The highest number that survived; raises when what is there is not a prefix."""
    client = server.connect()
    names = [name for name, _ in records]
    found = {}
    for at in range(0, len(names), 500):
        part = names[at:at + 500]
        client.send((b"MGET", *part))
        for name, value in zip(part, client.reply()):
            if value is not None:
                found[name] = value
    survived = max((number_of(v) for v in found.values()), default=-1)
    if survived < load.acknowledged:
        raise AssertionError("write %d was acknowledged, but %d is the newest that survived"
                             % (load.acknowledged, survived))
    expected = dict(newest_before)
    for number in range(load.first, survived + 1):
        expected[load.record(number)[0]] = number
    for name, number in expected.items():
        if found.get(name) != load.record(number)[1]:
            got = number_of(found[name]) if name in found else "nothing"
            raise AssertionError("%s: expected write %d, found %s" % (name, number, got))
    if len(found) != len(expected):
        raise AssertionError("%d keys expected, %d found" % (len(expected), len(found)))
    client.close()
    return survived, expected


def main():
    binary = sys.argv[1]
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    end_after(80 + 10 * kills)
    print("seed %d; replay with: kill_test.py %s %d %d" % (seed, binary, kills, seed), flush=True)
    rng = random.Random(seed)
    records = packages()
    folder = temporary_folder("distkv-kill-")
    server = Server(binary, folder + "/data", FLAGS)
    expected, next_number, slowest = {}, 0, 0.0
    try:
        server.start()
        for kill in range(kills):
            load = Load(server, records, next_number)
            load.thread.start()
            time.sleep(rng.uniform(0.05, 0.7))
            server.kill()
            load.thread.join()
            began = time.monotonic()
            server.start()
            if server.connect().call(b"SET", b"~first-write", b"x") != b"OK":
                raise AssertionError("the first write after the kill was refused")
            first_write = time.monotonic() - began
            slowest = max(slowest, first_write)
            if server.connect().call(b"DEL", b"~first-write") != 1:
                raise AssertionError("the first write after the kill is gone")
            survived, expected = verify(server, records, load, expected)
            print("kill %2d: sent %d, acknowledged %d, survived %d; first write after %.3f s"
                  % (kill + 1, load.sent, load.acknowledged, survived, first_write), flush=True)
            next_number = survived + 1
        code = server.stop()
        if code != 0:
            raise AssertionError("a graceful stop ended with %d" % code)
    finally:
        server.kill()
        if sys.exc_info()[0] is None:
            shutil.rmtree(folder)
        else:
            print("the evidence is in %s" % folder)
    print("%d kills, %d records in the index, %d writes, slowest first write %.3f s"
          % (kills, len(records), next_number, slowest))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
