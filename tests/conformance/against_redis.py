#!/usr/bin/env python3
"""The same commands to a real Redis 7.0 and to us: the same replies, byte for byte.

usage: against_redis.py BINARY [SEED]

Debian packs the server as another name of redis-check-rdb (package redis-tools), so that nothing
needs to be installed that would listen on port 6379.  Where there is no such program, or one of another
version, whose replies are others, the test says so and ends with 77, which CTest shows as skipped.

First the commands of against_redis.txt, over RESP2 and RESP3; then random ones, from a seed that
is printed.
"""
import os
import random
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, temporary_folder, wait_for  # noqa: E402

SKIPPED = 77
VERSION = "7.0."  # what against_redis.txt says of it
RANDOM_COMMANDS = 6000
KEYS = ["a", "b", "c", "n", "f", "s", "e", "missing"]


class Connection:
    """Replies as (type, text) or (type, [items]); nils as the one of their protocol."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(30)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        out = [b"*%d\r\n" % len(words)]
        for word in words:
            out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(out))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("closed by the server")
        kind, rest = line[:1].decode(), line[1:-2]
        if kind in "$=!" and rest != b"-1":
            return kind, self.file.read(int(rest) + 2)[:-2]
        if kind in "*~>%" and rest != b"-1":
            count = int(rest) * (2 if kind == "%" else 1)
            return kind, [self.reply() for _ in range(count)]
        return kind, rest


class Redis:
    def __init__(self, folder):
        program = os.path.join(folder, "redis-server")
        os.symlink(shutil.which("redis-check-rdb"), program)
        self.address = os.path.join(folder, "redis.socket")
        self.process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", self.address, "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("Redis starts", self._is_there)
        except BaseException:
            self.kill()
            raise

    def _is_there(self):
        if self.process.poll() is not None:
            raise RuntimeError("Redis ended with %d" % self.process.returncode)
        return os.path.exists(self.address)

    def kill(self):
        self.process.kill()
        self.process.wait()


def redis_version(folder):
    """"7.0.15", or None where there is no server in redis-check-rdb."""
    packed = shutil.which("redis-check-rdb")
    if packed is None:
        return None
    program = os.path.join(folder, "redis-server")
    os.symlink(packed, program)
    try:
        text = subprocess.run([program, "--version"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30).stdout.decode()
    finally:
        os.unlink(program)
    return text.split("v=")[1].split()[0] if text.startswith("Redis server v=") else None


# ---------------------------------------------------------------------- words

def words_of(line):
    """Words with blanks between; "..." takes the escapes of Python."""
    words, at = [], 0
    while at < len(line):
        if line[at] == " ":
            at += 1
        elif line[at] == '"':
            end = at + 1
            while line[end] != '"':
                end += 2 if line[end] == "\\" else 1
            words.append(line[at + 1:end].encode().decode("unicode_escape").encode("latin-1"))
            at = end + 1
        else:
            end = line.find(" ", at)
            end = len(line) if end < 0 else end
            words.append(line[at:end].encode())
            at = end
    return words


def shape(reply):
    kind, inside = reply
    return (kind, [shape(r) for r in inside]) if isinstance(inside, list) else kind


def close_to(a, b, most):
    return a[0] == b[0] == ":" and abs(int(a[1]) - int(b[1])) <= most


def same(words, ours, theirs):
    """What depends on when it was asked may differ by a second."""
    verb = words[0].upper()
    if verb in (b"TTL", b"EXPIRETIME") and close_to(ours, theirs, 1):
        return True
    if verb in (b"PTTL", b"PEXPIRETIME") and close_to(ours, theirs, 1000):
        return True
    if verb == b"KEYS" and ours[0] == theirs[0] == "*":
        return sorted(ours[1]) == sorted(theirs[1])
    return ours == theirs


# ---------------------------------------------------------------------- both at once

class Pair:
    def __init__(self, ours, theirs):
        self.addresses = (ours, theirs)
        self.connections = None
        self.password = b""
        self.compared = 0
        self.failures = []

    def close(self):
        for c in self.connections or ():
            c.close()
        self.connections = None

    def begin(self, protocol):
        """New connections to empty servers."""
        self.close()
        self.connections = [Connection(a) for a in self.addresses]
        for c in self.connections:
            if self.password:
                continue  # how to get in is what is tested
            c.call(b"FLUSHALL")
            if protocol == 3:
                c.call(b"HELLO", b"3")

    def set_password(self, password):
        for address, name in zip(self.addresses, (b"password", b"requirepass")):
            c = Connection(address)
            if self.password:
                c.call(b"AUTH", self.password)
            if c.call(b"CONFIG", b"SET", name, password) != ("+", b"OK"):
                raise RuntimeError("the password could not be set")
            c.close()
        self.password = password

    def call(self, words):
        self.compared += 1
        return [c.call(*words) for c in self.connections]

    def fail(self, where, words, ours, theirs, why=""):
        self.failures.append("%s: %r%s\n  ours   %.400r\n  Redis  %.400r"
                             % (where, b" ".join(words), why, ours, theirs))

    def check(self, where, words):
        ours, theirs = self.call(words)
        if not same(words, ours, theirs):
            self.fail(where, words, ours, theirs)
            return False
        return True

    def raw(self, where, data):
        """Bytes, then the end of what we send: everything that comes back."""
        answers = []
        for address in self.addresses:
            c = Connection(address)
            c.socket.sendall(data)
            c.socket.shutdown(socket.SHUT_WR)
            try:
                answers.append(c.file.read())
            except ConnectionError:
                answers.append(b"reset")
            c.close()
        self.compared += 1
        if answers[0] != answers[1]:
            self.fail(where, [data], *answers)


# ---------------------------------------------------------------------- the script

def run_script(pair, path, protocol):
    with open(path) as f:
        lines = f.read().split("\n")
    pair.begin(protocol)
    for number, line in enumerate(lines, 1):
        where = "%s:%d (RESP%d)" % (os.path.basename(path), number, protocol)
        mark, rest = line[:1], line[2:]
        if line == "":
            pair.begin(protocol)
        elif mark == ">":
            pair.check(where, words_of(rest))
        elif mark == "~":
            ours, theirs = pair.call(words_of(rest))
            if shape(ours) != shape(theirs):
                pair.fail(where, words_of(rest), ours, theirs, " (in shape)")
        elif mark == "!":
            ours, theirs = pair.call(words_of(rest))
            if ours == theirs:
                pair.fail(where, words_of(rest), ours, theirs, " differs no more: say so in docs")
        elif mark == "=" and protocol == 2:
            pair.raw(where, rest.encode().decode("unicode_escape").encode("latin-1"))
        elif mark == "@":
            pair.set_password(rest.partition(" ")[2].encode())
            pair.begin(protocol)
        elif mark not in "#=":
            raise ValueError("%s: what is %r?" % (where, line))


# ---------------------------------------------------------------------- random commands

INTS = ["0", "1", "-1", "5", "-5", "100", "9223372036854775807", "-9223372036854775808",
        "9223372036854775808", " 1", "1 ", "+1", "01", "-0", "1.0", "abc", "", "1e3"]
FLOATS = ["0.1", "1e3", "-2.5", "inf", "nan", "1e400", "0x10", "3.0", "1e17", "abc", "", "1.", "+.5",
          " 1.5", "123456789.123456789"]
TIMES = ["1000000", "0", "-1", "4102444800", "4102444800000", "9223372036854775807", "abc",
         "9223372036854776", "-9223372036854775808"]
VALUES = ["hello world", "10", "3.5", "", "1e5", "-7", "9223372036854775807"]
OPTIONS = ["EX", "PX", "EXAT", "PXAT", "NX", "XX", "GET", "KEEPTTL", "PERSIST", "GT", "LT", "ex"]
FORMS = {
    "GET": "k", "STRLEN": "k", "GETDEL": "k", "TYPE": "k", "TTL": "k", "PTTL": "k", "PERSIST": "k",
    "EXPIRETIME": "k", "PEXPIRETIME": "k", "INCR": "k", "DECR": "k", "SET": "kvoo", "GETEX": "koo",
    "GETSET": "kv", "SETNX": "kv", "APPEND": "kv", "SETEX": "ktv", "PSETEX": "ktv", "MGET": "kkk",
    "MSET": "kvkv", "MSETNX": "kvkv", "GETRANGE": "kii", "SUBSTR": "kii", "INCRBY": "ki",
    "DECRBY": "ki", "INCRBYFLOAT": "kf", "DEL": "kk", "UNLINK": "kk", "EXISTS": "kk", "TOUCH": "kk",
    "EXPIRE": "kto", "PEXPIRE": "kto", "EXPIREAT": "kto", "PEXPIREAT": "kto", "RENAME": "kk",
    "RENAMENX": "kk", "COPY": "kk", "SETRANGE": "kpv", "ECHO": "v", "PING": "v", "MULTI": "",
    "EXEC": "", "DISCARD": "", "UNWATCH": "",
}
POSITIONS = ["0", "1", "5", "-1", "20", "abc", "9223372036854775807"]


def random_argument(rnd, kind):
    pools = {"k": KEYS, "v": VALUES, "i": INTS, "f": FLOATS, "t": TIMES, "p": POSITIONS}
    return rnd.choice(pools[kind])


def random_option(rnd):
    option = rnd.choice(OPTIONS)
    if option.upper() in ("EX", "PX", "EXAT", "PXAT") and rnd.random() < 0.9:
        return [option, rnd.choice(TIMES)]
    return [option]


def random_command(rnd):
    verb = rnd.choice(list(FORMS))
    words = [verb if rnd.random() < 0.9 else verb.lower()]
    for kind in FORMS[verb]:
        if kind == "o":
            words += random_option(rnd) if rnd.random() < 0.7 else []
        elif rnd.random() < 0.97:
            words.append(random_argument(rnd, kind))
    if rnd.random() < 0.05:
        words.append(rnd.choice(OPTIONS + INTS))
    return [w.encode() for w in words]


def compare_all(pair, where):
    for key in KEYS:
        for verb in (b"GET", b"PTTL"):
            if not pair.check(where + " afterwards", [verb, key.encode()]):
                return


def run_random(pair, protocol, seed):
    rnd = random.Random(seed)
    inside = False  # MULTI
    pair.begin(protocol)
    for i in range(RANDOM_COMMANDS):
        words = random_command(rnd)
        verb = words[0].upper()
        if inside and verb in (b"MSETNX", b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"):
            continue  # refused on purpose; or would have to be compared inside EXEC's reply
        fine = pair.check("seed %d, command %d (RESP%d)" % (seed, i, protocol), words)
        if verb == b"EXEC" or (verb == b"DISCARD" and len(words) == 1):
            inside = False
        elif verb == b"MULTI" and len(words) == 1:
            inside = True
        if not fine or i % 200 == 199:
            for c in pair.connections:
                c.call(b"DISCARD")
            inside = False
            compare_all(pair, "seed %d, command %d (RESP%d)" % (seed, i, protocol))
            pair.begin(protocol)


def main():
    binary = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    end_after(110)
    folder = temporary_folder("distkv-against-redis-")
    version = redis_version(folder)
    if version is None:
        shutil.rmtree(folder)
        print("SKIPPED: no Redis server in redis-check-rdb (Debian: redis-tools)")
        return SKIPPED
    if not version.startswith(VERSION):
        shutil.rmtree(folder)
        print("SKIPPED: the Redis here is %s, and the replies are those of %sx" % (version, VERSION))
        return SKIPPED
    redis = Redis(folder)
    server = Server(binary, folder + "/data", ["--min-free-bytes", "1mb", "--sync", "never"])
    try:
        server.start()
        pair = Pair(("127.0.0.1", server.port), redis.address)
        for protocol in (2, 3):
            run_script(pair, os.path.join(HERE, "against_redis.txt"), protocol)
            run_random(pair, protocol, seed + protocol)
        pair.close()
    finally:
        redis.kill()
        server.kill()
    print("\n".join(pair.failures[:40]))
    print("against Redis %s: %d replies compared, %d differ (seed %d)"
          % (version, pair.compared, len(pair.failures), seed))
    if pair.failures:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
