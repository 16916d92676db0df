#!/usr/bin/env python3
"""Real clients in other languages against the real binary.

usage: conformance.py BINARY python | redis-cli | ioredis | node-redis
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, temporary_folder  # noqa: E402


def with_python(port):
    import redis
    for protocol in (2, 3):
        try:
            r = redis.Redis(port=port, db=1, protocol=protocol)
        except TypeError:
            if protocol == 3:
                break  # a client older than RESP3
            r = redis.Redis(port=port, db=1)
        r.flushdb()
        expect(r.ping(), True, "PING")
        expect(r.set("user:1", "Alice"), True, "SET")
        expect(r.get("user:1"), b"Alice", "GET")
        expect(r.set("user:1", "Bob", nx=True), None, "SET NX")
        expect(r.set("t", "v", px=60000), True, "SET PX")
        expect(0 < r.pttl("t") <= 60000, True, "PTTL")
        expect(r.persist("t"), True, "PERSIST")
        expect(r.ttl("t"), -1, "TTL")
        expect(r.incrby("n", 5), 5, "INCRBY")
        expect(r.incrbyfloat("n", 0.5), 5.5, "INCRBYFLOAT")
        expect(r.mset({"a": 1, "b": 2}), True, "MSET")
        expect(r.mget("a", "missing", "b"), [b"1", None, b"2"], "MGET")
        expect(sorted(r.scan_iter(match="*", count=2)), [b"a", b"b", b"n", b"t", b"user:1"], "SCAN")
        expect(r.dbsize(), 5, "DBSIZE")
        expect(r.delete("a", "b", "missing"), 2, "DEL")
        expect(r.append("s", "abc"), 3, "APPEND")
        expect(r.setrange("s", 5, "x"), 6, "SETRANGE")
        expect(r.get("s"), b"abc\0\0x", "GET after SETRANGE")
        expect(r.getrange("s", -3, -1), b"\0\0x", "GETRANGE")
        expect(r.type("s"), b"string", "TYPE")
        expect(r.rename("s", "s2"), True, "RENAME")
        with r.pipeline(transaction=True) as p:
            p.watch("n")
            p.multi()
            p.set("n", 1)
            p.incr("n")
            expect(p.execute(), [True, 2], "MULTI")
        with r.pipeline() as p:
            p.watch("n")
            r.set("n", 99)
            p.multi()
            p.incr("n")
            try:
                p.execute()
                raise AssertionError("WATCH: the transaction went through")
            except redis.WatchError:
                pass
        try:
            r.set("word", "abc")
            r.incr("word")
            raise AssertionError("INCR of a word went through")
        except redis.ResponseError as e:
            expect(str(e), "value is not an integer or out of range", "INCR error")
        expect("redis_version" in r.info("server"), True, "INFO")
        expect(r.config_get("port") != {}, True, "CONFIG GET")
        expect(len(r.client_list()) >= 1, True, "CLIENT LIST")
        expect(r.execute_command("RANGE", "-", "+", "LIMIT", 1)[0] is not None, True, "RANGE")


def with_redis_cli(port):
    def cli(*words, text=None):
        return subprocess.run(["redis-cli", "-p", str(port), *words], check=True, timeout=30,
                              input=None if text is None else text.encode(),
                              stdout=subprocess.PIPE).stdout.decode().strip()
    expect(cli("SET", "user:1", "Alice"), "OK", "SET")
    expect(cli("GET", "user:1"), "Alice", "GET")
    expect(cli("-3", "GET", "user:1"), "Alice", "GET over RESP3")
    expect(cli("INCR", "user:1"), "ERR value is not an integer or out of range", "INCR")
    expect(cli("NOSUCH"), "ERR unknown command 'NOSUCH', with args beginning with:", "unknown")
    expect(cli(text="SET a 1\nINCR a\nGET a\n"), "OK\n2\n2", "a pipe of commands")
    expect(sorted(cli("--scan").split()), ["a", "user:1"], "--scan")
    expect(cli("MULTI"), "OK", "MULTI")
    expect("redis_version" in cli("INFO"), True, "INFO")
    expect(cli("COMMAND", "COUNT").isdigit(), True, "COMMAND COUNT")
    mass = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nx\r\n" % (len(k), k)
                    for k in (b"mass:%d" % i for i in range(10000)))
    out = subprocess.run(["redis-cli", "-p", str(port), "--pipe"], input=mass, check=True,
                         stdout=subprocess.PIPE).stdout
    expect(b"errors: 0, replies: 10000" in out, True, "--pipe: %r" % out)


def with_node(script, port):
    folder = os.path.join(os.environ.get("TEST_NODE_DIR") or os.path.join(HERE, "node"))
    subprocess.run(["node", os.path.join(HERE, "node", script), str(port)], check=True, cwd=folder)


def main():
    end_after(110)
    binary, client = sys.argv[1], sys.argv[2]
    folder = temporary_folder("distkv-conformance-")
    server = Server(binary, folder + "/data", ["--min-free-bytes", "1mb"]).start()
    try:
        if client == "python":
            with_python(server.port)
        elif client == "redis-cli":
            with_redis_cli(server.port)
        else:
            with_node(client + ".js", server.port)
        expect(server.stop(), 0, "graceful stop")
        shutil.rmtree(folder)
    finally:
        server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
