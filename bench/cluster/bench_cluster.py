#!/usr/bin/python3
"""Three nodes of DistKV on this machine, beside three of etcd, and beside Redis with a replica.

    bench_cluster.py [--full] [--only etcd,redis,service,faults,scaling] [--rounds N] [--seconds S]

etcd     100-byte values, an fsync by a majority before each answer to a write, linearizable reads.
         etcd's leader is driven by h2load with gRPC, ours by redis-benchmark.
redis    the same writes; Redis with one replica, appendfsync always, WAIT 1 after each request.
service  100-byte keys, 10-KB values, five reads to one write, at a fixed rate (open loop): the
         highest that is held; and what a read and a write cost (closed loop).
faults   the same at half that rate, while nodes are killed: the share that was answered in time.
scaling  what one write costs with 1, 3 and 5 nodes, and with 1, 16 and 256 tablets; also to scaling.csv
         in the working folder (scripts/plot draws it).

Contenders take turns, who begins changes with every round; medians.  What misses its bar is printed
with a `-` before it.
"""
import argparse
import csv
import os
import shutil
import statistics
import sys
import time

import contenders
import drivers
from contenders import servers
from drivers import Sample

CLIENTS = (1, 64, 512)
IN_FLIGHT = 16
# etcd refuses what is beyond 5,000 unanswered writes; its reads only become slower.
IN_FLIGHT_ETCD_MAX = {"set": 5000, "get": 1024}
FIRST = 2000  # operations, to see how many take --seconds

SERVICE = {"keys": 10000, "key_bytes": 100, "value_bytes": 10240, "keyspace": "service"}
SERVICE_LOAD = {**SERVICE, "reads": 5, "writes": 1, "connections": 128, "timeout_ms": 1000}
SERVICE_TABLETS = 16
SERVICE_BARS_MS = (1, 10, 5, 10)  # read p50, read p99, write p50, write p99
SERVICE_BEARABLE_MS = (1, 10, 5, 50)
SERVICE_RATES = (250, 500, 750, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 10000)
NODES = (1, 3, 5)
TABLETS = (1, 16, 256)
SCALING_FILE = "scaling.csv"

DOWN_S = 5  # a killed node
FAULT_EVERY_S = 15


def judged(value, met, form="%.2f"):
    return ("" if met else "- ") + form % value


def median(samples):
    return Sample(*(statistics.median(s[i] for s in samples) for i in range(len(Sample._fields))))


def in_turns(rounds, runs):
    """{name: median} of functions that give a Sample."""
    samples = {name: [] for name in runs}
    for turn in range(rounds):
        for name in sorted(runs, reverse=turn % 2 == 1):
            samples[name].append(runs[name]())
    return {name: median(s) for name, s in samples.items()}


def line(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def heading(*cells):
    print()
    line(*cells)
    line(*["---"] * len(cells))


def sample_cells(sample):
    return ("%.0f" % sample.rate, "%.2f" % sample.p50, "%.2f" % sample.p99, "%.1f" % sample.cpu_us,
            "%.3f" % sample.fsyncs, "%.2f" % sample.packets)


SAMPLE_HEADING = ("per second", "p50 ms", "p99 ms", "CPU us", "fsyncs", "packets")


# ---------------------------------------------------------------- beside etcd

def etcd_bar(test, clients, pipeline):
    """The ratio that is asked for: of rates; with one client, of latencies."""
    if clients == 1:
        return 2
    if test == "set":
        return 4 if pipeline == 1 else 10
    return 5 if pipeline == 1 else 20


def run_etcd(root, options):
    ours = contenders.DistKV(root, 3)
    runs_of = {"DistKV": (ours, drivers.redis_benchmark)}
    if contenders.Etcd.is_here():
        runs_of["etcd"] = (contenders.Etcd(root, 3), drivers.h2load)
    else:
        print("bench_cluster: no etcd or no h2load here; DistKV alone", file=sys.stderr)
    heading("operation", "clients x in flight", "who", *SAMPLE_HEADING)
    verdicts, best = [], {}
    for pipeline in (1, IN_FLIGHT):
        for test in ("set", "get"):
            for clients in CLIENTS[pipeline > 1:]:
                result = etcd_row(options, runs_of, test, clients, pipeline)
                if "etcd" in result:
                    theirs = best.get((test, clients), result["etcd"])
                    best[test, clients] = max(theirs, result["etcd"])
                    result["etcd"] = best[test, clients]
                    verdicts.append(etcd_verdict(ours, options, (test, clients, pipeline), result))
    if verdicts:
        print("\netcd's better row, where more in flight makes it slower:")
        heading("operation", "clients x in flight", "rate (1 client: latency), times etcd's", "bar",
                "p99, share of etcd's", "CPU, share of etcd's", "share of PING",
                "PING, times etcd's")
        for verdict in verdicts:
            line(*verdict)
    for contender, _ in runs_of.values():
        contender.stop()


def etcd_row(options, runs_of, test, clients, pipeline):
    depth = {"DistKV": pipeline, "etcd": min(pipeline, max(1, IN_FLIGHT_ETCD_MAX[test] // clients))}
    runs = {name: lambda c=c, d=d, n=name: d(c, test, clients, depth[n], options.seconds, FIRST)
            for name, (c, d) in runs_of.items()}
    result = in_turns(options.rounds, runs)
    for name, sample in result.items():
        line(test.upper(), "%d x %d" % (clients, depth[name]), name, *sample_cells(sample))
    return result


def etcd_verdict(ours, options, row, result):
    test, clients, pipeline = row
    mine, theirs = result["DistKV"], result["etcd"]
    bar = etcd_bar(*row)
    ratio = theirs.p50 / mine.p50 if clients == 1 else mine.rate / theirs.rate
    p99, cpu = mine.p99 / theirs.p99, mine.cpu_us / theirs.cpu_us
    ping = ["", ""]
    if test == "get":
        bare = drivers.redis_benchmark(ours, "ping_mbulk", clients, pipeline, options.seconds,
                                       FIRST)
        ping = ["%.2f" % (mine.rate / bare.rate), "%.1f" % (bare.rate / theirs.rate)]
    return (test.upper(), "%d x %d" % (clients, pipeline), judged(ratio, ratio >= bar), bar,
            judged(p99, p99 < 1), judged(cpu, cpu <= 0.2, "%.3f"), *ping)


# ---------------------------------------------------------------- beside Redis

def run_redis(root, options):
    version = contenders.RedisPair.version(root)
    if version is None:
        print("bench_cluster: no redis-server here", file=sys.stderr)
        return
    ours = contenders.DistKV(root, 3, "DistKV beside Redis")
    redis = contenders.RedisPair(root)
    heading("SET, clients x in flight", "who", *SAMPLE_HEADING, "ratio of rates")
    for clients, batch in ((1, 1), (64, 1), (512, 1), (64, IN_FLIGHT)):
        flags = {"connections": clients, "batch": batch, "seconds": int(max(1, options.seconds))}
        result = in_turns(options.rounds, {
            "DistKV": lambda: drivers.closed_loop(ours, [ours.leader().port], **flags),
            "Redis": lambda: drivers.closed_loop(redis, [redis.leader().port], wait=1, **flags)})
        ratio = result["DistKV"].rate / result["Redis"].rate
        for name, sample in result.items():
            cells = list(sample_cells(sample))
            if name == "Redis":
                cells[4] = "not counted"
            line("%d x %d" % (clients, batch), name, *cells,
                 judged(ratio, ratio >= 1) if name == "DistKV" else "")
    ours.stop()
    redis.stop()


# ---------------------------------------------------------------- a service

def start_service(root, name):
    ours = contenders.DistKV(root, 3, name)
    ours.create_keyspace(SERVICE["keyspace"], 3, SERVICE_TABLETS)
    answer = drivers.load_json(ours.ports(), fill=True, connections=16, timeout_ms=10000, **SERVICE)
    if answer["writes"]["ok"] < SERVICE["keys"]:
        raise SystemExit("bench: %d keys were not filled" %
                         (SERVICE["keys"] - answer["writes"]["ok"]))
    return ours


def is_steady(answer, rate):
    done = answer["reads"]["ok"] + answer["writes"]["ok"]
    return done == answer["requests"] and done / answer["seconds"] >= 0.99 * rate


def service_latencies(answer):
    """ms: read p50, read p99, write p50, write p99."""
    return [answer[verb][p] / 1e3 for verb in ("reads", "writes") for p in ("p50_us", "p99_us")]


def try_rate(ours, rate, options):
    """Medians of several tries: their latencies; how many requests were not answered in time; were
    most tries steady?"""
    tries = [drivers.load_json(ours.ports(), rate=rate, seconds=options.service_seconds,
                               **SERVICE_LOAD) for _ in range(options.rounds)]
    latencies = [statistics.median(values) for values in zip(*map(service_latencies, tries))]
    missing = sum(t["requests"] - t["reads"]["ok"] - t["writes"]["ok"] for t in tries)
    return latencies, missing, sum(is_steady(t, rate) for t in tries) * 2 > len(tries)


def meet(latencies, bars):
    return all(value < bar for value, bar in zip(latencies, bars))


def find_rates(ours, options):
    """The highest rates: with all latencies, with a write p99 that is at most bearable, steady."""
    best = {"aimed": 0, "bearable": 0, "steady": 0}
    heading("requests per second", "read p50 ms", "read p99 ms", "write p50 ms", "write p99 ms",
            "not answered in time", "steady")
    for rate in SERVICE_RATES:
        latencies, missing, steady = try_rate(ours, rate, options)
        line(rate, *(judged(v, v < bar) for v, bar in zip(latencies, SERVICE_BARS_MS)), missing,
             "yes" if steady else "no")
        if not steady:
            break
        best["steady"] = rate
        if meet(latencies, SERVICE_BARS_MS):
            best["aimed"] = rate
        if meet(latencies, SERVICE_BEARABLE_MS):
            best["bearable"] = rate
    return best


def show_costs(ours, options):
    """Of a request of one kind, from as many connections, in a closed loop."""
    heading("request", *SAMPLE_HEADING)
    for verb in ("reads", "writes"):
        load = {**SERVICE_LOAD, "reads": 0, "writes": 0, verb: 1}
        result = in_turns(options.rounds, {"DistKV": lambda: drivers.closed_loop(
            ours, ours.ports(), seconds=options.service_seconds, **load)})
        line(verb, *sample_cells(result["DistKV"]))


def run_service(root, options):
    ours = start_service(root, "service")
    show_costs(ours, options)
    best = find_rates(ours, options)
    print("\nhighest rate with all latencies: %d a second; with 50 ms for a write's p99: %d; "
          "steady: %d" % (best["aimed"], best["bearable"], best["steady"]))
    options.fault_rate = options.fault_rate or max(best["aimed"] // 2, SERVICE_RATES[0])
    ours.stop()


def kill_in_turn(ours, seconds):
    """SIGKILL of one node after the other, whoever leads; each comes back.  How many times."""
    begin, faults = time.monotonic(), 0
    while time.monotonic() - begin + FAULT_EVERY_S <= seconds:
        time.sleep(FAULT_EVERY_S - DOWN_S)
        member = ours.members[faults % len(ours.members)]
        member.kill()
        time.sleep(DOWN_S)
        member.start_again()
        faults += 1
    return faults


def run_faults(root, options):
    ours = start_service(root, "faults")
    rate = options.fault_rate or SERVICE_RATES[1]
    driver = drivers.start_load(ours.ports(), rate=rate, seconds=options.fault_seconds,
                                **SERVICE_LOAD)
    faults = kill_in_turn(ours, options.fault_seconds)
    answer = drivers.result_of(driver)
    done = answer["reads"]["ok"] + answer["writes"]["ok"]
    print("\navailability with %d kills in %d s, %d requests a second: %.3f %% within %d ms"
          % (faults, options.fault_seconds, rate, 100 * done / answer["requests"],
             SERVICE_LOAD["timeout_ms"]))
    print("not: %d late, %d lost with their connection, %d errors; latencies of the rest:"
          % (answer["late"], answer["lost"], answer["errors"]))
    print("read p50 %.2f, p99 %.2f; write p50 %.2f, p99 %.2f ms"
          % tuple(service_latencies(answer)))
    ours.stop()


# ---------------------------------------------------------------- scaling

def run_scaling(root, options):
    heading("nodes", "copies", "tablets", *SAMPLE_HEADING)
    with open(SCALING_FILE, "w", newline="") as f:
        file = csv.writer(f)
        file.writerow(("nodes", "copies", "tablets", *Sample._fields))
        for nodes in NODES:
            ours = contenders.DistKV(root, nodes, "scaling %d" % nodes)
            for tablets in TABLETS:
                row = (nodes, min(nodes, 3), tablets)
                sample = scaling_row(ours, options, *row[1:])
                line(*row, *sample_cells(sample))
                file.writerow((*row, *("%.6g" % value for value in sample)))
                f.flush()
            ours.stop()


def scaling_row(ours, options, copies, tablets):
    name = "t%d" % tablets
    ours.create_keyspace(name, copies, tablets)
    result = in_turns(options.rounds, {"DistKV": lambda: drivers.closed_loop(
        ours, ours.ports(), keyspace=name, connections=64, seconds=int(max(1, options.seconds)))})
    ours.drop_keyspace(name)
    return result["DistKV"]


# ---------------------------------------------------------------- the program

SECTIONS = {"etcd": run_etcd, "redis": run_redis, "service": run_service, "faults": run_faults,
            "scaling": run_scaling}


def print_versions(root):
    print("DistKV      " + contenders.DistKV.version() + ", --sync always")
    if contenders.Etcd.is_here():
        print("etcd        " + contenders.Etcd.version() + ", its fsyncs as they come")
    print("Redis       %s" % contenders.RedisPair.version(root))
    print("values      %d bytes, %d keys; h2load sends one key only"
          % (drivers.VALUE_BYTES, drivers.KEYS))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("BENCH_FULL")))
    parser.add_argument("--only", default=os.environ.get("BENCH_ONLY") or ",".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--fault-rate", type=int, default=0, help="requests a second")
    options = parser.parse_args()
    options.rounds = options.rounds or (7 if options.full else 3)
    options.seconds = options.seconds or (5 if options.full else 2)
    options.service_seconds = 30 if options.full else 5
    options.fault_seconds = 300 if options.full else 60
    if shutil.which("redis-benchmark") is None or shutil.which("ss") is None:
        sys.exit("bench_cluster: redis-benchmark (redis-tools) or ss (iproute2) is missing")
    with servers.temporary_root() as root:
        servers.print_machine(root)
        print_versions(root)
        try:
            for name in options.only.split(","):
                print("\n%s" % name)
                SECTIONS[name](root, options)
        finally:
            contenders.stop_all()
        print("\ndisk after  " + servers.sync_times(root))


if __name__ == "__main__":
    main()
