"""Start and stop the real binary, and speak to it with a pipelining client.

Used by the crash and conformance tests.  Everything listens on loopback, on
ports that the system chooses, and every process is ended by its own handle.
"""
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time


class Server:
    """One `distkv server` on a data directory; `flags` are added to the command line.

    `descriptors` is its hard limit of open files, if it is not to be ours.
    """

    def __init__(self, binary, data_dir, flags=(), descriptors=None):
        self.binary = binary
        self.data_dir = data_dir
        self.flags = list(flags)
        self.descriptors = descriptors
        self.process = None
        self.port = None
        self.log_path = data_dir + ".log"

    def start(self, wait_s=30.0):
        log = open(self.log_path, "ab")
        offset = log.tell()
        self.process = subprocess.Popen(
            [self.binary, "server", "--data-dir", self.data_dir, "--port", "0", *self.flags],
            stdout=log, stderr=log, preexec_fn=self._limit if self.descriptors else None)
        log.close()
        try:
            self.port = self._await_ready(offset, wait_s)
        except BaseException:  # the caller may have nothing yet that would end it
            self.kill()
            raise
        return self

    def _await_ready(self, offset, wait_s):
        """The port, which the log tells behind `offset`."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            with open(self.log_path, "rb") as f:
                f.seek(offset)
                text = f.read().decode("utf-8", "replace")
            ready = re.search(r"event=server\.ready .*?port=(\d+)", text)
            if ready:
                return int(ready.group(1))
            if self.process.poll() is not None:
                raise RuntimeError("the server ended with %d:\n%s" % (self.process.returncode, text))
            time.sleep(0.005)
        raise RuntimeError("the server was not ready after %.0f s" % wait_s)

    def _limit(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    def _status(self, field):
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise RuntimeError("no %s" % field)

    def resident_mb(self):
        return self._status("VmRSS") / 1024

    def peak_mb(self):
        """The most that was resident since reset_peak(), as the kernel has counted it."""
        return self._status("VmHWM") / 1024

    def reset_peak(self):
        with open("/proc/%d/clear_refs" % self.process.pid, "w") as f:
            f.write("5")

    def open_files(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def kill(self):
        """It does not run afterwards, whether it did before or not."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, wait_s=30.0):
        self.process.terminate()
        return self.process.wait(wait_s)

    def connect(self):
        return Client(self.port)


class Client:
    """The Redis protocol, as bytes: commands are sent at once, replies are read when wanted."""

    def __init__(self, port, connected=None):
        self.socket = connected or socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, *commands):
        out = []
        for command in commands:
            out.append(b"*%d\r\n" % len(command))
            for word in command:
                word = word if isinstance(word, bytes) else str(word).encode()
                out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(out))

    def _line(self):
        while True:
            end = self.buffer.find(b"\r\n")
            if end >= 0:
                line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
                return line
            self._more()

    def _more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("closed by the server")
        self.buffer += data

    def _exactly(self, size):
        if len(self.buffer) < size:
            parts = [self.buffer]
            have = len(self.buffer)
            while have < size:
                data = self.socket.recv(1 << 18)
                if not data:
                    raise ConnectionError("closed by the server")
                parts.append(data)
                have += len(data)
            self.buffer = b"".join(parts)
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def reply(self):
        """bytes, int, None, list; an error reply is an Exception object, returned."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return Exception(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self._exactly(size + 2)[:-2]
        if kind == b"*":
            size = int(rest)
            return None if size < 0 else [self.reply() for _ in range(size)]
        raise ValueError("not a reply: %r" % line[:80])

    def call(self, *command):
        self.send(command)
        return self.reply()


class Witness:
    """A well-behaved client beside the others: every call must be answered, with what is right."""

    def __init__(self, client, pause_s=0.01):
        self.client = client
        self.pause_s = pause_s
        self.over = False
        self.calls = 0
        self.slowest = 0.0
        self.failure = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _call(self, expected, *command):
        began = time.monotonic()
        got = self.client.call(*command)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.calls += 1
        if got != expected:
            raise AssertionError("the witness's %r was answered with %r, not %r"
                                 % (command, got, expected))

    def _run(self):
        try:
            number = 0
            while not self.over:
                self._call(b"OK", b"SET", b"witness", b"%d" % number)
                self._call(b"%d" % number, b"GET", b"witness")
                number += 1
                time.sleep(self.pause_s)
        except Exception as e:  # whatever it is, the test must hear of it
            self.failure = e

    def check(self):
        if self.failure is not None:
            raise self.failure

    def end(self):
        self.over = True
        self.thread.join()
        self.client.close()
        self.check()


def expect(got, want, what):
    if got != want:
        raise AssertionError("%s: got %r, expected %r" % (what, got, want))


def wait_for(what, condition, wait_s=60.0):
    """Until `condition` gives something; what it gave."""
    deadline = time.monotonic() + wait_s
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError("not within %.0f s: %s" % (wait_s, what))
        time.sleep(0.05)


def free_ports(count):
    """Of the system's choice: nodes tell each other theirs, so they have to be chosen beforehand."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def end_after(seconds):
    """A test ends by itself, and its `finally` ends the server, before CTest would kill it; or when
    somebody terminates it."""
    def too_long(_signal, _frame):
        raise AssertionError("the test is not done after %d s" % seconds)

    def terminated(_signal, _frame):
        raise SystemExit(128 + signal.SIGTERM)
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, terminated)
    signal.alarm(seconds)


def temporary_folder(prefix):
    import tempfile
    base = os.environ.get("TEST_DIR") or tempfile.gettempdir()
    return tempfile.mkdtemp(prefix=prefix, dir=base)
