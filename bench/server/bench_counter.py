#!/usr/bin/python3
"""One hot counter beside many: INCR by 50 clients of redis-benchmark, durability as it comes.

    bench_counter.py [--full] [--rounds N] [--requests N] [--keys N]

The rows take turns on one server, and who begins changes with every round; medians, and the ratio of
the hot key to the spread ones.  Evaluation sees what is not yet committed (the overlay), so one key is
to be no slower than many: 0.8 is the bar, and the program fails below it.
"""
import argparse
import csv
import io
import os
import shutil
import statistics
import subprocess
import sys

import servers

CLIENTS = 50
BAR = 0.8
ROWS = {"spread keys": "counter:__rand_int__", "one key": "counter"}
PIPELINES = (1, 16)


def measure(server, key, keys, pipeline, requests):
    """(requests a second, p50 ms, p99 ms, us of processor for each)"""
    command = ["redis-benchmark", "-p", str(server.port), "-c", str(CLIENTS), "-r", str(keys), "-n",
               str(requests), "-P", str(pipeline), "--csv", "INCR", key]
    before = server.cpu_seconds()
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu_us = (server.cpu_seconds() - before) * 1e6 / requests
    row = list(csv.DictReader(io.StringIO(answer.stdout)))[-1]
    return float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), cpu_us


def report(pipeline, samples):
    medians = {}
    for name, measured in samples.items():
        medians[name] = statistics.median(s[0] for s in measured)
        print("%-4d %-14s %12.0f %9.3f %9.3f %9.2f"
              % (pipeline, name, medians[name], *(statistics.median(s[i] for s in measured)
                                                  for i in (1, 2, 3))))
    ratio = medians["one key"] / medians["spread keys"]
    print("%-4d ratio          %12.2f" % (pipeline, ratio))
    return ratio


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("BENCH_FULL")))
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--requests", type=int, default=0, help="of a round, without pipelining")
    parser.add_argument("--keys", type=int, default=1000000)
    options = parser.parse_args()
    rounds = options.rounds or (15 if options.full else 5)
    requests = options.requests or (200000 if options.full else 40000)
    if shutil.which("redis-benchmark") is None:
        sys.exit("bench_counter: redis-benchmark is missing (package redis-tools)")
    ratios = []
    with servers.temporary_root() as root:
        servers.print_machine(root)
        server = servers.start_distkv(root, "DistKV")
        print("%-4s %-14s %12s %9s %9s %9s" % ("-P", "INCR", "requests/s", "p50 ms", "p99 ms",
                                               "cpu us"))
        for pipeline in PIPELINES:
            samples = {name: [] for name in ROWS}
            for turn in range(rounds):
                for name in sorted(ROWS, reverse=turn % 2 == 0):
                    samples[name].append(measure(server, ROWS[name], options.keys, pipeline,
                                                 requests * pipeline))
            ratios.append(report(pipeline, samples))
        print("disk after  " + servers.sync_times(root))
        server.stop()
    if min(ratios) < BAR:
        sys.exit("bench_counter: below %.1f" % BAR)


if __name__ == "__main__":
    main()
