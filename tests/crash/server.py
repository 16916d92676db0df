"""Start and stop the real binary, and speak to it with a pipelining client.

Used by the crash and conformance tests.  Everything listens on loopback, on
ports that the system chooses, and every process is ended by its own handle.
"""
import os
import re
import socket
import subprocess
import time


class Server:
    """One `distkv server` on a data directory; `flags` are added to the command line."""

    def __init__(self, binary, data_dir, flags=()):
        self.binary = binary
        self.data_dir = data_dir
        self.flags = list(flags)
        self.process = None
        self.port = None
        self.log_path = data_dir + ".log"

    def start(self, wait_s=30.0):
        log = open(self.log_path, "ab")
        offset = log.tell()
        self.process = subprocess.Popen(
            [self.binary, "server", "--data-dir", self.data_dir, "--port", "0", *self.flags],
            stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            with open(self.log_path, "rb") as f:
                f.seek(offset)
                text = f.read().decode("utf-8", "replace")
            ready = re.search(r"event=server\.ready .*?port=(\d+)", text)
            if ready:
                self.port = int(ready.group(1))
                return self
            if self.process.poll() is not None:
                raise RuntimeError("the server ended with %d:\n%s" % (self.process.returncode, text))
            time.sleep(0.005)
        raise RuntimeError("the server was not ready after %.0f s" % wait_s)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, wait_s=30.0):
        self.process.terminate()
        return self.process.wait(wait_s)

    def connect(self):
        return Client(self.port)


class Client:
    """The Redis protocol, as bytes: commands are sent at once, replies are read when wanted."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
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


def temporary_folder(prefix):
    import tempfile
    base = os.environ.get("TEST_DIR") or tempfile.gettempdir()
    return tempfile.mkdtemp(prefix=prefix, dir=base)
