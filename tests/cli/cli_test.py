#!/usr/bin/env python3
"""The program as a person uses it: words in, text and exit codes out.

usage: cli_test.py BINARY
"""
import array
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, temporary_folder, wait_for  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "32mb", "--table-bytes", "1mb"]


def run(*words, text=None, env=None):
    done = subprocess.run([BINARY, *words], input=None if text is None else text.encode(),
                          stdin=subprocess.DEVNULL if text is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode()


def one_shot(port):
    def cli(*words):
        return run("cli", "-p", str(port), *words)
    alice = '{"name":"Alice","age":30}'
    expect(cli("PUT", "user:1", alice), (0, "OK\n", ""), "PUT")
    expect(cli("GET", "user:1"), (0, alice + "\n", ""), "GET")
    expect(cli("PUT", "user:2", "two", "words"), (0, "OK\n", ""), "PUT of several words")
    expect(cli("GET", "user:2"), (0, "two words\n", ""), "GET of several words")
    expect(cli("DELETE", "user:1"), (0, "Deleted\n", ""), "DELETE")
    expect(cli("DELETE", "user:1"), (1, "", "Error: key not found\n"), "DELETE of nothing")
    expect(cli("GET", "user:1"), (1, "", "Error: key not found\n"), "GET of nothing")
    expect(cli("INCR", "user:2")[0], 1, "an error's exit code")
    expect(cli("QUIT"), (0, "Shutting down...\n", ""), "QUIT")
    code, out, _ = cli("STATS")
    expect(len(set(len(line) for line in out.strip().split("\n"))), 1, "the box's lines:\n" + out)
    expect((code, "Bloom filter" in out, "Compactions" in out), (0, True, True), "STATS")
    code, out, _ = cli("COMPACT")
    expect((code, out.startswith("Compaction started\n"), out.endswith("Compaction complete\n")),
           (0, True, True), "COMPACT")
    expect(cli("RANGE", "-", "+"), (0, "user:2\ntwo words\n", ""), "RANGE")
    expect(cli("DEL", "user:2"), (0, "1\n", ""), "DEL")


def from_a_pipe(port):
    code, out, err = run("cli", "-p", str(port),
                         text="# a comment\nPUT a  b c\nGET a\nGET none\nSET \"q k\" v\nGET \"q k\"\nQUIT\nGET a\n")
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
    import_of_what_is_bad(port, path)
    an_interrupted_import(port)
    export_to_whoever_stops_reading(port, folder)


def import_of_what_is_bad(port, path):
    """The line is named, and everything before it is in."""
    with open(path, "w") as f:
        f.write('{"key":"fine","value":"1"}\nnonsense\n{"key":"late","value":"1"}\n')
    code, _, err = run("import", "-p", str(port), path)
    expect((code, path + ": line 2: " in err, "1 imported" in err), (1, True, True), "a bad line")
    expect(run("cli", "-p", str(port), "MGET", "fine", "late")[1], "1\n(nil)\n", "what is in")
    with open(path, "w") as f:
        f.write('{"key":"fine","value":"2"}\n{"key":"x","value":"3","expires_ms":%d}\n'
                '{"key":"late","value":"4"}\n' % (2 ** 63 - 1))
    run("cli", "-p", str(port), "DEL", "late")
    expect(run("import", "-p", str(port), path)[0], 0, "the last time there is")
    for words, part in (((path[:-6] + ".none.jsonl",), "No such file"), ((os.path.dirname(path),), "say --format"),
                        (("--format", "csv", os.path.dirname(path)), "is a folder"), ((), "no file is named"),
                        ((path, path), "two files"), (("--format", "xml", path), '"xml" is neither'),
                        ((path, "--format"), "--format needs a value"), (("--what", path), "--what")):
        code, out, err = run("import", "-p", str(port), *words)
        expect((code > 0, out, part in err), (True, "", True), "import %r: %r" % (words, err))


def waits_for_input(p):
    """It heeds Ctrl-C, has read all that is in its pipe, and sleeps: where, if not in the next read?"""
    left = array.array("i", [0])
    fcntl.ioctl(p.stdin, termios.FIONREAD, left)
    with open("/proc/%d/status" % p.pid) as f:
        status = dict(line.split(":\t", 1) for line in f)
    heeds = int(status["SigCgt"], 16) >> (signal.SIGINT - 1) & 1
    return left[0] == 0 and heeds and status["State"].startswith("S")


def interrupt_import(port, form, text, imported):
    """Ctrl-C while it waits for what comes after this text."""
    p = subprocess.Popen([BINARY, "import", "-p", str(port), "--format", form, "-"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        p.stdin.write(text)
        p.stdin.flush()
        wait_for("the import has read everything", lambda: waits_for_input(p))
        p.send_signal(signal.SIGINT)
        code = p.wait(30)
        err = p.stderr.read().decode()
        p.stdin.close()
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    expect((code, err.startswith(imported + " imported"), "interrupted; what was imported stays" in err),
           (130, True, True), "an interrupted import: %r" % err)


def an_interrupted_import(port):
    text = b"".join(b'{"key":"interrupted:%d","value":"x"}\n' % i for i in range(1000))
    interrupt_import(port, "jsonl", text, "1,000")
    expect(run("cli", "-p", str(port), "GET", "interrupted:999")[1], "x\n", "what was read is in")
    interrupt_import(port, "jsonl", b"", "0")
    interrupt_import(port, "jsonl", b'{"key":"whole:1","value":"1"}\n{"key":"cut:1","val', "1")
    interrupt_import(port, "jsonl", b'{"key":"whole:2","value":"2"}\n{"key":"cut:2","value":"2"}', "1")
    interrupt_import(port, "csv", b"whole:3,3\ncut:3,complete-val", "1")
    interrupt_import(port, "csv", b"key,value\nwhole:4,4\ncut:4,\"complete\"", "1")
    expect(run("cli", "-p", str(port), "MGET", *["whole:%d" % i for i in range(1, 5)])[1],
           "1\n2\n3\n4\n", "the records before an interrupted one")
    expect(run("cli", "-p", str(port), "EXISTS", *["cut:%d" % i for i in range(1, 5)])[1], "0\n",
           "records that were interrupted")


def export_to_whoever_stops_reading(port, folder):
    p = subprocess.Popen([BINARY, "export", "-p", str(port)], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    expect(p.stdout.readline()[:8], b'{"key":"', "the first line")
    p.stdout.close()  # as head does
    err = p.stderr.read().decode()
    expect((p.wait(30) != 0, "panic" in err or "Assert" in err), (True, False), "export into a closed pipe")
    code, _, err = run("export", "-p", str(port), folder + "/none/x.jsonl")
    expect((code, "cannot be written: No such file" in err), (1, True), "export to nowhere: %r" % err)
    code, _, err = run("export", "-p", str(port), "--format", "csv", "/dev/full")
    expect((code, "No space left" in err, "not complete" in err), (1, True, True), "a full disk: %r" % err)
    code, _, err = run("export", "--data-dir", folder + "/none", folder + "/x.jsonl")
    expect((code, os.path.exists(folder + "/none")), (1, False), "export of a store that is not there")
    code, out, _ = run("export", "-p", str(port), "--format", "csv", "-")
    expect((code, out.split("\r\n")[0]), (0, "key,value,expires_ms"), "export to -")


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


def without_anybody():
    """What needs no server, and what is said when there is none."""
    expect(run("cli", "-p", "1", "HELP", "GET")[0], 0, "HELP")
    expect(run("cli", "-p", "1", "QUIT"), (0, "Shutting down...\n", ""), "QUIT")
    expect(run("cli", "-p", "1", "GET", "k"),
           (1, "", "Error: 127.0.0.1:1: nobody answers; is the server running?\n"), "GET")
    code, _, err = run("cli", "-h", "x" * 100, "GET", "k")  # longer than a name can be
    expect((code, "nobody answers" in err), (1, False), "a host that is none: %r" % err)
    for words in (("help", "cli"), ("cli", "-h"), ("cli", "--help")):
        expect(run(*words)[1].split("\n")[0], "usage: distkv cli [FLAG]... [COMMAND [ARGUMENT]...]",
               "help by %r" % (words,))
    for words in (("help",), ("help", "help"), ("--help",), ("-h",)):
        expect(run(*words)[1].split("\n")[0], "usage: distkv [COMMAND] [ARGUMENT]...",
               "help by %r" % (words,))
    for name in ("server", "import", "export", "check", "check-history"):
        expect(run("help", name)[1].startswith("usage: distkv " + name), True, "help on " + name)
    expect(run("help", "nonsense")[0], 2, "help on nonsense")


def wrong_words():
    for words, part in ((("server", "--port", "99999"), "port"),
                        (("server", "--nonsense", "1"), "--nonsense"),
                        (("server", "--sync", "sometimes"), "sometimes"),
                        (("server", "--bind", "0.0.0.0"), "password"),
                        (("nonsense",), "nonsense"),
                        (("cli", "-p"), "-p"), (("cli", "--what"), "--what"),
                        (("import",), "file"), (("check",), "directory"),
                        (("check-history",), "which file"), (("check-history", "a", "b"), "unexpected argument b"),
                        (("check-history", "--what", "a"), "unexpected argument --what"),
                        (("check-history", "/nowhere/at/all"), "No such file")):
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


HISTORY = ('{"client":1,"op":"put","key":"k","value":"a","call_ns":0,"return_ns":1,"result":"ok"}\n'
           '{"client":1,"op":"put","key":"k","value":"b","call_ns":2,"return_ns":3,"result":"ok"}\n')
HISTORY_GET = '{"client":2,"op":"get","key":"k","value":"%s","call_ns":4,"return_ns":5,"result":"ok"}\n'
HISTORY_EXPLAINED = """Key "k": no order of its operations explains this one:
  line 3, client 2: get saw "a", from 4 to 5
Before its end, this order explains everything:
  line 1, client 1: put "a", from 0 to 1
  line 2, client 1: put "b", from 2 to 3
In plain words, lost acknowledged write: line 3 found "a", though line 2 had left "b" there, \
acknowledged before it began; and nobody ever found that.
"""


def check_history(folder):
    """The verdict by exit code, by text, and as JSON; from a file and from a pipe."""
    path = os.path.join(folder, "history.jsonl")
    with open(path, "w") as f:
        f.write(HISTORY + HISTORY_GET % "b")
    code, out, err = run("check-history", path)
    expect((code, out.startswith("linearizable: 3 operations, keys: 1, judged in "), "3 operations read" in err),
           (0, True, True), "a linearizable history: %r %r" % (out, err))
    code, out, _ = run("check-history", "-", text=HISTORY + HISTORY_GET % "a")
    expect((code, out.split("\n", 1)[1]), (1, HISTORY_EXPLAINED), "a violation")
    code, out, _ = run("check-history", "--json", "-", text=HISTORY + HISTORY_GET % "a")
    told = json.loads(out)
    expect((code, told.pop("seconds") < 60, told),
           (1, True, {"verdict": "violation", "operations": 3, "keys": 1, "key": "k", "line": 3,
                      "anomaly": "lost acknowledged write", "explanation": HISTORY_EXPLAINED}), "a violation as JSON")
    code, out, err = run("check-history", "-", text=HISTORY + "nonsense\n")
    expect((code, out, "distkv check-history: standard input:3: " in err), (2, "", True), "no history: %r" % err)
    code, out, _ = run("check-history", "--json", "-", text="")
    expect((code, json.loads(out)["verdict"]), (0, "linearizable"), "an empty history")
    code, out, _ = run("check-history", folder)
    expect((code, out), (2, ""), "a folder is no history")


def in_use(server):
    code, _, err = run("server", "--port", "0", "--data-dir", server.data_dir, *SMALL)
    expect((code, "in use" in err), (1, True), "a second process: %r" % err)
    expect(run("check", server.data_dir)[0], 1, "check of a store in use")


def main():
    end_after(110)
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
        without_anybody()
        from_a_file(folder)
        check_history(folder)
        shutil.rmtree(folder)
    finally:
        server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
