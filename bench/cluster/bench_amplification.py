#!/usr/bin/python3
"""What one node writes to its disk, keeps there, and spends, for values that are written again and again.

    bench_amplification.py [--full] [--rows TABLETS:KEYS,...] [--seconds S]

Values of 10 KB that cannot be compressed, keys of 100 bytes, default settings and budgets, an fsync before each
answer.  Every key is written once, in order; then keys that are drawn evenly, for so many seconds; then
compactions may end.  With --full a quarter of an hour and 15 GB of disk, without it a minute.
"""
import argparse
import json
import os
import socket
import time

import contenders
import drivers
from contenders import servers

KEY_BYTES, VALUE_BYTES = 100, 10240
ROWS = "1:50000"
ROWS_FULL = "64:600000,16:400000,1:100000,1:400000"
SETTLE_S, SETTLE_TRIES = 3, 60


def stats(port):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"STATS\n")
        line = s.makefile("rb").readline()
    return json.loads(line[line.index(b"{"):])


def settle(port):
    """Wait until nothing is compacted any more."""
    before = None
    for _ in range(SETTLE_TRIES):
        now = stats(port)["compactions"], stats(port)["tables_per_level"]
        if now == before:
            return
        before = now
        time.sleep(SETTLE_S)


def table_bytes(folder):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder)
               for name in names if name.endswith(".sst"))


class Phase:
    """What a part of the load has cost."""

    def __init__(self, ours, **load):
        member = ours.members[0]
        port = member.port
        before, cpu = stats(port), member.cpu_seconds()
        answer = drivers.load_json([port], key_bytes=KEY_BYTES, value_bytes=VALUE_BYTES,
                                   timeout_ms=20000, **load)
        settle(port)
        after, writes = stats(port), answer["writes"]["ok"]
        self.rate = writes / answer["seconds"]
        self.cpu_us = (member.cpu_seconds() - cpu) * 1e6 / writes
        self.p99_ms = answer["writes"]["p99_us"] / 1000
        self.amplification = ((after["write_amplification"] * after["puts"]
                               - before["write_amplification"] * before["puts"])
                              / (after["puts"] - before["puts"]))


def run_row(root, tablets, keys, seconds):
    ours = contenders.DistKV(root, 1, "amplification %d %d" % (tablets, keys))
    ours.create_keyspace("w", 1, tablets)
    load = {"keyspace": "w", "keys": keys}
    filled = Phase(ours, fill=True, connections=16, **load)
    again = Phase(ours, reads=0, writes=1, connections=32, seconds=seconds, **load)
    live = keys * (KEY_BYTES + VALUE_BYTES)
    space = table_bytes(ours.members[0].folder) / live
    ours.stop()
    cells = (tablets, "%.0f" % (live / tablets / 1e6), "%.1f" % filled.amplification,
             "%.0f" % filled.cpu_us, "%.0f" % again.rate, "%.0f" % again.p99_ms,
             "%.1f" % again.amplification, "%.0f" % again.cpu_us, "%.2f" % space)
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("BENCH_FULL")))
    parser.add_argument("--rows", default="")
    parser.add_argument("--seconds", type=int, default=0)
    options = parser.parse_args()
    rows = options.rows or (ROWS_FULL if options.full else ROWS)
    seconds = options.seconds or (100 if options.full else 20)
    with servers.temporary_root() as root:
        servers.print_machine(root)
        print("| tablets | MB of each | in order: bytes written for each | CPU us | again: writes a second "
              "| p99 ms | bytes written for each | CPU us | tables on disk, of what lives |")
        print("|" + "---|" * 9)
        try:
            for row in rows.split(","):
                run_row(root, *map(int, row.split(":")), seconds)
        finally:
            contenders.stop_all()


if __name__ == "__main__":
    main()
