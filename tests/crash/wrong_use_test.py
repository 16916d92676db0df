#!/usr/bin/env python3
"""What a new user does wrong with `distkv server`: one clear line, which names the thing.

Exit code 2 says that the configuration is wrong, 1 that the machine did not go along, 0 that a
stop was asked for.  Nothing of it leaves a data directory that the next start stumbles over.

usage: wrong_use_test.py BINARY EMBED_STORE
"""
import os
import shutil
import signal
import socket
import subprocess
import sys

from server import Server, end_after, expect, temporary_folder, wait_for

BINARY, EMBED_STORE = (os.path.abspath(path) for path in sys.argv[1:3])
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "32mb"]
NOBODY = 65534


class Words:
    """Starts that must fail."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def file(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content)
        return self.path(name)

    def refused(self, code, parts, *flags, env=None, binary=BINARY, user=None):
        """The exit code, and on standard error exactly one line that is meant for a person."""
        done = subprocess.run([binary, "server", *flags], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              env={**os.environ, **(env or {})}, user=user, group=user,
                              extra_groups=[] if user else None, cwd=self.folder)
        err = done.stderr.decode("utf-8", "replace")
        said = [line for line in err.splitlines() if line.startswith("distkv server: ")]
        logged = [line for line in err.splitlines() if line.startswith("ts=")]
        if (done.returncode != code or len(said) != 1 or not all(p in said[0] for p in parts) or
                len(said) + len(logged) != len(err.splitlines()) or
                any("level=error" in line for line in logged) or (code == 2 and logged)):
            raise AssertionError("distkv server %s: exit %d and %r; expected %d and one line with %r"
                                 % (" ".join(flags), done.returncode, err, code, parts))
        self.count += 1


def flags(w):
    data = w.path("never")
    w.refused(2, ["--nonsense", "--help"], "--nonsense", "1")
    w.refused(2, ["--nonsense"], "--nonsense=1")
    w.refused(2, ["stray"], "stray")
    w.refused(2, ["-p"], "-p", "6379")
    w.refused(2, ["--port", "needs a value"], "--port")
    for flag, value, part in (("port", "65536", "out of range"), ("port", "-1", "not a number"),
                              ("port", "12x", "not a number"), ("port", "", "not a number"),
                              ("port", "18446744073709551617", "out of range"),
                              ("memtable", "12qb", "not a size"), ("memtable", "1", "out of range"),
                              ("memory-budget", "99999999999gb", "size"),
                              ("sync", "sometimes", "always, interval, never"),
                              ("log-level", "loud", "debug, info"), ("bind", "", "empty"),
                              ("data-dir", "", "empty"), ("cluster-name", "", "empty"),
                              ("node-name", "n" * 65, "longer"), ("weight", "99", "100 to 256"),
                              ("join", "localhost:1", "numeric"), ("join", "127.0.0.1", "numeric"),
                              ("peer-bind", "0.0.0.0", "insecure"), ("advertise", "here", "numeric"),
                              ("threads", "1000", "out of range")):
        w.refused(2, [flag, part], "--" + flag, value)
    for given, missing in (("cert", "key"), ("key", "cert"), ("ca", "cert")):
        w.refused(2, ["peer-tls-" + missing + ": is missing"], "--peer-tls-" + given, "x.pem")
    tls = ["--peer-tls-cert", "x.pem", "--peer-tls-key", "y.pem", "--peer-tls-ca", "z.pem"]
    w.refused(2, ["peer-bind", "advertise"], "--peer-bind", "0.0.0.0", *tls)
    w.refused(1, ["peer-tls-cert: ", "x.pem"], "--data-dir", data, "--port", "0", *tls)
    w.refused(2, ["memory-budget", "memtable"], "--memtable", "64mb", "--memory-budget", "32mb")
    w.refused(2, ["line-port"], "--port", "7000", "--line-port", "7000", "--data-dir", data)
    w.refused(2, ["0.0.0.0", "password"], "--bind", "0.0.0.0", "--data-dir", data)
    w.refused(2, ["::", "password"], "--bind", "::", "--data-dir", data)
    w.refused(2, ["fe80::1%lo", "password"], "--bind", "fe80::1%lo", "--data-dir", data)
    w.refused(2, ["localhost", "numeric"], "--bind", "localhost", "--data-dir", data)
    w.refused(2, ["127.0.0.1.example", "numeric"], "--bind", "127.0.0.1.example")
    w.refused(2, ["password-file", "nothing"], "--password-file", w.path("nothing"))
    w.refused(2, ["password-file", "empty"], "--password-file", w.file("empty", b"\n"))
    w.refused(2, ["DISTKV_NONSENSE", "nonsense"], env={"DISTKV_NONSENSE": "1"})
    w.refused(2, ["DISTKV_PORT", "many"], env={"DISTKV_PORT": "many"})
    if os.path.exists(data):
        raise AssertionError("a wrong configuration made a data directory")


def files(w):
    w.refused(2, ["missing.ini", "No such file"], "--config", w.path("missing.ini"))
    w.refused(2, [w.folder, "directory"], "--config", w.folder)
    w.refused(2, ["a.ini:2", "nonsense"], "--config", w.file("a.ini", b"port = 0\nnonsense = 1\n"))
    w.refused(2, ["b.ini:1", "many"], "--config", w.file("b.ini", b"port = many\n"))
    w.refused(2, ["c.ini:2"], "--config", w.file("c.ini", b"port = 0\nport\n"))
    w.refused(2, ["d.ini:2", "other"], "--config", w.file("d.ini", b"[other]\nport = 0\n"))
    w.refused(2, ["e.ini:1"], "--config", w.file("e.ini", b"\xff\xfe\x00garbage\n"))
    w.refused(2, ["missing.ini"], env={"DISTKV_CONFIG": w.path("missing.ini")})


def the_machine(w):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = str(taken.getsockname()[1])
    w.refused(1, ["127.0.0.1", port, "is in use", "--port"], "--port", port,
              "--data-dir", w.path("taken"), *SMALL)
    w.refused(1, [port, "in use"], "--port", port, "--data-dir", w.path("taken"),
              "--log-level", "off", *SMALL)
    taken.close()
    w.refused(1, ["192.0.2.1", "Cannot assign"], "--bind", "192.0.2.1", "--insecure", "--port", "0",
              "--data-dir", w.path("taken"), *SMALL)
    node = Server(BINARY, w.path("taken"), SMALL).start()  # what was begun before is of use
    try:
        w.refused(1, [w.path("taken"), "in use by another process"], "--port", "0",
                  "--data-dir", w.path("taken"), *SMALL)
        if node.connect().call(b"PING") != b"PONG":
            raise AssertionError("the first process was disturbed")
    finally:
        node.kill()


def folders(w):
    os.mkdir(w.path("other"))
    w.file("other/letter.txt", b"Dear reader\n")
    w.refused(1, [w.path("other"), "not a DistKV store"], "--port", "0",
              "--data-dir", w.path("other"), *SMALL)
    expect(sorted(os.listdir(w.path("other"))), ["LOCK", "letter.txt"], "somebody else's folder")
    w.refused(1, [w.path("a-file"), "Not a directory"], "--port", "0",
              "--data-dir", w.file("a-file", b""), *SMALL)
    w.refused(1, [w.path("no/such"), "No such file or directory"], "--port", "0",
              "--data-dir", w.path("no/such"), *SMALL)
    subprocess.run([EMBED_STORE, w.path("embedded")], check=True, timeout=60)
    w.refused(1, [w.path("embedded"), "embedded"], "--port", "0",
              "--data-dir", w.path("embedded"), *SMALL)
    subprocess.run([EMBED_STORE, w.path("embedded")], check=True, timeout=60)  # is none the worse


def not_writable(w):
    os.mkdir(w.path("locked"))
    binary, user = BINARY, None
    if os.geteuid() == 0:  # to whom everything is writable
        binary, user = w.path("distkv"), NOBODY
        shutil.copy(BINARY, binary)
        os.chmod(w.folder, 0o755)
    os.chmod(w.path("locked"), 0o555)
    w.refused(1, [w.path("locked"), "Permission denied"], "--port", "0",
              "--data-dir", w.path("locked"), *SMALL, binary=binary, user=user)
    w.refused(1, [w.path("locked/data"), "Permission denied"], "--port", "0",
              "--data-dir", w.path("locked/data"), *SMALL, binary=binary, user=user)
    secret = w.file("secret.ini", b"port = 0\n")
    os.chmod(secret, 0)
    w.refused(2, [secret, "Permission denied"], "--config", secret, binary=binary, user=user)


def signals(w):
    """SIGHUP takes what may change, or nothing at all when the file is wrong; SIGTERM ends with 0."""
    path = w.file("node.ini", b"deadline-ms = 4000\n")
    node = Server(BINARY, w.path("node"), [*SMALL, "--config", path]).start()

    def reload(text, event):
        before = node.log().count(event)
        w.file("node.ini", text)
        node.process.send_signal(signal.SIGHUP)
        wait_for(event, lambda: node.log().count(event) > before)

    def setting(name):
        return client.call(b"CONFIG", b"GET", name)[1]
    try:
        client = node.connect()
        expect(setting(b"deadline-ms"), b"4000", "a setting of the file")
        reload(b"deadline-ms = 4500\nsync = interval\nmemtable = 2mb\nlevel-base = 7mb\n", "event=server.reloaded")
        expect((setting(b"deadline-ms"), setting(b"sync")), (b"4500", b"interval"), "after SIGHUP")
        expect(setting(b"memtable"), b"%d" % (1 << 20), "what a flag says")
        expect(setting(b"level-base"), b"%d" % (100 << 20), "what may not change")
        expect("event=server.reload_ignored setting=level-base" in node.log(), True, "the log on that")
        reload(b"deadline-ms = 4600\nsync = sometimes\n", "event=server.reload_failed")
        expect(setting(b"deadline-ms"), b"4500", "after SIGHUP with a wrong file")
        expect("node.ini:2: sync" in node.log(), True, "the log on the wrong line")
        reload(b"password = secret\n", "event=server.reloaded")
        refusal = str(node.connect().call(b"GET", b"k"))
        expect(refusal.startswith("NOAUTH"), True, "without the new password: %r" % refusal)
        expect(node.connect().call(b"AUTH", b"secret"), b"OK", "with the new password")
        if "secret" in node.log().replace("secret.ini", ""):
            raise AssertionError("the log tells the password")
        expect(node.stop(), 0, "SIGTERM")
        node.start()
        node.process.send_signal(signal.SIGINT)
        expect(node.process.wait(30), 0, "SIGINT")
    finally:
        node.kill()


def main():
    end_after(110)
    folder = temporary_folder("distkv-wrong-")
    w = Words(folder)
    try:
        for case in (flags, files, the_machine, folders, not_writable, signals):
            case(w)
            print("%s: fine" % case.__name__.replace("_", " "), flush=True)
    finally:
        shutil.rmtree(folder)
    print("%d wrong starts, each refused in one line\n1 passed, 0 failed" % w.count)


if __name__ == "__main__":
    main()
