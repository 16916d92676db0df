#!/usr/bin/python3
"""Resident memory under load, with the default budget.

    bench_memory.py [--full] [--seconds N] [--clients N]

Reads and writes all the time; in the middle 200 clients send a SET of 16 MiB each, and one that
reads slowly asks for 1,000 such values in one MGET.  Ten minutes with --full, else one.
"""
import argparse
import os
import subprocess
import threading
import time

import servers

VALUE_BYTES = 16 << 20
MGET_KEYS = 1000
SLOW_BYTES = 1 << 16


class Sampler(threading.Thread):
    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.over = False
        self.phases = {}
        self.phase = "start"

    def run(self):
        while not self.over:
            try:
                resident = self.server.memory()[0]
            except (OSError, KeyError):
                return
            self.phases[self.phase] = max(self.phases.get(self.phase, 0), resident)
            time.sleep(0.05)


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {}

    def add(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def text(self):
        return ", ".join("%d %s" % (n, what) for what, n in sorted(self.counts.items()))


def send_big(port, number, tally):
    try:
        client = servers.Client(port, 120)
        client.send(client.encode("SET", "big:%d" % number, bytes(VALUE_BYTES)))
        client.receive()
        tally.add("stored")
        client.close()
    except RuntimeError as e:
        tally.add("refused (%s)" % str(e)[:60])
    except OSError as e:
        tally.add("ended (%s)" % type(e).__name__)


def read_slowly(port, seconds, result):
    """What comes of an MGET of 1,000 values of 16 MiB, 64 KB at a time."""
    try:
        client = servers.Client(port, 120)
        client.send(client.encode("MGET", *["big:%d" % (i % 200) for i in range(MGET_KEYS)]))
        limit = time.monotonic() + seconds
        size = 0
        while time.monotonic() < limit:
            data = client.socket.recv(SLOW_BYTES)
            if not data:
                break
            if size == 0 and data[:1] == b"-":
                result.append("refused: " + data[:100].decode(errors="replace").strip())
                return
            size += len(data)
            time.sleep(0.005)
        client.close()
        result.append("%.0f MB read slowly, then left" % (size / 1e6))
    except OSError as e:
        result.append("ended: %s" % e)


def start_load(server):
    return [subprocess.Popen(["redis-benchmark", "-p", str(server.port), "-c", "25", "-d", "100",
                              "-r", "10000000", "-n", "1000000000", "-P", "4", "-t", test, "-q"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for test in ("set", "get")]


def phase(sampler, name, seconds=0):
    sampler.phase = name
    time.sleep(seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("BENCH_FULL")))
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--clients", type=int, default=200)
    options = parser.parse_args()
    seconds = options.seconds or (600 if options.full else 60)
    with servers.temporary_root() as root:
        servers.print_machine(root)
        server = servers.start_distkv(root, "memory")
        sampler = Sampler(server)
        sampler.start()
        drivers = start_load(server)
        phase(sampler, "small values", seconds / 2)

        phase(sampler, "%d x SET of 16 MiB" % options.clients)
        tally = Tally()
        threads = [threading.Thread(target=send_big, args=(server.port, i, tally))
                   for i in range(options.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        phase(sampler, "MGET of 1,000 x 16 MiB")
        result = []
        read_slowly(server.port, min(20, seconds / 4), result)
        phase(sampler, "small values again", seconds / 2)
        for driver in drivers:
            driver.kill()
            driver.wait()
        phase(sampler, "idle", 3)
        sampler.over = True
        sampler.join()
        alive = server.process.poll() is None
        print("budget             512 MB (default)")
        for name, resident in sampler.phases.items():
            print("%-24s VmRSS at most %6.0f MB" % (name, resident / 1e6))
        if alive:
            print("%-24s VmHWM %6.0f MB, VmRSS %.0f MB"
                  % (("the end",) + tuple(v / 1e6 for v in reversed(server.memory()))))
            server.stop()
        else:
            print("the server ended by itself: %s" % server.process.returncode)
        print("the large SETs           " + tally.text())
        print("the slow MGET            " + "; ".join(result))


if __name__ == "__main__":
    main()
