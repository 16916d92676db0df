#!/usr/bin/env python3
"""The interactive `distkv cli`, typed at through a pseudo-terminal.

usage: shell_test.py BINARY
"""
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, temporary_folder  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "8mb", "--log-segment", "8mb",
         "--memory-budget", "64mb", "--sync", "never", "--l0-trigger", "64"]
UP, TAB, CTRL_C, CTRL_D, CTRL_U = b"\x1b[A", b"\t", b"\x03", b"\x04", b"\x15"
PROMPT = "distkv> "
COLUMNS = 100
WAIT_S = 20


class Terminal:
    """A program behind a terminal of 100 columns.  What it draws, without the movements."""

    def __init__(self, *argv, home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, {"HOME": home, "TERM": "xterm", "PATH": os.environ["PATH"]})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.drawn = ""
        self.ended = False

    def read(self, wait_s):
        ready, _, _ = select.select([self.fd], [], [], wait_s)
        if not ready:
            return
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # the other side has gone
            data = b""
        self.ended = data == b""
        self.drawn += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode("utf-8", "replace"))

    def sees(self, pattern):
        """Wait until this is drawn, and forget everything up to it."""
        deadline = time.monotonic() + WAIT_S
        while True:
            found = re.search(pattern, self.drawn)
            if found:
                self.drawn = self.drawn[found.end():]
                return found
            if self.ended or time.monotonic() > deadline:
                raise AssertionError("%r is not seen in %r" % (pattern, self.drawn))
            self.read(0.1)

    def types(self, text):
        """When the editor reads keys: it draws the prompt a moment earlier."""
        deadline = time.monotonic() + WAIT_S
        while termios.tcgetattr(self.fd)[3] & termios.ICANON and time.monotonic() < deadline:
            time.sleep(0.001)
        os.write(self.fd, text if isinstance(text, bytes) else text.encode())

    def says(self, line, answer):
        """A line, its answer, and the next prompt."""
        self.types(line + "\r")
        self.sees("\r\n" + answer + "\r\n")
        self.sees(PROMPT)

    def exit_code(self):
        deadline = time.monotonic() + WAIT_S
        while not self.ended and time.monotonic() < deadline:
            self.read(0.1)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def begin(server, home):
    t = Terminal(BINARY, "cli", "-p", str(server.port), home=home)
    t.sees("Type HELP for the commands, TAB to complete, QUIT to leave.")
    t.sees(PROMPT)
    return t


def answers(t, server):
    t.says('PUT user:1 {"name":"Alice","age":30}', "OK")
    t.says("GET user:1", re.escape('{"name":"Alice","age":30}'))
    t.says("GET none", "Error: key not found")
    t.says("GET", "Error: usage: GET key")
    t.says('SET a "b', "Error: unbalanced quotes")
    t.says("DELETE user:1", "Deleted")
    t.says("DELETE user:1", "Error: key not found")
    c = server.connect()
    c.call("SET", "bell", b"\x07\x1b[2J")
    c.close()
    t.says("GET bell", re.escape("\\x07\\x1b[2J"))  # nothing that a terminal obeys


def letters_beyond_ascii(t):
    t.says("PUT schlüssel größe 日本", "OK")
    t.says("GET schlüssel", "größe 日本")
    t.types("ECHO äöü".encode() + CTRL_C)
    t.sees(r"\^C\r\n.*" + PROMPT)
    t.says("ECHO é", "é")


def completion_and_hints(t):
    t.types(b"PU" + TAB)
    t.sees("T +PUT key value")  # at the right edge
    t.types("k completed\r")
    t.sees("OK\r\n" + PROMPT)
    t.says("GET k", "completed")
    t.types(b"persi" + TAB + b"k\r")  # in any case
    t.sees("\r\n0\r\n" + PROMPT)
    t.types(b"GE" + TAB)
    t.sees("T")  # what all of them have in common
    t.types(TAB)
    t.sees("  GET  GETDEL  GETEX  GETRANGE  GETSET\r\n")
    t.sees(PROMPT + "GET")
    t.types(CTRL_U + b"SETEX ")
    t.sees("SETEX key seconds value")
    t.types(TAB)
    t.sees("\r\n  SETEX key seconds value\r\n")
    t.types(CTRL_U + b"SET k v EX 100 GET GET NX ")
    t.sees(r"SET key value \[NX \| XX\].*\.\.\.")  # as much as there is room for
    t.types(CTRL_U + b"\r")
    t.sees("\r\n.*" + PROMPT)


def help_texts(t):
    t.says("HELP GETEX", r"  GETEX +key \[EX s .*\] +show a value, set its expiry")
    t.says("help nosuch", 'Error: no help on "nosuch"')
    t.types("HELP\r")
    t.sees("  PUT +key value")
    t.sees("  WATCH +key")
    t.sees(PROMPT)


def history(t, server, home):
    t.says("ECHO first", "first")
    t.says("ECHO second", "second")
    t.types(UP + UP)
    t.sees("first")
    t.types("\r")
    t.sees("\r\nfirst\r\n" + PROMPT)
    t.types("AUTH secret\r")
    t.sees("Error: ERR AUTH <password> called without any password.*\r\n" + PROMPT)
    t.types("QUIT\r")
    t.sees(r"\r\nShutting down\.\.\.\r\n")
    expect(t.exit_code(), 0, "QUIT's exit code")
    path = home + "/.distkv_history"
    expect(os.stat(path).st_mode & 0o77, 0, "that nobody else may read the history")
    with open(path) as f:
        kept = f.read()
    expect(("first" in kept, "secret" in kept), (True, False), "what is kept")
    t = begin(server, home)
    t.types(UP + UP)
    t.sees("first")
    t.types(CTRL_U)
    return t


def keys_that_interrupt(t, server, home):
    t.types(b"ECHO not this" + CTRL_C)
    t.sees(r"\^C\r\n.*" + PROMPT)
    t.says("ECHO this", "this")
    t.types(CTRL_D)
    t.sees(r"\r\nShutting down\.\.\.\r\n")
    expect(t.exit_code(), 0, "Ctrl-D's exit code")
    return begin(server, home)


def permilles_of_a_compaction(c):
    """Every one that is told, from the first until it is over."""
    seen = []
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        _, running, _, permille = c.call("DISTKV", "COMPACTION")
        if permille > 0:  # 0: it waits its turn, or has just ended
            seen.append(permille)
        elif seen and not running:
            break
    return seen


def load(c):
    for begin_at in range(0, 200000, 1000):
        c.send(*[["SET", "key:%d" % i, "%064d" % i] for i in range(begin_at, begin_at + 1000)])
        for _ in range(1000):
            c.reply()


def compaction(t, server):
    c = server.connect()
    load(c)
    load(c)
    t.types("COMPACT\r")
    seen = permilles_of_a_compaction(c)
    expect((seen, any(100 < p < 900 for p in seen)), (sorted(seen), True), "how far it was")
    t.sees("Compaction started\r\n")
    t.sees(r"\[#+\.+\] +[1-9][0-9]* %  merging, [0-9.]+ s.*\r  tables in: [1-9]")
    t.sees("  keys removed: [1-9][0-9]*\r\n  bytes reclaimed: [0-9]+\r\n  seconds: [0-9.]+\r\n"
           "Compaction complete\r\n" + PROMPT)
    expect(c.call("DISTKV", "COMPACTION"), [b"running", 0, b"permille", 0], "afterwards")
    load(c)
    c.close()
    out = subprocess.run([BINARY, "cli", "-p", str(server.port), "COMPACT"], check=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout.decode()
    expect(re.fullmatch(r"Compaction started\n(  +\d+ %, [0-9.]+ s\n)+  tables in: \d+\n"
                        r"  keys removed: \d+\n  bytes reclaimed: \d+\n  seconds: [0-9.]+\n"
                        r"Compaction complete\n", out) is not None, True, "in a pipe: %r" % out)


def a_lost_connection(t, server):
    port = server.port
    server.kill()
    t.says("GET k", "Error: 127.0.0.1:%d: (the server closed the connection|the connection is broken)"
           ".*" % port)
    t.says("GET k", r"Error: 127.0.0.1:%d: nobody answers; is the server running\?" % port)
    t.says("HELP GET", "  GET +key +show a value")
    server.flags += ["--port", str(port)]
    server.start()
    t.says("GET k", r"Connected again, as a new client: database 0, no transaction\.\r\ncompleted")
    t.says("SHUTDOWN", "The server is shutting down")
    expect(server.process.wait(WAIT_S), 0, "the server's exit code")
    t.types("GET k\r")
    t.sees("nobody answers")
    t.types(CTRL_D)
    t.sees(r"Shutting down\.\.\.")
    expect(t.exit_code(), 1, "the exit code without a connection")


def main():
    end_after(110)
    folder = temporary_folder("distkv-shell-")
    server = Server(BINARY, folder + "/data", SMALL).start()
    try:
        t = begin(server, folder)
        answers(t, server)
        letters_beyond_ascii(t)
        completion_and_hints(t)
        help_texts(t)
        t = history(t, server, folder)
        t = keys_that_interrupt(t, server, folder)
        compaction(t, server)
        a_lost_connection(t, server)
        shutil.rmtree(folder)
    finally:
        server.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
