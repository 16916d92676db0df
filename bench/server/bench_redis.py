#!/usr/bin/python3
"""DistKV beside Redis 7: 100-byte values, a million keys, 50 clients of redis-benchmark, an fsync
before each reply in both (--sync always; appendfsync always).

    bench_redis.py [--full] [--keys N] [--rounds N] [--seconds S]

The servers take turns, several rounds; medians, and the ratio to Redis of the same run.
DistKV three times: with all records in its memtable, the same with one reactor instead of one for
each core, and with all records in tables (after COMPACT, and without a record cache worth the name).
The processor's microseconds are those of the whole server, background work included, for each
request.
"""
import argparse
import csv
import io
import os
import shutil
import statistics
import subprocess
import sys
import time

import servers

CLIENTS = 50
VALUE_BYTES = 100

# name, test, pipeline, how many requests for each round (a thousand keys or more)
ROWS = [
    ("SET", "set", 1, 20000),
    ("GET", "get", 1, 100000),
    ("SET -P 16", "set", 16, 200000),
    ("GET -P 16", "get", 16, 500000),
]


def run_benchmark(server, keys, test, pipeline, requests):
    """(requests a second, p50 ms, p99 ms, us of processor for each)"""
    command = ["redis-benchmark", "-p", str(server.port), "-c", str(CLIENTS), "-d",
               str(VALUE_BYTES), "-r", str(keys), "-n", str(requests), "-P", str(pipeline), "-t",
               test, "--csv"]
    before = server.cpu_seconds()
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu_us = (server.cpu_seconds() - before) * 1e6 / requests
    row = list(csv.DictReader(io.StringIO(answer.stdout)))[-1]
    return float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), cpu_us


def commands_so_far(client):
    return int(client.info()["total_commands_processed"])


def run_mixed(server, keys, seconds):
    """25 clients that SET beside 25 that GET; all commands a second, as the server counts them."""
    command = ["redis-benchmark", "-p", str(server.port), "-c", str(CLIENTS // 2), "-d",
               str(VALUE_BYTES), "-r", str(keys), "-n", "100000000", "-q", "-t"]
    drivers = [subprocess.Popen(command + [test], stdout=subprocess.DEVNULL) for test in
               ("set", "get")]
    client = servers.Client(server.port)
    time.sleep(0.3)
    begin, first = time.monotonic(), commands_so_far(client)
    time.sleep(seconds)
    count, took = commands_so_far(client) - first, time.monotonic() - begin
    client.close()
    for driver in drivers:
        driver.kill()
        driver.wait()
    return count / took, None, None, None


def measure(server, keys, row, scale, seconds):
    name, test, pipeline, requests = row
    if test == "mixed":
        return run_mixed(server, keys, seconds)
    return run_benchmark(server, keys, test, pipeline, int(requests * scale))


def median_of(samples, i):
    values = [s[i] for s in samples if s[i] is not None]
    return statistics.median(values) if values else None


def text_of(value, form):
    return "-" if value is None else form % value


def report(results, names):
    print("\n%-14s %-16s %12s %9s %9s %9s %10s" % ("row", "server", "requests/s", "p50 ms", "p99 ms",
                                                   "cpu us", "to Redis"))
    for row, by_server in results.items():
        base = median_of(by_server.get(names[0], []), 0)
        for name in names:
            samples = by_server.get(name)
            if not samples:
                continue
            rate = median_of(samples, 0)
            print("%-14s %-16s %12.0f %9s %9s %9s %10s"
                  % (row, name, rate, text_of(median_of(samples, 1), "%.3f"),
                     text_of(median_of(samples, 2), "%.3f"),
                     text_of(median_of(samples, 3), "%.2f"),
                     "" if name == names[0] or not base else "%.2f" % (rate / base)))


def start_all(root, keys):
    started = []
    redis = servers.start_redis(root, "Redis", "--appendfsync", "always")
    if redis:
        started.append(redis)
    else:
        print("bench_redis: no redis-server here; DistKV alone", file=sys.stderr)
    in_memory = ["--sync", "always", "--memory-budget", "2gb", "--memtable", "768mb"]
    started.append(servers.start_distkv(root, "DistKV memory", *in_memory))
    started.append(servers.start_distkv(root, "DistKV 1 reactor", *in_memory, "--threads", "1"))
    started.append(servers.start_distkv(root, "DistKV tables", "--sync", "always",
                                        "--memory-budget", "1gb", "--record-cache", "64kb"))
    for server in started:
        begin = time.monotonic()
        servers.load(server.port, keys, VALUE_BYTES)
        print("loaded      %-14s %d keys in %.1f s" % (server.name, keys,
                                                       time.monotonic() - begin))
    client = servers.Client(started[-1].port)
    begin = time.monotonic()
    client.call("COMPACT")
    client.close()
    print("compacted   %-14s in %.1f s" % (started[-1].name, time.monotonic() - begin))
    return started


def main():
    full = bool(os.environ.get("BENCH_FULL"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", default=full)
    parser.add_argument("--keys", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    options = parser.parse_args()
    rounds = options.rounds or (7 if options.full else 3)
    seconds = options.seconds or (10 if options.full else 2)
    scale = 10 if options.full else 1
    rows = ROWS + [("mixed 1:1", "mixed", 1, 0)]
    if shutil.which("redis-benchmark") is None:
        sys.exit("bench_redis: redis-benchmark is missing (package redis-tools)")
    with servers.temporary_root() as root:
        servers.print_machine(root)
        started = start_all(root, options.keys)
        results = {}
        try:
            for turn in range(rounds):
                for row in rows:
                    order = started[turn % len(started):] + started[:turn % len(started)]
                    for server in order:
                        if server.name == "DistKV tables" and row[1] != "get":
                            continue
                        sample = measure(server, options.keys, row, scale, seconds)
                        results.setdefault(row[0], {}).setdefault(server.name, []).append(sample)
            print("disk after  " + servers.sync_times(root))
        finally:
            for server in started:
                server.stop()
        report(results, [s.name for s in started])


if __name__ == "__main__":
    main()
