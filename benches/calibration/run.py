#!/usr/bin/env python3
"""Holds the simulated TCP against the kernel's: benches/calibration/run.py --windlass target/release/windlass

Two network namespaces of its own are joined by two TUN devices, and this script carries the packets between them over a
link with a rate, a queue that drops what does not fit, and a latency. Linux sends with Reno, the congestion control
that the model follows. `windlass sim transfer` plays the same transfers. Needs root and Linux; touches nothing outside
of the namespaces that it makes and removes.
"""

import argparse
import collections
import ctypes
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_HEADER = 0x1001
NAMESPACES = (("windlass-a", "10.9.0.1"), ("windlass-b", "10.9.0.2"))

# The buffers are Linux's defaults, which the model follows; distributions set others.
SETTINGS = (
    "net.ipv4.tcp_congestion_control=reno net.ipv4.tcp_no_metrics_save=1 "
    "'net.ipv4.tcp_rmem=4096 131072 6291456' 'net.ipv4.tcp_wmem=4096 16384 4194304'"
)

# Rate in Mbit/s, one-way latency in ms, transfer in MB, queue in kB. The first is the preset `satellite`.
CASES = [
    (25, 300, 5, 4194), (25, 300, 20, 4194), (100, 25, 1, 4194), (100, 25, 20, 4194), (20, 40, 5, 4194),
    (100, 25, 20, 600), (100, 25, 5, 250), (10, 10, 5, 64),
]

READER = """
import socket, time
listener = socket.create_server(('10.9.0.2', 7000)); print('listening', flush=True)
peer, _ = listener.accept(); count = 0
while data := peer.recv(1 << 20): count += len(data)
print(time.monotonic(), count, flush=True)
"""
WRITER = """
import socket, sys, time
print(time.monotonic(), flush=True)
peer = socket.create_connection(('10.9.0.2', 7000))
peer.sendall(bytes(int(sys.argv[1]))); peer.shutdown(socket.SHUT_WR); peer.recv(1)
"""


class Wire:
    """One direction of the link."""

    def __init__(self, source, sink, rate_bytes_per_s, latency_s, queue_bytes):
        self.source, self.sink = source, sink
        self.rate, self.latency_s, self.queue_bytes = rate_bytes_per_s, latency_s, queue_bytes
        self.free_at, self.under_way, self.dropped = 0.0, collections.deque(), 0

    def take(self, now):
        for _ in range(64):
            try:
                packet = os.read(self.source, 2000)
            except BlockingIOError:
                return
            if max(self.free_at - now, 0) * self.rate + len(packet) > self.queue_bytes:
                self.dropped += 1
                continue
            self.free_at = max(self.free_at, now) + len(packet) / self.rate
            self.under_way.append((self.free_at + self.latency_s, packet))

    def deliver(self, now):
        while self.under_way and self.under_way[0][0] <= now:
            os.write(self.sink, self.under_way.popleft()[1])


def sh(command):
    subprocess.run(command, shell=True, check=True)


def open_tun(namespace):
    """A TUN device in that namespace; its descriptor works here."""
    libc, here = ctypes.CDLL(None, use_errno=True), os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(there, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "entering a network namespace")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14s", b"wire", IFF_TUN_WITHOUT_HEADER, b""))
    libc.setns(here, CLONE_NEWNET)
    os.close(there)
    os.close(here)
    return tun


def carry(wires, ended):
    while not ended.is_set():
        now = time.monotonic()
        due = min((wire.under_way[0][0] for wire in wires if wire.under_way), default=now + 0.05)
        ready, _, _ = select.select([wire.source for wire in wires], [], [], min(max(due - now, 0), 0.05))
        now = time.monotonic()
        for wire in wires:
            if wire.source in ready:
                wire.take(now)
            wire.deliver(now)


def over_the_kernel(rate_mbit, latency_ms, size_mb, queue_kb):
    """Seconds from asking for the connection to the last byte, and how many packets the queues dropped."""
    tuns = []
    try:
        for name, _ in NAMESPACES:
            sh(f"ip netns add {name}")
            tuns.append(open_tun(name))
        for (name, own), (_, other) in (NAMESPACES, NAMESPACES[::-1]):
            sh(f"ip -n {name} addr add {own} peer {other} dev wire")
            sh(f"ip -n {name} link set dev wire mtu 1500 txqueuelen 20000 up")
            sh(f"ip netns exec {name} sysctl -qw {SETTINGS}")
        link = (rate_mbit * 125_000, latency_ms / 1000, queue_kb * 1000)
        wires = [Wire(tuns[0], tuns[1], *link), Wire(tuns[1], tuns[0], *link)]
        ended = threading.Event()
        carrier = threading.Thread(target=carry, args=(wires, ended))
        carrier.start()
        try:
            seconds = transfer(int(size_mb * 1e6))
        finally:
            ended.set()
            carrier.join()
        return seconds, sum(wire.dropped for wire in wires)
    finally:
        for tun in tuns:
            os.close(tun)
        for name, _ in NAMESPACES[: len(tuns)]:
            sh(f"ip netns del {name}")


def transfer(size_bytes):
    inside = [["ip", "netns", "exec", name, sys.executable, "-c"] for name, _ in NAMESPACES]
    reader = subprocess.Popen([*inside[1], READER], stdout=subprocess.PIPE, text=True)
    reader.stdout.readline()
    writer = subprocess.Popen([*inside[0], WRITER, str(size_bytes)], stdout=subprocess.PIPE, text=True)
    began = float(writer.stdout.readline())
    ended, count = reader.stdout.readline().split()
    writer.wait()
    reader.wait()
    assert int(count) == size_bytes, f"{count} bytes came of {size_bytes}"
    return float(ended) - began


def in_the_simulation(windlass, rate_mbit, latency_ms, size_mb, queue_kb):
    played = subprocess.run(
        [windlass, "sim", "transfer", "--json", "--latency", f"{latency_ms}ms..{latency_ms}ms", "--bandwidth",
         f"{rate_mbit}mbit", "--size", f"{size_mb}m", "--queue", f"{queue_kb}k"],
        check=True, capture_output=True, text=True)
    transfers = next(m for m in json.loads(played.stdout)["measures"] if m["name"] == "transfer")
    return transfers["times"]["max_ns"] / 1e9


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--windlass", default="target/release/windlass", help="the command to hold against the kernel")
    arguments.add_argument("--rounds", type=int, default=3, help="transfers over the kernel; the median counts")
    chosen = arguments.parse_args()
    print(" Mbit/s    ms   MB  queue kB  kernel s  dropped  simulated s  ratio")
    for case in CASES:
        runs = sorted(over_the_kernel(*case) for _ in range(chosen.rounds))
        seconds, dropped = runs[len(runs) // 2]
        simulated = in_the_simulation(chosen.windlass, *case)
        rate, latency, size, queue = case
        setup = f"{rate:>7} {latency:>5} {size:>4} {queue:>9}"
        print(f"{setup} {seconds:>9.3f} {dropped:>8} {simulated:>12.3f} {simulated / seconds:>6.3f}", flush=True)


if __name__ == "__main__":
    main()
