#!/usr/bin/python3
"""How soon a killed server answers again.

    bench_recovery.py [--full] [--rounds N] [--megabytes N]

1. SIGKILL under full load, with default budgets: seconds from the restart to the first answered
   write.
2. Replay of 1 GB of 1 KB values that are all in the log and in no table: the same seconds.
"""
import argparse
import os
import statistics
import subprocess
import time

import servers


def restart(server):
    """Seconds until a SET is answered, counted from before the process is made."""
    begin = time.monotonic()
    server.start(wait=False)
    while True:
        try:
            client = servers.Client(server.port)
            client.call("SET", "first", "write")
            client.close()
            return time.monotonic() - begin
        except (OSError, RuntimeError):
            if server.process.poll() is not None:
                raise SystemExit("bench: the server did not come back; see %s" % server.folder)
            time.sleep(0.002)


def log_bytes(server):
    folder = os.path.join(server.folder, "data", "log-0")
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def kill_under_load(root, rounds, seconds):
    server = servers.start_distkv(root, "killed", "--sync", "always")
    times = []
    for _ in range(rounds):
        driver = subprocess.Popen(
            ["redis-benchmark", "-p", str(server.port), "-c", "50", "-d", "100", "-r", "1000000",
             "-n", "100000000", "-P", "16", "-t", "set", "-q"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        server.kill()
        driver.kill()
        driver.wait()
        size = log_bytes(server)
        times.append(restart(server))
        print("killed under load  log %4.0f MB  first write after %.3f s" % (size / 1e6, times[-1]))
    server.stop()
    print("killed under load  median of %d: %.3f s" % (rounds, statistics.median(times)))


def replay(root, megabytes):
    """A memtable larger than the log, so that nothing is in a table.  The budget must hold two."""
    server = servers.start_distkv(root, "replayed", "--sync", "never", "--memtable", "1400mb",
                                  "--memory-budget", "3gb", "--log-retained-max", "4gb")
    begin = time.monotonic()
    refused = servers.load(server.port, megabytes * 1000, 1000)
    took = time.monotonic() - begin
    server.kill()
    tables = [name for _, _, names in os.walk(os.path.join(server.folder, "data"))
              for name in names if name.endswith(".sst")]
    seconds = restart(server)
    client = servers.Client(server.port)
    count = client.call("DBSIZE")
    client.close()
    print("replay             %d MB of 1 KB values (written in %.1f s, log %.0f MB, %d tables, "
          "%d sent again): "
          "first write after %.2f s, %.0f MB/s, %d keys"
          % (megabytes, took, log_bytes(server) / 1e6, len(tables), refused, seconds,
             megabytes / seconds, count))
    server.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("BENCH_FULL")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=1000)
    options = parser.parse_args()
    with servers.temporary_root() as root:
        servers.print_machine(root)
        kill_under_load(root, options.rounds, 20 if options.full else 5)
        replay(root, options.megabytes)


if __name__ == "__main__":
    main()
