#!/usr/bin/env python3
"""How much windlass can ask, beside the generators people use: the C generator of this folder, redis-benchmark, wrk.

    ./generators.py [--rounds 8] [--secs 2] [--only c,redis,http]

Server on core 0, generator on core 1, closed loop, equal connections and depth, generators taking turns against one
server; per line the median over the rounds of each rate and of the ratio within a round. Needs cargo, cc, taskset;
redis-server and redis-benchmark; nginx and wrk. What is missing is left out, and said.
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CRATE = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("PEERS_TARGET_DIR", os.path.join(tempfile.gettempdir(), "peers-target"))
WINDLASS = os.path.join(TARGET, "release", "windlass")
WARM_S = 0.3


def build(scratch):
    subprocess.run(["cargo", "build", "--release", "--features", "cli", "--bin", "windlass", "--target-dir", TARGET],
                   cwd=CRATE, check=True)
    for name, libraries in [("epoll_echo", []), ("loadgen", ["-lssl", "-lcrypto", "-lm"])]:
        subprocess.run(["cc", "-O2", "-o", f"{scratch}/{name}", f"{HERE}/c/{name}.c", *libraries], check=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_core(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


def serve(command, port):
    process = subprocess.Popen(on_core(0, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            time.sleep(0.02)
    process.kill()
    sys.exit(f"{command[0]} does not listen")


def output(command):
    run = subprocess.run(on_core(1, command), capture_output=True, text=True)
    return run.stdout


def windlass(target, connections, depth, secs, *more):
    text = output([WINDLASS, "load", target, "--rate", "max", "--connections", connections, "--depth", depth,
                   "--duration", f"{secs}s", "--warm-up", f"{WARM_S}s", "--json", *more])
    return json.loads(text)["totals"]["answered_per_s"]


def measure(title, theirs, ours, rounds):
    """Both in turn, the order changing from round to round."""
    pairs = []
    for number in range(rounds):
        order = [("theirs", theirs), ("ours", ours)]
        rates = {name: run() for name, run in (order if number % 2 else reversed(order))}
        pairs.append((rates["theirs"], rates["ours"]))
    medians = [statistics.median(column) for column in zip(*pairs)]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    print(f"{title:<46}{medians[0]:>14.0f}{medians[1]:>14.0f}{ratio:>8.2f}x", flush=True)


def against_c(scratch, options):
    port = free_port()
    server = serve([f"{scratch}/epoll_echo", port], port)
    for connections, depth in [(1, 1), (64, 1), (64, 16)]:
        def theirs():
            text = output([f"{scratch}/loadgen", "echo", "--port", port, "--pid", server.pid, "--conns", connections,
                           "--depth", depth, "--size", 64, "--secs", options.secs, "--warm", WARM_S])
            return json.loads(text.splitlines()[-1])["rate"]

        measure(f"C generator, C echo, {connections} x {depth}, 64 B", theirs,
                lambda: windlass(f"127.0.0.1:{port}", connections, depth, options.secs, "--size", 64), options.rounds)
    server.kill()


def against_redis_benchmark(scratch, options):
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        return print("redis-benchmark: left out, it is not installed")
    port = free_port()
    server = serve(["redis-server", "--port", port, "--save", "", "--appendonly", "no", "--dir", scratch], port)
    target = f"redis://127.0.0.1:{port}"
    windlass(target, 8, 8, 1, "--get-share", 0, "--keys", 10000)  # so that GETs find something
    for connections, depth in [(50, 1), (50, 16)]:
        # As many requests as take about that long, from a first look.
        def bench(requests):
            text = output(["redis-benchmark", "-p", port, "-c", connections, "-P", depth, "-n", requests, "-t", "get",
                           "-r", 10000, "-d", 64, "--csv"])
            return float(re.findall(r'"GET","([0-9.]+)"', text)[0])

        requests = int(bench(50_000) * options.secs)
        measure(f"redis-benchmark, redis-server GET, {connections} x {depth}", lambda: bench(requests),
                lambda: windlass(target, connections, depth, options.secs, "--get-share", 1, "--keys", 10000),
                options.rounds)
    server.terminate()
    server.wait()


NGINX = """
daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
    client_body_temp_path {scratch}/b; proxy_temp_path {scratch}/p; fastcgi_temp_path {scratch}/f;
    uwsgi_temp_path {scratch}/u; scgi_temp_path {scratch}/s;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello\\n"; }} }}
}}
"""


def against_wrk(scratch, options):
    if not shutil.which("nginx") or not shutil.which("wrk"):
        return print("wrk: left out, nginx or wrk is not installed")
    port = free_port()
    with open(f"{scratch}/nginx.conf", "w", encoding="utf-8") as config:
        config.write(NGINX.format(scratch=scratch, port=port))
    server = serve(["nginx", "-c", f"{scratch}/nginx.conf"], port)
    url = f"http://127.0.0.1:{port}/"
    for connections in [1, 64]:
        def theirs():
            text = output(["wrk", "-t", 1, "-c", connections, "-d", f"{max(1, round(options.secs))}s", url])
            return float(re.findall(r"Requests/sec:\s+([0-9.]+)", text)[0])

        measure(f"wrk, nginx, {connections} x 1", theirs, lambda: windlass(url, connections, 1, options.secs),
                options.rounds)
    server.terminate()
    server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--secs", type=float, default=2)
    parser.add_argument("--only", default="c,redis,http")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        build(scratch)
        print(f"{'requests per second':<46}{'theirs':>14}{'windlass':>14}{'ratio':>9}")
        for name, run in [("c", against_c), ("redis", against_redis_benchmark), ("http", against_wrk)]:
            if name in options.only.split(","):
                run(scratch, options)


if __name__ == "__main__":
    main()
