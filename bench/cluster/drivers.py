"""What puts load on a cluster, and what came of it.

Each driver returns a Sample: operations a second, latencies in ms, and what servers spent on one
operation.
"""
import atexit
import collections
import csv
import io
import json
import os
import re
import struct
import subprocess
import tempfile
import time

from contenders import servers

Sample = collections.namedtuple("Sample", "rate p50 p99 cpu_us fsyncs packets")

KEYS = 100000
VALUE_BYTES = 100
LOAD_S_MAX = 600
LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cluster_load")


class Account:
    """What a contender has spent since."""

    def __init__(self, contender):
        self.contender = contender
        self.before = self.read()

    def read(self):
        c = self.contender
        return c.cpu_seconds() * 1e6, c.fsyncs(), c.packets()

    def of_each(self, operations):
        return [(b - a) / operations for a, b in zip(self.before, self.read())]


def repeat_for(seconds, run, first):
    """Runs with `first` operations, and with as many more as take about so long."""
    begin = time.monotonic()
    run(first)
    took = max(time.monotonic() - begin, 0.01)
    return run(max(first, int(first * seconds / took)))


def redis_benchmark(contender, test, clients, pipeline, seconds, first):
    port = str(contender.leader().port)

    def run(count):
        account = Account(contender) if test != "ping_mbulk" else None
        answer = subprocess.run(
            ["redis-benchmark", "-p", port, "-c", str(clients), "-d", str(VALUE_BYTES), "-r",
             str(KEYS), "-n", str(count), "-P", str(pipeline), "-t", test, "--csv"],
            capture_output=True, text=True, check=True, timeout=120)
        row = list(csv.DictReader(io.StringIO(answer.stdout)))[-1]
        spent = account.of_each(count) if account else [0, 0, 0]
        return Sample(float(row["rps"]), float(row["p50_latency_ms"]),
                      float(row["p99_latency_ms"]), *spent)

    return repeat_for(seconds, run, first * pipeline)


def grpc_body(test):
    """A Put, or a linearizable Range, of one key: h2load sends the same body again and again."""
    key = b"key:000000000042"
    message = b"\x0a" + bytes([len(key)]) + key
    if test == "set":
        message += b"\x12" + bytes([VALUE_BYTES]) + b"x" * VALUE_BYTES
    return b"\0" + struct.pack(">I", len(message)) + message


def percentiles(path):
    with open(path) as f:
        times = sorted(int(line.rsplit("\t", 1)[1]) for line in f)
    return times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000


def h2load(etcd, test, clients, pipeline, seconds, first):
    method = "Put" if test == "set" else "Range"
    url = "http://127.0.0.1:%d/etcdserverpb.KV/%s" % (etcd.leader().port, method)

    def run(count):
        with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
            body, log = os.path.join(folder, "body"), os.path.join(folder, "log")
            with open(body, "wb") as f:
                f.write(grpc_body(test))
            refused, account = etcd.refused(), Account(etcd)
            answer = subprocess.run(
                ["h2load", "-t", "1", "-n", str(count), "-c", str(clients), "-m", str(pipeline),
                 "-d", body, "--log-file", log, "-H", "content-type: application/grpc", "-H",
                 "te: trailers", url], capture_output=True, text=True, check=True, timeout=120)
            spent = account.of_each(count)
            refused = etcd.refused() - refused
            if refused:
                print("(etcd refused %d of %d)" % (refused, count))
            rate = re.search(r"finished in .*, ([\d.]+) req/s", answer.stdout).group(1)
            return Sample(float(rate) * (1 - refused / count), *percentiles(log), *spent)

    return repeat_for(seconds, run, first * pipeline)


def start_load(ports, **flags):
    """cluster_load as a process; a flag whose value is True stands alone."""
    words = []
    for name, value in flags.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(str(value))
    driver = subprocess.Popen([LOAD, *words, *map(str, ports)], stdout=subprocess.PIPE, text=True)
    atexit.register(servers.end, driver)
    return driver


def result_of(driver):
    out, _ = driver.communicate(timeout=LOAD_S_MAX)
    if driver.returncode != 0:
        raise SystemExit("bench: cluster_load has failed")
    return json.loads(out)


def load_json(ports, **flags):
    return result_of(start_load(ports, **flags))


def closed_loop(contender, ports, **flags):
    """As many operations as get through, by clients that wait for their answers."""
    account = Account(contender)
    answer = load_json(ports, **flags)
    kind = max(("reads", "writes"), key=lambda k: answer[k]["ok"])
    if any(answer[k] for k in ("errors", "late", "lost")):
        print("(%s: of %d requests %d got an error, %d were late, %d lost with their connection)"
              % (contender.name, answer["requests"], answer["errors"], answer["late"],
                 answer["lost"]))
    done = answer[kind]["ok"]
    return Sample(done / answer["seconds"], answer[kind]["p50_us"] / 1000,
                  answer[kind]["p99_us"] / 1000, *account.of_each(done))
