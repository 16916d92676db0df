"""Servers under measurement: start them on free loopback ports, talk to them, end them.

Nothing outside the standard library.  Data lies in temporary folders where the program was started.
"""
import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def find_distkv():
    """The program of this build: bench/server/ lies two folders below it."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.environ.get("DISTKV", os.path.join(here, "..", "..", "distkv"))
    if not os.access(path, os.X_OK):
        sys.exit("bench: no distkv at %s; set DISTKV to its path" % path)
    return os.path.abspath(path)


def find_redis(folder):
    """redis-server, or None.  Debian packs it as another name of a program of redis-tools, so a
    link is enough where only that is installed; nothing is installed here."""
    found = shutil.which("redis-server")
    if found:
        return found
    tool = shutil.which("redis-check-rdb")
    if tool is None:
        return None
    link = os.path.join(folder, "redis-server")
    if not os.path.lexists(link):
        os.symlink(tool, link)
    answer = subprocess.run([link, "--version"], capture_output=True, text=True)
    return link if answer.stdout.startswith("Redis server") else None


class Client:
    """Just enough of the Redis protocol."""

    def __init__(self, port, timeout=600):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.input = self.socket.makefile("rb", 1 << 16)

    def close(self):
        self.input.close()
        self.socket.close()

    @staticmethod
    def encode(*words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            if isinstance(word, str):
                word = word.encode()
            parts.append(b"$%d\r\n" % len(word))
            parts.append(word)
            parts.append(b"\r\n")
        return b"".join(parts)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        line = self.input.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode(errors="replace"))
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.input.read(size + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def call(self, *words):
        self.send(self.encode(*words))
        return self.receive()

    def info(self):
        lines = self.call("INFO").decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)


def end(process):
    """Whatever happened to the program: no server of it is left."""
    if process.poll() is None:
        process.kill()
        process.wait()


class Server:
    def __init__(self, name, command, folder):
        self.name = name
        self.folder = folder
        self.command = command
        self.process = None
        self.port = None

    def start(self, wait=True):
        self.port = free_port()
        words = [w.replace("{port}", str(self.port)) for w in self.command]
        self.log = open(os.path.join(self.folder, "output"), "ab")
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log, cwd=self.folder)
        atexit.register(end, self.process)
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds=300):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                break
            try:
                client = Client(self.port)
                if client.call("PING") == b"PONG":
                    client.close()
                    return
                client.close()
            except (OSError, RuntimeError):
                time.sleep(0.005)
        sys.exit("bench: %s does not answer; see %s/output" % (self.name, self.folder))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def cpu_seconds(self):
        """Of all its threads, so far."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """(VmRSS, VmHWM) in bytes."""
        with open("/proc/%d/status" % self.process.pid) as f:
            fields = dict(line.split(":", 1) for line in f)
        return tuple(int(fields[k].split()[0]) * 1024 for k in ("VmRSS", "VmHWM"))


def make_folder(root, name):
    path = os.path.join(root, name)
    os.makedirs(path)
    return path


def start_distkv(root, name, *flags):
    folder = make_folder(root, name.replace(" ", "-"))
    command = [find_distkv(), "server", "--data-dir", "data", "--port", "{port}", "--log-level",
               "warn", *flags]
    server = Server(name, command, folder)
    server.start()
    return server


def start_redis(root, name, *flags):
    program = find_redis(root)
    if program is None:
        return None
    folder = make_folder(root, name.replace(" ", "-"))
    server = Server(name, [program, "--port", "{port}", "--bind", "127.0.0.1", "--save", "",
                           "--appendonly", "yes", *flags], folder)
    server.start()
    return server


def temporary_root():
    return tempfile.TemporaryDirectory(prefix="bench-server-", dir=os.getcwd())


def load(port, count, value_bytes, batch=1000):
    """SET key:000000000000 .. in pipelines; the names that redis-benchmark draws from.  What is
    refused (TIMEOUT, BUSY) is sent again.  Returns how many were."""
    client = Client(port)
    value = b"x" * value_bytes
    refused = 0
    for begin in range(0, count, batch):
        wanted = range(begin, min(begin + batch, count))
        while wanted:
            client.send(b"".join(Client.encode(b"SET", b"key:%012d" % i, value) for i in wanted))
            wanted = [i for i in wanted if not is_accepted(client)]
            refused += len(wanted)
    client.close()
    return refused


def is_accepted(client):
    try:
        client.receive()
        return True
    except RuntimeError as e:
        if str(e).split()[0] not in ("TIMEOUT", "BUSY"):
            raise
        return False


def print_machine(root):
    name = os.uname()
    load1 = os.getloadavg()[0]
    print("machine     %d cores, %s %s, load %.1f before the start"
          % (os.cpu_count(), name.sysname, name.release, load1))
    print("disk        " + sync_times(root))


def sync_times(root, count=300):
    """Times of a 160-byte write with fdatasync into a file that is already there."""
    path = os.path.join(root, "disk-probe")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, bytes(1 << 20))
    os.fdatasync(fd)
    times = []
    for i in range(count):
        begin = time.perf_counter()
        os.pwrite(fd, b"x" * 160, 160 * i)
        os.fdatasync(fd)
        times.append((time.perf_counter() - begin) * 1e6)
    os.close(fd)
    os.unlink(path)
    times.sort()
    return "write and fdatasync: p50 %.0f us, p99 %.0f us" % (times[count // 2],
                                                              times[count * 99 // 100])
