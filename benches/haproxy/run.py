#!/usr/bin/env python3
"""The fault proxy without a toxic beside HAProxy's TCP mode on one thread, in one run.

    benches/haproxy/run.py                     # builds the command, about three minutes
    benches/haproxy/run.py --rounds 60 --secs 0.3
    benches/haproxy/run.py --no-build --windlass target/release/windlass

Both proxies are up all the time, in front of one upstream (`windlass serve`), and one generator (`windlass load`) asks
them in turn, in many short rounds whose order alternates: what else the machine does hits both alike. The proxies have
core 0 to themselves, upstream and generator share core 1. Printed are medians over the rounds, of each proxy and of the
ratio within a round:

  round trip   one connection, 64 B, the next message after the answer: median
  throughput   4 connections, 4 messages of 64 KiB in flight each
  CPU          time of the proxy's process (schedstat) per message, in both

As root it runs in a network namespace of its own, with reno, so that the system's congestion control does not pace
loopback. Needs haproxy, cargo (or --windlass), taskset.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CRATE = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(CRATE, "target")
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
PROXY_CORE, OTHER_CORE = 0, 1
WARM_S = 0.1
ATTEMPTS = 3

CONFIG = """
global
    nbthread 1
    maxconn 2000
    {tuning}
defaults
    mode tcp
    {splicing}
    timeout connect 5s
    timeout client 300s
    timeout server 300s
listen echo
    bind 127.0.0.1:{port}
    server upstream {upstream}
"""

# What is asked: title, flags of the generator, which figure counts, whether less of it is better.
WORKLOADS = [
    ("round trip, 1 x 64 B", ["--connections", 1, "--depth", 1, "--size", 64], "p50_us", "us"),
    ("throughput, 4 x 4 x 64 KiB", ["--connections", 4, "--depth", 4, "--size", 65536], "mb_per_s", "MB/s"),
    ("throughput, 64 x 1 x 1 KiB", ["--connections", 64, "--depth", 1, "--size", 1024], "mb_per_s", "MB/s"),
]


def isolate(options):
    """A session and, as root, a network namespace of its own: loopback only."""
    if os.environ.get("HAPROXY_BENCH_INNER") == "1":
        if os.geteuid() == 0:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            with open("/proc/sys/net/ipv4/tcp_congestion_control", "w", encoding="utf-8") as setting:
                setting.write("reno")
            os.setpriority(os.PRIO_PROCESS, 0, options.nice)
        return
    os.environ["HAPROXY_BENCH_INNER"] = "1"
    command = ["setsid", "-w"] + (["unshare", "-n"] if os.geteuid() == 0 else [])
    os.execvp(command[0], [*command, sys.executable, os.path.abspath(__file__), *sys.argv[1:]])


def on_core(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that listens; the address is what it says, or where it was told to."""

    def __init__(self, core, command, address=None):
        stdout = subprocess.DEVNULL if address else subprocess.PIPE
        self.process = subprocess.Popen(on_core(core, command), stdout=stdout, text=True)
        if not address:
            address = self.process.stdout.readline().strip().removeprefix("listening on ")
        self.address = address
        host, port = address.rsplit(":", 1)
        for _ in range(200):
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit(f"{command[0]} does not listen")

    def cpu_ns(self):
        """Time on a processor of all its threads, to the nanosecond."""
        tasks = f"/proc/{self.process.pid}/task"
        total = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="utf-8") as text:
                total += int(text.read().split()[0])
        return total

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def sample(windlass, server, flags, secs):
    """One measurement; again if the machine was so busy that the generator got nothing done."""
    command = [windlass, "load", server.address, "--rate", "max", "--idle", "block", "--duration", f"{secs}s",
               "--warm-up", f"{WARM_S}s", "--json", "--quiet", *flags]
    for _ in range(ATTEMPTS):
        before = server.cpu_ns()
        run = subprocess.run(on_core(OTHER_CORE, command), capture_output=True, text=True, check=False)
        cpu_ns = server.cpu_ns() - before
        # 4: the generator doubts its own punctuality, which a closed loop does not depend on.
        told = json.loads(run.stdout) if run.returncode in (0, 4) else {"response": {"percentiles": []}}
        percentiles = {at["p"]: at["value_ns"] for at in told["response"]["percentiles"]}
        if 0.5 in percentiles:
            totals = told["totals"]
            # The process' time covers the warm-up as well, at the same rate.
            messages = totals["answered"] * (secs + WARM_S) / secs
            return {"p50_us": percentiles[0.5] / 1e3, "mb_per_s": totals["received_bytes"] / secs / 1e6,
                    "cpu_us": cpu_ns / 1e3 / messages}
    sys.exit(f"the generator got nothing done: {run.stderr}")


def measure(windlass, proxies, workload, options):
    title, flags, figure, unit = workload
    rounds = []
    for number in range(options.rounds):
        names = list(proxies) if number % 2 else list(reversed(proxies))
        rounds.append({name: sample(windlass, proxies[name], flags, options.secs) for name in names})
    for what, key, unit in [(title, figure, unit), ("  CPU per message", "cpu_us", "us")]:
        middle = {name: statistics.median(one[name][key] for one in rounds) for name in proxies}
        ratios = sorted(one["windlass"][key] / one["haproxy"][key] for one in rounds)
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(f"{what:<30}{middle['haproxy']:>12.2f}{middle['windlass']:>12.2f} {unit:<6}"
              f"{statistics.median(ratios):>6.3f}x  (half of the rounds: {low:.3f} to {high:.3f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--secs", type=float, default=0.5)
    parser.add_argument("--nice", type=int, default=-15, help="niceness of everything that is measured (root only)")
    parser.add_argument("--windlass", default=os.path.join(TARGET, "release", "windlass"))
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--tuned", action="store_true", help="HAProxy with buffers of 64 KiB and splicing")
    parser.add_argument("--only", default="", help="workloads whose titles contain this")
    options = parser.parse_args()
    if not HAPROXY:
        sys.exit("haproxy is not installed")
    if not options.no_build and os.environ.get("HAPROXY_BENCH_INNER") != "1":
        subprocess.run(["cargo", "build", "--release", "--features", "cli", "--bin", "windlass"], cwd=CRATE, check=True)
    isolate(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped too
    windlass, servers = os.path.abspath(options.windlass), []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            upstream = Server(OTHER_CORE, [windlass, "serve", "--listen", "127.0.0.1:0"])
            servers.append(upstream)
            port = free_port()
            with open(f"{scratch}/haproxy.cfg", "w", encoding="utf-8") as config:
                tuning, splicing = ("tune.bufsize 65536", "option splice-auto") if options.tuned else ("", "")
                config.write(CONFIG.format(port=port, upstream=upstream.address, tuning=tuning, splicing=splicing))
            haproxy = Server(PROXY_CORE, [HAPROXY, "-db", "-q", "-f", f"{scratch}/haproxy.cfg"], f"127.0.0.1:{port}")
            servers.append(haproxy)
            ours = Server(PROXY_CORE, [windlass, "proxy", "--upstream", upstream.address])
            servers.append(ours)
            version = subprocess.run([HAPROXY, "-v"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
            print(f"{version}\n{options.rounds} rounds of {options.secs} s each, medians\n")
            print(f"{'':<30}{'haproxy':>12}{'windlass':>12}{'':<7}{'ratio':>6}", flush=True)
            for workload in WORKLOADS:
                if options.only in workload[0]:
                    measure(windlass, {"haproxy": haproxy, "windlass": ours}, workload, options)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
