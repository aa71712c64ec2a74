#!/usr/bin/env python3
"""Peers harness: windlass and the echo servers beside it, against one neutral load generator. See README.md."""
import argparse, json, os, platform, re, shlex, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("PEERS_TARGET_DIR") or os.path.join(tempfile.gettempdir(), "peers-target")
CBIN, RBIN = os.path.join(TARGET, "c"), os.path.join(TARGET, "release")
CRATE = os.path.dirname(os.path.dirname(HERE))
WCMD = os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(CRATE, "target"), "release")
WBIN = os.path.join(WCMD, "examples")
CC_UNITS = {"loadgen": ["-lssl", "-lcrypto"], "epoll_echo": [], "openssl_echo": ["-lssl", "-lcrypto"]}
TCP = {
    "epoll-c": "{c}/epoll_echo {port}",
    "epoll-c-512k": "{c}/epoll_echo {port} 512",
    "windlass": "{w}/echo --listen 127.0.0.1:{port} --cores 1",
    "mio-raw": "{r}/mio-raw {port}",
    "tokio-ct": "{r}/tokio-ct {port}",
    "monoio": "{r}/monoio-echo {port} uring",
    "message-io": "{r}/message-io-echo {port}",
}
TLS = {
    "openssl-c": "{c}/openssl_echo {port} {cert} {key}",
    "openssl-c-rb": "{c}/openssl_echo {port} {cert} {key} release",
    "windlass": "{m}/windlass serve --transport tls --listen 127.0.0.1:{port} --cert {cert} --key {key} --drain 1",
    "mio-rustls": "{r}/mio-rustls {port} {cert} {key}",
    "tokio-rustls": "{r}/tokio-rustls-ct {port} {cert} {key}",
}
BASE = {"tcp": "epoll-c", "tls": "openssl-c"}
# key: (kind, title, loadgen arguments). A key ending in "s" runs server and generator on ONE core as SCHED_BATCH:
# they strictly alternate, so every contestant sees the same batches whichever side is faster; there the figure to read
# is CPU per message, not throughput. A key ending in "p" keeps both cores from going idle with niced SCHED_IDLE
# spinners, so that a virtual machine's halt/wake cost (tens of microseconds, and erratic) is out of the latencies.
W = {
    "b": ("tcp", "64 conns, D=1, 64 B", "echo --conns 64 --depth 1 --size 64"),
    "d": ("tcp", "64 conns, D=16, 64 B", "echo --conns 64 --depth 16 --size 64"),
    "e": ("tcp", "8 conns, D=4, 64 KiB (streaming)", "echo --conns 8 --depth 4 --size 65536"),
    "a": ("tcp", "accept + first 1 B echo, 64 in flight", "hs --inflight 64"),
    "f": ("tcp", "5,000 idle conns", "idle --n 5000"),
    "bs": ("tcp", "same core: 64 conns, D=1, 64 B", "echo --conns 64 --depth 1 --size 64"),
    "cs": ("tcp", "same core: 512 conns, D=1, 1 KiB", "echo --conns 512 --depth 1 --size 1024"),
    "es": ("tcp", "same core: 8 conns, D=4, 64 KiB", "echo --conns 8 --depth 4 --size 65536"),
    "as": ("tcp", "same core: accept + first 1 B echo", "hs --inflight 64"),
    "g1": ("tls", "TLS 64 conns, D=1, 1 KiB", "echo --tls --conns 64 --depth 1 --size 1024"),
    "g2": ("tls", "TLS 8 conns, D=4, 16 KiB (streaming)", "echo --tls --conns 8 --depth 4 --size 16384"),
    "g3": ("tls", "TLS full handshakes, 16 in flight", "hs --tls --inflight 16"),
    "g4": ("tls", "TLS resumed handshakes, 16 in flight", "hs --tls --inflight 16 --resume"),
    "g5": ("tls", "2,000 idle TLS conns", "idle --tls --n 2000"),
    "g1s": ("tls", "same core: TLS 64 conns, D=1, 1 KiB", "echo --tls --conns 64 --depth 1 --size 1024"),
    "g2s": ("tls", "same core: TLS 8 conns, D=4, 16 KiB", "echo --tls --conns 8 --depth 4 --size 16384"),
}
SYS = ["epoll_wait", "epoll_pwait", "epoll_ctl", "read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg",
       "sendmsg", "io_uring_enter", "futex", "accept4", "close"]


def log(*a):
    print(*a, file=sys.stderr, flush=True)


def build(cont):
    """The C programs, the windlass example and the rivals: of the last two only what is to run."""
    os.makedirs(CBIN, exist_ok=True)
    for unit, libs in CC_UNITS.items():
        src, out = os.path.join(HERE, "c", unit + ".c"), os.path.join(CBIN, unit)
        deps = [src, os.path.join(HERE, "c", "common.h")]
        if os.path.exists(out) and all(os.path.getmtime(out) >= os.path.getmtime(d) for d in deps):
            continue
        r = subprocess.run(["cc", "-O3", "-Wall", "-Wextra", "-std=gnu11", src, "-o", out] + libs)
        if r.returncode:
            log(f"note: {unit} did not build (missing -dev package?); its contestant will be skipped")
    commands = [cmd for kind in cont.values() for cmd in kind.values()]
    for example in sorted({m for cmd in commands for m in re.findall(r"^{w}/([\w-]+)", cmd)}):
        if subprocess.run(["cargo", "build", "--release", "-q", "--example", example], cwd=CRATE).returncode:
            log(f"note: example {example} did not build; its contestant will be skipped or, worse, be an old one")
    if any(cmd.startswith("{m}/windlass ") for cmd in commands):
        built = subprocess.run(["cargo", "build", "--release", "-q", "--features", "cli", "--bin", "windlass"], cwd=CRATE)
        if built.returncode:
            log("note: the windlass command did not build; its contestant will be skipped or, worse, be an old one")
    packages = [a for m in sorted({m for cmd in commands for m in re.findall(r"^{r}/([\w-]+)", cmd)}) for a in ("-p", m)]
    if packages:
        env = dict(os.environ, CARGO_TARGET_DIR=TARGET)
        subprocess.run(["cargo", "build", "--release", "--keep-going", "-q"] + packages, cwd=HERE, env=env)


def contestants(args, ws):
    """Names and commands by kind, as chosen by the options, for the kinds that the workloads need."""
    cont = {"tcp": dict(TCP), "tls": dict(TLS)}
    for kind, extra in (("tcp", args.extra), ("tls", args.extra_tls)):
        cont[kind].update((name, cmd) for name, _, cmd in (e.partition("=") for e in extra))
    extras = {e.partition("=")[0] for e in args.extra + args.extra_tls}
    only = set(args.only.split(",")) | extras | set(BASE.values()) if args.only else None
    skip = set(filter(None, args.skip.split(",")))
    known = set(cont["tcp"]) | set(cont["tls"])
    unknown = ((only or set()) | skip) - known
    if unknown:
        sys.exit(f"no such contestant: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    kinds = {W[w][0] for w in ws}
    return {kind: {n: c for n, c in group.items() if (only is None or n in only) and n not in skip}
            for kind, group in cont.items() if kind in kinds}


def isolate(args):
    """Own session (own scheduler autogroup), own network namespace: loopback only, known TCP settings."""
    if os.environ.get("PEERS_INNER") == "1":
        if os.geteuid() == 0:
            try:
                with open("/proc/self/autogroup", "w") as f:
                    f.write(str(args.nice))
            except OSError:
                os.setpriority(os.PRIO_PROCESS, 0, args.nice)
            if not args.no_netns:
                subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
                for k, v in (("tcp_congestion_control", args.cc), ("tcp_tw_reuse", "1"), ("ip_local_port_range", "20000 65000")):
                    with open("/proc/sys/net/ipv4/" + k, "w") as f:
                        f.write(v)
        return
    os.environ["PEERS_INNER"] = "1"
    cmd = ["setsid", "-w"]
    if os.geteuid() == 0 and not args.no_netns:
        cmd += ["unshare", "-n"]
    os.execvp(cmd[0], cmd + [sys.executable, os.path.abspath(__file__)] + sys.argv[1:])


def cert(tmp):
    c, k = os.path.join(tmp, "cert.pem"), os.path.join(tmp, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", k, "-out", c],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return c, k


def pin(core, batch):
    os.sched_setaffinity(0, {core})
    if batch:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Server:
    port = 11000

    def __init__(self, cmd, pem, core, batch=False):
        Server.port = 11000 + (Server.port - 11000 + 1) % 8000
        self.port = Server.port
        argv = [w.format(port=self.port, cert=pem[0], key=pem[1], c=CBIN, r=RBIN, w=WBIN, m=WCMD) for w in shlex.split(cmd)]
        self.p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  preexec_fn=lambda: pin(core, batch))
        self.pid, self.core = self.p.pid, core

    def wait(self):
        end = time.time() + 8
        while time.time() < end:
            if self.p.poll() is not None:
                raise RuntimeError("exited: " + self.p.stderr.read().decode(errors="replace").strip()[-300:])
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                time.sleep(0.03)
                break
            except OSError:
                time.sleep(0.02)
        else:
            raise RuntimeError("did not listen in time")
        for task in os.listdir(f"/proc/{self.pid}/task"):
            if os.sched_getaffinity(int(task)) != {self.core}:
                raise RuntimeError(f"a thread left core {self.core}, which it was given: the figures would not compare")
        return self

    def stop(self):
        if self.p.poll() is None:
            self.p.terminate()
            try:
                self.p.wait(2)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.p.stderr.close()


def loadgen(srv, wargs, args, secs, warm, prefix=(), core=None, batch=False):
    cmd = list(prefix) + ["taskset", "-c", str(args.gen_core if core is None else core), os.path.join(CBIN, "loadgen")] + wargs.split() + \
        ["--port", str(srv.port), "--pid", str(srv.pid), "--secs", str(secs), "--warm", str(warm)]
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                       preexec_fn=(lambda: pin(core, True)) if batch else None)
    lines = [l for l in r.stdout.decode().splitlines() if l.startswith("{")]
    if not lines:
        raise RuntimeError(f"loadgen rc={r.returncode} {r.stderr.decode()[-200:]}")
    d = json.loads(lines[-1])
    d["rc"], d["stderr"] = r.returncode, r.stderr.decode()
    return d


def spinner(core):
    """One process (no children), in a scheduler group of its own with the lowest weight; it ends by itself too."""
    def setup():
        os.setsid()
        try:
            with open("/proc/self/autogroup", "w") as f:
                f.write("19")
        except OSError:
            pass
        os.sched_setaffinity(0, {core})
        os.nice(40)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return subprocess.Popen([os.path.join(CBIN, "loadgen"), "spin"], preexec_fn=setup)


def busy():
    v = [int(x) for x in open("/proc/stat").readline().split()[1:9]]
    return sum(v) - v[1] - v[3] - v[4], sum(v)


def quiet_wait(args):
    """Gives a busy machine a little time to become quiet; never longer than --wait-quiet seconds."""
    end = time.time() + args.wait_quiet
    while time.time() < end:
        b0, t0 = busy()
        time.sleep(0.1)
        b1, t1 = busy()
        if (b1 - b0) * 100 <= args.max_foreign * max(1, t1 - t0):
            return


def sample(cmd, wkey, args, pem):
    same = wkey.endswith("s")
    core = args.gen_core if same else args.srv_core
    quiet_wait(args)
    spin = [spinner(c) for c in (args.srv_core, args.gen_core)] if wkey.endswith("p") else []
    srv = Server(cmd, pem, core, same)
    try:
        srv.wait()
        d = loadgen(srv, W[wkey][2], args, args.secs, args.warm, core=core if same else None, batch=same)
        if same:  # what matters here is the one core: the part of it that went to others
            d["foreign_pct"] = round(max(0, 1 - d["srv_util"] - d["gen_util"]) * 100, 1)
        return d
    finally:
        srv.stop()
        for s in spin:
            s.kill()
            s.wait()


def syscalls(cmd, wkey, args, pem):
    """perf tracepoint counts (hardly perturbs) and an strace -c -f summary (perturbs a lot)."""
    out = {}
    if shutil.which("perf"):
        srv = Server(cmd, pem, args.srv_core)
        try:
            srv.wait()
            ev = "raw_syscalls:sys_enter," + ",".join("syscalls:sys_enter_" + s for s in SYS)
            d = loadgen(srv, W[wkey][2], args, 1.0, 0, ["perf", "stat", "-x,", "-e", ev, "-p", str(srv.pid), "--"])
            for l in d["stderr"].splitlines():
                f = l.split(",")
                if len(f) > 3 and f[0].isdigit():
                    out[f[2].split(":")[-1].replace("sys_enter_", "")] = int(f[0]) / max(1, d["msgs"])
            out["msgs"] = d["msgs"]
        except Exception as e:
            log("perf:", e)
        finally:
            srv.stop()
    if shutil.which("strace") and not args.no_strace:
        srv = Server(cmd, pem, args.srv_core)
        try:
            srv.wait()
            with tempfile.NamedTemporaryFile("r", suffix=".strace") as t:
                st = subprocess.Popen(["strace", "-c", "-f", "-o", t.name, "-p", str(srv.pid)], stderr=subprocess.DEVNULL)
                time.sleep(0.4)
                d = loadgen(srv, W[wkey][2], args, 1.0, 0)
                st.send_signal(signal.SIGINT)
                st.wait(10)
                tot, parts = 0, {}
                for l in t.read().splitlines():
                    m = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?(\w+)$", l)
                    if m and m.group(3) != "total":
                        parts[m.group(3)] = int(m.group(1)) / max(1, d["msgs"])
                        tot += int(m.group(1))
                out["strace"] = {"total": tot / max(1, d["msgs"]), "parts": {k: v for k, v in sorted(parts.items(), key=lambda x: -x[1]) if v >= 0.005}}
        except Exception as e:
            log("strace:", e)
        finally:
            srv.stop()
    return out


def med(v):
    v = [x for x in v if x is not None]
    return statistics.median(v) if v else float("nan")


def fmt(x, n=2):
    if x != x:
        return "-"
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    if abs(x) >= 100:
        return f"{x:.0f}"
    return f"{x:.{n}f}"


def usable(rows, wkey, args):
    """Samples per contestant; noisy ones are dropped where at least two quiet ones remain."""
    out = {}
    for r in rows:
        if r["w"] == wkey and "rate" in r:
            out.setdefault(r["who"], []).append(r)
    for who, v in out.items():
        quiet = [r for r in v if W[wkey][2].startswith("idle") or r["foreign_pct"] <= args.max_foreign]
        out[who] = quiet if len(quiet) >= 2 else sorted(v, key=lambda r: r["foreign_pct"])[:max(2, (len(v) + 1) // 2)]
    return out


def report(rows, args):
    o, key = [], {}
    for wkey in W:
        s = usable(rows, wkey, args)
        if not s:
            continue
        kind, title, wargs = W[wkey]
        base = BASE[kind]
        bround = {r["round"]: r for r in rows if r["w"] == wkey and r["who"] == base and "rate" in r}
        o.append(f"\n### ({wkey}) {title}\n")
        if wargs.startswith("idle"):
            o.append("| contestant | RSS/conn after 1 B echo | RSS/conn after 16 KiB echo | server RSS before | accepts/s | CPU us/accept | samples |\n|---|--:|--:|--:|--:|--:|--:|")
        elif wargs.startswith("hs"):
            o.append("| contestant | conn/s | x base | CPU us/conn | x base | user us | sys us | p50 us | p99 us | srv util | gen util | resumed | foreign % | samples |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        else:
            o.append("| contestant | msg/s | x base | MB/s | CPU us/msg | x base | user us | sys us | p50 us | p99 us | p99.9 us | srv util | gen util | switches/msg | foreign % | samples |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        order = dict.fromkeys([*TCP, *TLS, *s])
        for who in [w for w in order if w in s]:
            v = s[who]
            bcpu, brate = med([r["cpu_us"] for r in s.get(base, [])]), med([r["rate"] for r in s.get(base, [])])

            def ratio(f, fallback):
                x = [r[f] / bround[r["round"]][f] for r in v if r["round"] in bround and bround[r["round"]][f]]
                return med(x) if x else med([r[f] for r in v]) / fallback
            xr, xc = ratio("rate", brate), ratio("cpu_us", bcpu)
            m = lambda f: med([r.get(f) for r in v])
            n = sum(r["msgs"] for r in v)
            usr = sum(r["usr_us"] * r["msgs"] for r in v) / max(1, n)  # pooled: the tick-based split is coarse per sample
            tot = sum(r["cpu_us"] * r["msgs"] for r in v) / max(1, n)
            u = m("cpu_us") * usr / tot if tot else 0
            bad = " (!)" if any(r["rc"] for r in v) else ""
            if wargs.startswith("idle"):
                o.append(f"| {who}{bad} | {fmt(m('per_conn'), 0)} B | {fmt(m('per_conn16'), 0)} B | {fmt(m('rss0_kb'), 0)} KiB | {fmt(m('rate'))} | {fmt(m('cpu_us'))} | {len(v)} |")
                key.setdefault(who, {})[wkey] = f"{fmt(m('per_conn'), 0)} B"
            elif wargs.startswith("hs"):
                o.append(f"| {who}{bad} | {fmt(m('rate'))} | {fmt(xr)} | {fmt(m('cpu_us'))} | {fmt(xc)} | {fmt(u)} | {fmt(m('cpu_us') - u)} | {fmt(m('p50'))} | {fmt(m('p99'))} | {fmt(m('srv_util'))} | {fmt(m('gen_util'))} | {fmt(med([r['reused'] / max(1, r['handshakes']) for r in v]))} | {fmt(m('foreign_pct'), 0)} | {len(v)} |")
                key.setdefault(who, {})[wkey] = f"{fmt(xr)} / {fmt(xc)}"
            else:
                o.append(f"| {who}{bad} | {fmt(m('rate'))} | {fmt(xr)} | {fmt(m('mbps'))} | {fmt(m('cpu_us'), 3)} | {fmt(xc)} | {fmt(u, 3)} | {fmt(m('cpu_us') - u, 3)} | {fmt(m('p50'))} | {fmt(m('p99'))} | {fmt(m('p999'))} | {fmt(m('srv_util'))} | {fmt(m('gen_util'))} | {fmt(m('switches_per_msg'), 4)} | {fmt(m('foreign_pct'), 0)} | {len(v)} |")
                key.setdefault(who, {})[wkey] = f"{fmt(xr)} / {fmt(xc)}"
        info = {r["tls"] for r in rows if r["w"] == wkey and r.get("tls")}
        if info:
            o.append(f"\nNegotiated: {', '.join(sorted(info))}")
    sysrows = [r for r in rows if "sys" in r]
    for wkey in W:
        sel = {}
        for r in sysrows:
            if r["w"] == wkey:
                sel[r["who"]] = r["sys"]
        if not sel:
            continue
        o.append(f"\n### Syscalls per message, ({wkey}) {W[wkey][1]}\n\n| contestant | all (perf tracepoint) | breakdown | all (strace -c -f, perturbed) | breakdown |\n|---|--:|---|--:|---|")
        for who, d in sel.items():
            p = ", ".join(f"{k} {v:.3f}" for k, v in sorted(d.items(), key=lambda x: -x[1] if isinstance(x[1], float) else 0)
                          if k not in ("raw_syscalls", "sys_enter", "msgs", "strace") and isinstance(v, (int, float)) and v >= 0.002)
            st = d.get("strace", {})
            o.append(f"| {who} | {d.get('sys_enter', float('nan')):.3f} | {p} | {st.get('total', float('nan')):.3f} | {', '.join(f'{k} {v:.3f}' for k, v in st.get('parts', {}).items())} |")
    for kind in ("tcp", "tls"):
        ws = [w for w in W if W[w][0] == kind and any(w in v for v in key.values())]
        if ws:
            o.append(f"\n### Key table, {kind}: throughput ratio / CPU-per-message ratio to {BASE[kind]} (idle: RSS per conn)\n\n| contestant | " + " | ".join(f"({w}) {W[w][1]}" for w in ws) + " |\n|---|" + "--:|" * len(ws))
            for who, v in key.items():
                if any(w in v for w in ws):
                    o.append(f"| {who} | " + " | ".join(v.get(w, "-") for w in ws) + " |")
    return "\n".join(o)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--only", help="comma-separated contestants (the baseline of each kind is always added)")
    ap.add_argument("--base", default=BASE["tcp"], help="the TCP contestant that ratios are taken to")
    ap.add_argument("--skip", default="", help="comma-separated contestants to leave out")
    ap.add_argument("--workload", help="comma-separated workload keys: " + ",".join(W))
    ap.add_argument("--extra", action="append", default=[], metavar="NAME=CMD", help="extra TCP contestant; {port} is replaced")
    ap.add_argument("--extra-tls", action="append", default=[], metavar="NAME=CMD", help="extra TLS contestant; {port} {cert} {key} are replaced")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--secs", type=float, default=2.0)
    ap.add_argument("--warm", type=float, default=0.3)
    ap.add_argument("--srv-core", type=int, default=0)
    ap.add_argument("--gen-core", type=int, default=1)
    ap.add_argument("--nice", type=int, default=-15, help="niceness of the harness's own session (root only)")
    ap.add_argument("--cc", default="reno", help="congestion control inside the namespace")
    ap.add_argument("--no-netns", action="store_true")
    ap.add_argument("--no-build", action="store_true")
    ap.add_argument("--syscalls", action="store_true", help="count syscalls per message instead of timing")
    ap.add_argument("--no-strace", action="store_true")
    ap.add_argument("--max-foreign", type=float, default=8, help="percent of both cores others may use before a sample counts as noisy")
    ap.add_argument("--retries", type=int, default=1, help="extra attempts for a noisy sample")
    ap.add_argument("--wait-quiet", type=float, default=1.0, help="seconds to wait for a quiet machine before a sample")
    ap.add_argument("--budget", type=float, default=1800, help="stop starting samples after this many seconds")
    ap.add_argument("--raw", default=os.path.join(HERE, "results", "raw.jsonl"), help="samples are appended here")
    ap.add_argument("--report", action="store_true", help="only print the tables of --raw")
    args = ap.parse_args()
    BASE["tcp"] = args.base
    if args.report:
        print(report([json.loads(l) for l in open(args.raw)], args))
        return
    ws = args.workload.split(",") if args.workload else (["b", "d", "e", "g1", "g2"] if args.syscalls else list(W))
    if set(ws) - set(W):
        sys.exit(f"no such workload: {', '.join(sorted(set(ws) - set(W)))}; there are {', '.join(W)}")
    cont = contestants(args, ws)
    if not args.no_build and os.environ.get("PEERS_INNER") != "1":
        build(cont)
    isolate(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server of the moment is stopped too
    os.makedirs(os.path.dirname(args.raw), exist_ok=True)
    stamp, rows, t0, dead = time.strftime("%Y%m%dT%H%M%S"), [], time.time(), {}
    with tempfile.TemporaryDirectory(prefix="peers-") as tmp, open(args.raw, "a") as raw:
        pem = cert(tmp)

        def keep(r):
            rows.append(r)
            raw.write(json.dumps(r) + "\n")
            raw.flush()
        for rnd in range(1 if args.syscalls else args.rounds):
            for w in ws:
                names = [n for n in cont[W[w][0]] if n not in dead]
                k = rnd % max(1, len(names))
                for who in names[k:] + names[:k]:
                    if time.time() - t0 > args.budget:
                        log("budget spent")
                        break
                    tag = {"who": who, "w": w, "round": f"{stamp}/{rnd}", "cc": args.cc}
                    try:
                        if args.syscalls:
                            d = syscalls(cont[W[w][0]][who], w, args, pem)
                            keep(dict(tag, sys=d))
                            log(f"{w} {who:14s} {d.get('sys_enter', float('nan')):.3f} syscalls/msg")
                            continue
                        best = None
                        for _ in range(1 + args.retries):
                            d = sample(cont[W[w][0]][who], w, args, pem)
                            d.pop("stderr", None)
                            if best is None or d["foreign_pct"] < best["foreign_pct"]:
                                best = d
                            if W[w][2].startswith("idle") or d["foreign_pct"] <= args.max_foreign:
                                break
                        keep(dict(tag, **best))
                        log(f"r{rnd} {w:2s} {who:14s} {best['rate']:>11,.0f}/s {best['cpu_us']:8.3f} us/msg p99 {best.get('p99', 0):9.1f} foreign {best['foreign_pct']:5.1f} rc {best['rc']}")
                    except Exception as e:
                        log(f"r{rnd} {w} {who}: {e}")
                        keep(dict(tag, error=str(e)[-300:]))
                        if "No such file" in str(e):
                            dead[who] = True
    print(report(rows, args))


if __name__ == "__main__":
    main()
