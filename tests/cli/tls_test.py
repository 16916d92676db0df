#!/usr/bin/env python3
"""Nodes that speak TLS with one another: a cluster forms and serves, and who has no certificate stays outside.

usage: tls_test.py BINARY
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import Server, end_after, expect, temporary_folder, wait_for  # noqa: E402

BINARY = sys.argv[1]
SMALL = ["--min-free-bytes", "1mb", "--memtable", "1mb", "--log-segment", "1mb",
         "--memory-budget", "64mb", "--table-bytes", "1mb", "--threads", "1"]


class Authority:
    """A CA of the test's own, and the certificates that it signs; in a folder."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self._run("req", "-x509", *self._new_key(name), "-subj", "/CN=" + name, "-days", "2",
                  "-out", self.path(name + ".pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def _new_key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.path(name + ".key")]

    @staticmethod
    def _run(*words):
        subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def sign(self, name):
        request = self.path(name + ".csr")
        self._run("req", *self._new_key(name), "-subj", "/CN=" + name, "-out", request)
        self._run("x509", "-req", "-in", request, "-CA", self.path(self.name + ".pem"),
                  "-CAkey", self.path(self.name + ".key"), "-CAcreateserial", "-days", "2",
                  "-out", self.path(name + ".pem"))
        return ["--peer-tls-cert", self.path(name + ".pem"), "--peer-tls-key", self.path(name + ".key"),
                "--peer-tls-ca", self.path(self.name + ".pem")]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def node(folder, name, peer_port, join, flags, port=None):
    more = ["--join", "127.0.0.1:%d" % join] if join else []
    port = port or free_ports(1)[0]
    return Server(BINARY, os.path.join(folder, name),
                  ["--node-name", name, "--port", str(port), "--peer-port", str(peer_port),
                   *SMALL, *more, *flags])


def lines_of(server, event):
    return [line for line in server.log().splitlines() if "event=" + event + " " in line]


def wait_for_nodes(server, count, wait_s):
    done = subprocess.run([BINARY, "cluster", "status", "--wait", str(wait_s), "--nodes", str(count),
                           "--port", str(server.port)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=wait_s + 30)
    expect(done.returncode, 0, done.stdout.decode())


# ---------------------------------------------------------------- who is in

def form(folder, ca, servers, peer_ports):
    for i in range(3):
        servers.append(node(folder, "n%d" % i, peer_ports[i], peer_ports[0] if i else None,
                            ca.sign("n%d" % i)))
        servers[-1].start()
    wait_for_nodes(servers[2], 3, 40)
    for s in servers:
        expect(len(lines_of(s, "peer.certificate")), 1, "the line about its certificate")


def serve(servers, first, count):
    writer, reader = servers[1].connect(), servers[2].connect()
    for i in range(first, first + count):
        expect(writer.call("SET", "k%d" % i, "v%d" % i), b"OK", "SET")
    expect([reader.call("GET", "k%d" % i) for i in range(first, first + count)],
           [b"v%d" % i for i in range(first, first + count)], "GET at another node")
    writer.close()
    reader.close()


# ---------------------------------------------------------------- who is not

def is_kept_out(folder, name, servers, peer_ports, flags, says_there, says_here):
    """Each side has one line that says why, however often it tries."""
    stranger = node(folder, name, peer_ports[3], peer_ports[0], flags)
    before = len(lines_of(servers[0], "peer.refused"))
    stranger.start()
    try:
        wait_for("its own line", lambda: lines_of(stranger, "cluster.petition_failed"), 10)
        time.sleep(3)  # it asks every half second
    finally:
        stranger.kill()
    there = lines_of(servers[0], "peer.refused")[before:]
    here = lines_of(stranger, "cluster.petition_failed")
    expect((len(there), len(here)), (1, 1), "%r %r" % (there, here))
    expect((says_there in there[0], says_here in here[0]), (True, True), there[0] + here[0])
    wait_for_nodes(servers[0], 3, 10)


def plain_words(peer_ports):
    """An alert of TLS, and the end."""
    for words in (b"DKVPEER\n" + bytes(64), b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", peer_ports[1]), timeout=10) as s:
            s.sendall(words)
            got = b""
            while chunk := s.recv(100):
                got += chunk
            expect(got, b"\x15\x03\x03\x00\x02\x02\x46", "an alert")


def one_without_tls_is_called(folder, ca):
    """The other way round: a node with certificates asks a cluster that has none."""
    ports = free_ports(2)
    plain = node(folder, "plain", ports[0], None, [])
    asks = node(folder, "asks", ports[1], ports[0], ca.sign("asks"))
    plain.start()
    try:
        asks.start()
        try:
            wait_for("its own line", lambda: lines_of(asks, "cluster.petition_failed"), 10)
            time.sleep(2)
        finally:
            asks.kill()
    finally:
        plain.kill()
    there, here = lines_of(plain, "peer.refused"), lines_of(asks, "cluster.petition_failed")
    expect((len(there), len(here)), (1, 1), "%r %r" % (there, here))
    expect("it speaks TLS, and this node does not" in there[0], True, there[0])
    expect("perhaps it speaks no TLS" in here[0], True, here[0])


# ---------------------------------------------------------------- new certificates

def rotate(ca, servers):
    """SIGHUP: what is wrong changes nothing, what is right counts for connections from then on."""
    s = servers[1]
    cert = ca.path("n1.pem")
    with open(cert) as f:
        good = f.read()
    with open(cert, "w") as f:
        f.write("nonsense\n")
    os.kill(s.process.pid, signal.SIGHUP)
    wait_for("a line about the wrong file", lambda: lines_of(s, "server.reload_failed"), 10)
    expect("peer-tls-cert" in lines_of(s, "server.reload_failed")[0], True, "which file")
    with open(cert, "w") as f:
        f.write(good)
    ca.sign("n1")
    os.kill(s.process.pid, signal.SIGHUP)
    wait_for("the new certificate's line", lambda: len(lines_of(s, "peer.certificate")) == 2, 10)
    expect(len(lines_of(s, "server.reload_failed")), 1, "failures")


def restart(servers):
    """Who comes back is let in, with what it knows already."""
    servers[2].stop()
    servers[2].start()
    wait_for_nodes(servers[0], 3, 40)


def main():
    end_after(110)
    folder = temporary_folder("distkv-tls-")
    servers = []
    peer_ports = free_ports(4)
    try:
        ca, other = Authority(folder, "ca"), Authority(folder, "other")
        form(folder, ca, servers, peer_ports)
        serve(servers, 0, 200)
        is_kept_out(folder, "bare", servers, peer_ports, [], "it speaks no TLS", "it speaks TLS")
        is_kept_out(folder, "foreign", servers, peer_ports, other.sign("foreign"),
                    "it refuses our certificate: unknown CA", "its certificate is refused")
        plain_words(peer_ports)
        one_without_tls_is_called(folder, ca)
        rotate(ca, servers)
        restart(servers)
        serve(servers, 200, 100)
        for s in servers:
            expect([line for line in s.log().splitlines() if "level=error" in line and
                    "event=server.reload_failed" not in line], [], "errors in a log")
        shutil.rmtree(folder)
    finally:
        for s in servers:
            s.kill()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
