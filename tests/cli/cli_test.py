#!/usr/bin/env python3
"""The program as a person uses it: words in, text and exit codes out.

usage: cli_test.py BINARY
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, temporary_folder  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "32mb", "--table-bytes", "1mb"]


def run(*words, text=None, env=None):
    done = subprocess.run([BINARY, *words], input=None if text is None else text.encode(),
                          stdin=subprocess.DEVNULL if text is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def expect(got, want, what):
    if got != want:
        raise AssertionError("%s: got %r, expected %r" % (what, got, want))


def one_shot(port):
    def cli(*words):
        return run("cli", "-p", str(port), *words)
    json = '{"name":"Alice","age":30}'
    expect(cli("PUT", "user:1", json), (0, "OK\n", ""), "PUT")
    expect(cli("GET", "user:1"), (0, json + "\n", ""), "GET")
    expect(cli("PUT", "user:2", "two", "words"), (0, "OK\n", ""), "PUT of several words")
    expect(cli("GET", "user:2"), (0, "two words\n", ""), "GET of several words")
    expect(cli("DELETE", "user:1"), (0, "Deleted\n", ""), "DELETE")
    expect(cli("DELETE", "user:1"), (1, "", "Error: key not found\n"), "DELETE of nothing")
    expect(cli("GET", "user:1"), (1, "", "Error: key not found\n"), "GET of nothing")
    expect(cli("INCR", "user:2")[0], 1, "an error's exit code")
    expect(cli("QUIT"), (0, "Shutting down...\n", ""), "QUIT")
    code, out, _ = cli("STATS")
    expect((code, "Bloom filter" in out, "Compactions" in out), (0, True, True), "STATS")
    code, out, _ = cli("COMPACT")
    expect((code, out.startswith("Compaction started\n"), out.endswith("Compaction complete\n")),
           (0, True, True), "COMPACT")
    expect(cli("RANGE", "-", "+"), (0, "user:2\ntwo words\n", ""), "RANGE")
    expect(cli("DEL", "user:2"), (0, "1\n", ""), "DEL")


def from_a_pipe(port):
    code, out, err = run("cli", "-p", str(port),
                         text="PUT a  b c\nGET a\nGET none\nSET \"q k\" v\nGET \"q k\"\nQUIT\nGET a\n")
    expect((code, out, err), (1, "OK\n b c\nOK\nv\nShutting down...\n", "Error: key not found\n"),
           "commands from a pipe")


def import_and_export(port, folder):
    path = os.path.join(folder, "in.jsonl")
    with open(path, "w") as f:
        for i in range(3000):
            f.write('{"key":"k%05d","value":"v%d"}\n' % (i, i))
        f.write('{"key_base64":"/wA=","value":"bytes"}\n')
        f.write('{"key":"later","value":"x","expires_ms":4102444800000}\n')
    expect(run("cli", "-p", str(port), "FLUSHALL")[0], 0, "FLUSHALL")
    expect(run("import", "-p", str(port), path)[0], 0, "import")
    expect(run("cli", "-p", str(port), "GET", "k02999")[1], "v2999\n", "an imported value")
    for form in ("jsonl", "csv"):
        out = os.path.join(folder, "out." + form)
        expect(run("export", "-p", str(port), out)[0], 0, "export")
        expect(run("cli", "-p", str(port), "FLUSHALL")[0], 0, "FLUSHALL")
        expect(run("import", "-p", str(port), out)[0], 0, "import of the export")
        expect(run("cli", "-p", str(port), "DBSIZE")[1], "3002\n", "DBSIZE after " + form)
        expect(run("cli", "-p", str(port), "PEXPIRETIME", "later")[1], "4102444800000\n", "expiry")
    with open(path, "w") as f:
        f.write('{"key":"fine","value":"1"}\nnonsense\n')
    code, _, err = run("import", "-p", str(port), path)
    expect((code, "line 2" in err), (1, True), "a bad line")


def without_a_server(folder):
    data = os.path.join(folder, "alone")
    expect(run("cli", "--data-dir", data, "PUT", "k", "v"), (0, "OK\n", ""), "PUT without a server")
    expect(run("cli", "--data-dir", data, "GET", "k"), (0, "v\n", ""), "GET without a server")
    expect(run("check", data)[0], 0, "check of a sound store")
    log = [n for n in sorted(os.listdir(data + "/log-0")) if n.endswith(".log")]
    path = os.path.join(data, "IDENTITY")
    with open(path, "r+b") as f:
        f.seek(40)
        byte = f.read(1)
        f.seek(40)
        f.write(bytes([byte[0] ^ 1]))
    code, out, _ = run("check", data)
    expect((code, "DAMAGE" in out, "IDENTITY" in out), (1, True, True), "check of a damaged store")
    code, _, err = run("cli", "--data-dir", data, "GET", "k")
    expect((code, "IDENTITY" in err), (1, True), "opening a damaged store")
    expect(len(log) > 0, True, "a log")


def wrong_words():
    for words, part in ((("server", "--port", "99999"), "port"),
                        (("server", "--nonsense", "1"), "--nonsense"),
                        (("server", "--sync", "sometimes"), "sometimes"),
                        (("server", "--bind", "0.0.0.0"), "password"),
                        (("nonsense",), "nonsense"),
                        (("cli", "-p"), "-p"), (("cli", "--what"), "--what"),
                        (("import",), "file"), (("check",), "directory")):
        code, _, err = run(*words)
        expect((code, part in err), (2, True), "wrong words %r: %r" % (words, err))
    code, _, err = run("server", env={"DISTKV_NONSENSE": "1"})
    expect((code, "DISTKV_NONSENSE" in err), (2, True), "an unknown variable")
    expect(run("version")[0], 0, "version")
    expect(run("help")[0], 0, "help")


def from_a_file(folder):
    path = os.path.join(folder, "node.ini")
    with open(path, "w") as f:
        f.write("# a node\nport = 0\nsync = interval\nmemtable = 12qb\n")
    code, _, err = run("server", "--config", path)
    expect((code, "node.ini:4" in err, "memtable" in err), (2, True, True), "a bad file: %r" % err)


def in_use(server):
    code, _, err = run("server", "--port", "0", "--data-dir", server.data_dir, *SMALL)
    expect((code, "in use" in err), (1, True), "a second process: %r" % err)
    expect(run("check", server.data_dir)[0], 1, "check of a store in use")


def main():
    folder = temporary_folder("distkv-cli-")
    server = Server(BINARY, folder + "/data", SMALL).start()
    try:
        one_shot(server.port)
        from_a_pipe(server.port)
        import_and_export(server.port, folder)
        in_use(server)
        expect(server.stop(), 0, "graceful stop")
        without_a_server(folder)
        wrong_words()
        from_a_file(folder)
        shutil.rmtree(folder)
    finally:
        if server.process.poll() is None:
            server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
