// Neutral load generator for the peers harness: bare epoll, optional TLS 1.3 (OpenSSL), one thread.
//   loadgen echo|open|hs|idle|spin --port P [--pid SERVER_PID] [--tls] [--conns C] [--depth D] [--size S]
//           [--secs T] [--warm W] [--rate R] [--inflight K] [--n N] [--resume] [--msgs M]
// echo: closed loop, D messages in flight per connection. open: fixed total rate R, latency is taken from
// the intended send time (no coordinated omission). hs: connect (+ TLS handshake) + 1 byte echo + close.
// idle: open N connections, 1 byte echo each, hold; server RSS before/after, then after a 16 KiB echo each.
// spin: burns its core (an anti-idle helper), at most 100 s.
// One JSON object on stdout. Received bytes are verified during warm-up (and always in hs/idle).
#include "common.h"
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/prctl.h>
#include <time.h>

#define CHUNK (256 * 1024)
#define PATLEN 65521
#define TSQ 4096 // open loop: messages that may be outstanding per connection

typedef struct conn {
    int fd, slot, st, want_out;
    SSL *ssl;
    uint64_t tx, rx, tosend;   // stream offsets, bytes owed to the peer
    uint64_t issued, done;     // messages
    uint64_t *ts;              // intended/actual send times, ring
    uint32_t tsmask;
    uint64_t t0;
} conn;

static char pat[PATLEN + CHUNK], rbuf[CHUNK];
static int port, pid, tls, conns = 1, depth = 1, inflight = 64, nconn = 1000, resume_;
static size_t size = 64;
static double secs = 2, warm = 0.3, rate = 10000;
static uint64_t maxmsgs;
static int ep;
static SSL_CTX *ctx;
static int verify = 1;
static uint64_t bad, errors, reused, handshakes;

static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }

// ---- histogram: log-linear, 128 sub-buckets per octave (error < 0.8 %)
static uint64_t hist[64 * 128], hcount, hmax, hsum;
static void rec(uint64_t v) {
    unsigned i;
    if (v < 128) i = v;
    else { int s = 56 - __builtin_clzll(v); i = (s + 1) * 128 + ((v >> s) - 128); }
    hist[i]++; hcount++; hsum += v;
    if (v > hmax) hmax = v;
}
static double pct(double p) {
    if (!hcount) return 0;
    uint64_t want = (uint64_t)(p / 100 * hcount + 0.5), c = 0;
    if (want < 1) want = 1;
    for (unsigned i = 0; i < 64 * 128; i++) {
        c += hist[i];
        if (c >= want) {
            if (i < 128) return i / 1e3;
            unsigned s = i / 128 - 1;
            return (double)((((uint64_t)(i % 128) + 128) << s) + ((1ull << s) >> 1)) / 1e3;
        }
    }
    return hmax / 1e3;
}
static void hreset(void) { memset(hist, 0, sizeof hist); hcount = hmax = hsum = 0; }

// ---- server accounting
typedef struct { double cpu, ut, st; uint64_t cs; } usage; // seconds; exact total (schedstat), tick-split user/system
static usage server(void) {
    usage u = {0};
    if (!pid) return u;
    char p[300], b[4096];
    snprintf(p, sizeof p, "/proc/%d/stat", pid);
    FILE *f = fopen(p, "r");
    if (f) {
        if (fgets(b, sizeof b, f)) {
            unsigned long ut = 0, st = 0;
            char *q = strrchr(b, ')');
            if (q) sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st);
            double hz = sysconf(_SC_CLK_TCK);
            u.ut = ut / hz; u.st = st / hz;
        }
        fclose(f);
    }
    snprintf(p, sizeof p, "/proc/%d/task", pid);
    DIR *d = opendir(p);
    if (!d) return u;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(p, sizeof p, "/proc/%d/task/%.20s/schedstat", pid, e->d_name);
        if ((f = fopen(p, "r"))) {
            unsigned long long ns = 0, w = 0, k = 0;
            if (fscanf(f, "%llu %llu %llu", &ns, &w, &k) == 3) { u.cpu += ns / 1e9; u.cs += k; }
            fclose(f);
        }
    }
    closedir(d);
    return u;
}
static long rss_kb(void) {
    char p[64], b[256];
    long v = -1;
    snprintf(p, sizeof p, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(p, "r");
    if (!f) { snprintf(p, sizeof p, "/proc/%d/status", pid); f = fopen(p, "r"); }
    if (!f) return -1;
    while (fgets(b, sizeof b, f))
        if (sscanf(b, "Rss: %ld", &v) == 1 || sscanf(b, "VmRSS: %ld", &v) == 1) break;
    fclose(f);
    return v;
}
static double self_cpu(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static double machine_busy(void) { // seconds, all cores; idle, iowait and niced (our own spinners) excluded
    FILE *f = fopen("/proc/stat", "r");
    unsigned long long v[8] = {0};
    if (f) {
        if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) != 8) v[0] = 0;
        fclose(f);
    }
    return (double)(v[0] + v[2] + v[5] + v[6] + v[7]) / sysconf(_SC_CLK_TCK);
}

// ---- TLS
static SSL_SESSION **sess;
static int new_session(SSL *s, SSL_SESSION *ss) {
    conn *c = SSL_get_app_data(s);
    if (!sess || !c) return 0;
    if (sess[c->slot]) SSL_SESSION_free(sess[c->slot]);
    sess[c->slot] = ss;
    return 1; // we keep the reference
}
static void tls_init(void) {
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(ctx, "X25519");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); // the CertificateVerify signature is still checked
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, new_session);
}

// ---- IO: >0 bytes, 0 would block, -1 finished
static ssize_t io_read(conn *c, char *b, size_t n) {
    if (!c->ssl) {
        ssize_t k = recv(c->fd, b, n, 0);
        if (k > 0) return k;
        return k < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    int k = SSL_read(c->ssl, b, n);
    if (k > 0) return k;
    int e = SSL_get_error(c->ssl, k);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}
static ssize_t io_write(conn *c, const char *b, size_t n) {
    if (!c->ssl) {
        ssize_t k = send(c->fd, b, n, MSG_NOSIGNAL);
        if (k > 0) return k;
        return k < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    int k = SSL_write(c->ssl, b, n);
    if (k > 0) return k;
    int e = SSL_get_error(c->ssl, k);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}
static int flush_(conn *c) {
    while (c->tosend) {
        size_t n = c->tosend < CHUNK ? c->tosend : CHUNK;
        ssize_t k = io_write(c, pat + c->tx % PATLEN, n);
        if (k < 0) return -1;
        if (k == 0) return 0;
        c->tx += k; c->tosend -= k;
    }
    return 0;
}
static struct sockaddr_in dst;
static int many_sources; // tens of thousands of closes per second leave more TIME_WAIT than one address has ports
static void spread_source(int fd) {
    static uint32_t next;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002u + next++ % 32)};
    int one = 1; // the port is chosen by connect, which knows the whole four-tuple
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) die("bind");
}
static int dial(conn *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    nodelay(c->fd);
    if (many_sources) spread_source(c->fd);
    c->tx = c->rx = c->tosend = c->issued = c->done = 0;
    c->st = 0;
    if (connect(c->fd, (struct sockaddr *)&dst, sizeof dst) && errno != EINPROGRESS) { close(c->fd); return -1; }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl");
    return 0;
}
static int connected(conn *c) { // 1 up, 0 not yet, -1 failed; performs the handshake
    if (c->st == 0) {
        int err = 0; socklen_t l = sizeof err;
        struct sockaddr_in a; socklen_t al = sizeof a;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
        if (err) return -1;
        if (getpeername(c->fd, (struct sockaddr *)&a, &al)) return 0;
        c->st = tls ? 1 : 2;
        if (tls) {
            c->ssl = SSL_new(ctx);
            SSL_set_app_data(c->ssl, c);
            SSL_set_fd(c->ssl, c->fd);
            SSL_set_connect_state(c->ssl);
            if (resume_ && sess && sess[c->slot]) SSL_set_session(c->ssl, sess[c->slot]);
        }
    }
    if (c->st == 1) {
        ERR_clear_error();
        int r = SSL_connect(c->ssl);
        if (r != 1) { int e = SSL_get_error(c->ssl, r); return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1; }
        handshakes++;
        if (SSL_session_reused(c->ssl)) reused++;
        c->st = 2;
    }
    return 1;
}
static char tlsinfo[200] = "";
static void describe(conn *c) {
    if (!c->ssl || *tlsinfo) return;
    int bits = 0;
    EVP_PKEY *k = NULL;
    const char *kx = "?";
    if (SSL_get_peer_tmp_key(c->ssl, &k) == 1) { kx = EVP_PKEY_get0_type_name(k); bits = EVP_PKEY_get_bits(k); }
    snprintf(tlsinfo, sizeof tlsinfo, "%s %s %s/%d", SSL_get_version(c->ssl), SSL_get_cipher(c->ssl), kx ? kx : "?", bits);
    EVP_PKEY_free(k);
}

static void head(const char *mode) { printf("{\"mode\":\"%s\",\"tls\":\"%s\"", mode, tlsinfo); }
static void tail(void) { printf(",\"errors\":%lu,\"bad\":%lu}\n", errors, bad); fflush(stdout); }
static void cpu_fields(usage a, usage b, double n, double c0, double m0, double dt) {
    double cpu = b.cpu - a.cpu, ut = b.ut - a.ut, st = b.st - a.st, sum = ut + st;
    double fu = sum > 0 ? ut / sum : 0, me = self_cpu() - c0, mach = machine_busy() - m0;
    double foreign = (mach - cpu - me) / (dt * 2) * 100;
    printf(",\"cpu_us\":%.4f,\"usr_us\":%.4f,\"sys_us\":%.4f,\"srv_util\":%.3f,\"gen_util\":%.3f,\"foreign_pct\":%.1f,\"switches_per_msg\":%.4f",
           cpu / n * 1e6, cpu * fu / n * 1e6, cpu * (1 - fu) / n * 1e6, cpu / dt, me / dt, foreign < 0 ? 0 : foreign, (double)(b.cs - a.cs) / n);
}

static void run_echo(int open_loop) {
    conn *cs = calloc(conns, sizeof *cs);
    struct epoll_event evs[1024];
    int up = 0, alive = conns;
    uint32_t q = open_loop ? TSQ : 1;
    while (!open_loop && q < (uint32_t)depth) q <<= 1;
    for (int i = 0; i < conns; i++) { cs[i].slot = i; cs[i].ts = calloc(q, 8); cs[i].tsmask = q - 1; }
    // bring every connection up first, in batches no listen backlog minds
    int started = 0;
    uint64_t deadline = now() + 10000000000ull;
    while (up < conns && now() < deadline) {
        while (started < conns && started - up < 64) if (dial(&cs[started++])) { errors++; exit(3); }
        int n = epoll_wait(ep, evs, 1024, 1000);
        for (int i = 0; i < n; i++) {
            conn *c = evs[i].data.ptr;
            if (c->st == 2) continue;
            int r = connected(c);
            if (r < 0) { fprintf(stderr, "connect failed\n"); exit(3); }
            if (r == 1) { up++; describe(c); }
        }
    }
    if (up < conns) { fprintf(stderr, "only %d of %d connections came up\n", up, conns); exit(3); }

    uint64_t total = 0, over = 0, t = now(), start = t, t_meas = t + (uint64_t)(warm * 1e9), t_end = t_meas + (uint64_t)(secs * 1e9), m_start = 0;
    usage u0 = {0}; double c0 = 0, m0 = 0;
    int measuring = 0;
    double gap = 1e9 / rate; uint64_t k_next = 0;
    if (!open_loop)
        for (int i = 0; i < conns; i++) {
            conn *c = &cs[i];
            for (int d = 0; d < depth; d++) c->ts[c->issued++ & c->tsmask] = now();
            c->tosend = (uint64_t)depth * size;
            if (flush_(c) < 0) errors++;
        }
    for (;;) {
        t = now();
        if (!measuring && t >= t_meas) {
            measuring = 1; verify = 0; hreset(); total = 0; over = 0;
            u0 = server(); c0 = self_cpu(); m0 = machine_busy(); m_start = t = now(); t_end = t + (uint64_t)(secs * 1e9);
        }
        if (measuring && (t >= t_end || (maxmsgs && total >= maxmsgs))) break;
        if (open_loop) {
            while (start + (uint64_t)(k_next * gap) <= t) {
                conn *c = &cs[k_next % conns];
                if (c->issued - c->done >= TSQ) over++;
                else { c->ts[c->issued++ & c->tsmask] = start + (uint64_t)(k_next * gap); c->tosend += size; if (flush_(c) < 0) errors++; }
                k_next++;
            }
        }
        int n = epoll_wait(ep, evs, 1024, open_loop ? 0 : 100);
        for (int i = 0; i < n; i++) {
            conn *c = evs[i].data.ptr;
            if (c->st != 2) continue;
            if (c->ssl) ERR_clear_error();
            if (evs[i].events & EPOLLOUT && c->tosend && flush_(c) < 0) { c->st = 9; alive--; errors++; continue; }
            for (;;) {
                ssize_t k = io_read(c, rbuf, CHUNK);
                if (k < 0) { c->st = 9; alive--; errors++; break; }
                if (k == 0) break;
                if (verify && memcmp(rbuf, pat + c->rx % PATLEN, k)) bad++;
                c->rx += k;
                uint64_t fin = c->rx / size, tn = now();
                while (c->done < fin) {
                    rec(tn - c->ts[c->done++ & c->tsmask]);
                    total++;
                    if (!open_loop) { c->ts[c->issued++ & c->tsmask] = tn; c->tosend += size; }
                }
                if (c->tosend && flush_(c) < 0) { c->st = 9; alive--; errors++; break; }
                if (!c->ssl && k < CHUNK) break; // short read: drained, the next data is a new edge
            }
        }
        if (!alive) break;
    }
    double dt = (now() - m_start) / 1e9;
    usage u1 = server();
    head(open_loop ? "open" : "echo");
    printf(",\"conns\":%d,\"depth\":%d,\"size\":%zu,\"secs\":%.3f,\"msgs\":%lu,\"rate\":%.1f,\"mbps\":%.2f,\"p50\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.1f,\"overload\":%lu",
           conns, depth, size, dt, total, total / dt, total * (double)size / dt / 1e6, pct(50), pct(99), pct(99.9), hmax / 1e3, over);
    cpu_fields(u0, u1, total ? total : 1, c0, m0, dt);
    tail();
    exit(errors || bad ? 4 : 0);
}

static void hs_close(conn *c) {
    if (c->ssl) { SSL_shutdown(c->ssl); SSL_free(c->ssl); c->ssl = NULL; }
    close(c->fd);
    c->fd = -1;
}
static void run_hs(void) {
    conn *cs = calloc(inflight, sizeof *cs);
    sess = calloc(inflight, sizeof *sess);
    struct epoll_event evs[1024];
    verify = 1;
    for (int i = 0; i < inflight; i++) { cs[i].slot = i; cs[i].t0 = now(); if (dial(&cs[i])) exit(3); }
    uint64_t t = now(), t_meas = t + (uint64_t)(warm * 1e9), t_end = 0, total = 0, m_start = t;
    usage u0 = {0}; double c0 = 0, m0 = 0;
    int measuring = 0;
    for (;;) {
        t = now();
        if (!measuring && t >= t_meas) {
            measuring = 1; hreset(); total = handshakes = reused = 0;
            u0 = server(); c0 = self_cpu(); m0 = machine_busy(); m_start = now(); t_end = m_start + (uint64_t)(secs * 1e9);
        }
        if (measuring && t >= t_end) break;
        if (errors > 100) break;
        int n = epoll_wait(ep, evs, 1024, 100);
        for (int i = 0; i < n; i++) {
            conn *c = evs[i].data.ptr;
            int r = 1;
            if (c->st != 2) {
                r = connected(c);
                if (r == 1) { describe(c); c->tosend = 1; }
            }
            if (r == 1 && c->tosend && flush_(c) < 0) r = -1;
            int fin = 0;
            if (r == 1) {
                ssize_t k = io_read(c, rbuf, 64);
                if (k < 0) r = -1;
                else if (k > 0) { if (k != 1 || rbuf[0] != pat[0]) bad++; fin = 1; }
            }
            if (r < 0) errors++;
            if (r < 0 || fin) {
                hs_close(c);
                if (fin) { rec(now() - c->t0); total++; }
                c->t0 = now();
                if (dial(c)) { errors++; exit(3); }
            }
        }
    }
    double dt = (now() - m_start) / 1e9;
    usage u1 = server();
    head("hs");
    printf(",\"resume\":%d,\"inflight\":%d,\"secs\":%.3f,\"msgs\":%lu,\"rate\":%.1f,\"p50\":%.2f,\"p99\":%.2f,\"handshakes\":%lu,\"reused\":%lu",
           resume_, inflight, dt, total, total / dt, pct(50), pct(99), handshakes, reused);
    cpu_fields(u0, u1, total ? total : 1, c0, m0, dt);
    tail();
    exit(errors || bad ? 4 : 0);
}

static void idle_phase(conn *cs, size_t bytes) { // every connection echoes `bytes` once, 64 at a time
    struct epoll_event evs[1024];
    int next = 0, fin = 0;
    uint64_t deadline = now() + 30000000000ull;
    while (fin < nconn && now() < deadline) {
        while (next < nconn && next - fin < inflight) {
            conn *c = &cs[next++];
            if (c->st == 9) { fin++; continue; }
            c->issued = c->rx + bytes; c->tosend = bytes;
            if (flush_(c) < 0) { c->st = 9; errors++; fin++; }
        }
        int n = epoll_wait(ep, evs, 1024, 200);
        for (int i = 0; i < n; i++) {
            conn *c = evs[i].data.ptr;
            if (c->st != 2 || c->rx >= c->issued) continue;
            if (c->tosend && flush_(c) < 0) { c->st = 9; errors++; fin++; continue; }
            for (;;) {
                ssize_t k = io_read(c, rbuf, CHUNK);
                if (k < 0) { c->st = 9; errors++; fin++; break; }
                if (k == 0) break;
                if (memcmp(rbuf, pat + c->rx % PATLEN, k)) bad++;
                c->rx += k;
                if (c->rx >= c->issued) { fin++; break; }
            }
        }
    }
    if (fin < nconn) errors += nconn - fin;
}
static void run_idle(void) {
    conn *cs = calloc(nconn, sizeof *cs);
    struct epoll_event evs[1024];
    long r0 = rss_kb();
    usage u0 = server(); double c0 = self_cpu(), m0 = machine_busy();
    uint64_t t0 = now(), deadline = t0 + 60000000000ull;
    int started = 0, up = 0;
    while (up < nconn && now() < deadline && errors < 50) {
        while (started < nconn && started - up < inflight) { cs[started].slot = started; if (dial(&cs[started++])) errors++; }
        int n = epoll_wait(ep, evs, 1024, 1000);
        for (int i = 0; i < n; i++) {
            conn *c = evs[i].data.ptr;
            if (c->st == 9 || c->rx >= 1) continue;
            int r = 1;
            if (c->st != 2) { r = connected(c); if (r == 1) { describe(c); c->tosend = 1; } }
            if (r == 1 && c->tosend && flush_(c) < 0) r = -1;
            if (r == 1) {
                ssize_t k = io_read(c, rbuf, 64);
                if (k < 0) r = -1;
                else if (k > 0) { if (k != 1 || rbuf[0] != pat[0]) bad++; c->rx += k; up++; }
            }
            if (r < 0) { errors++; c->st = 9; up++; }
        }
    }
    double dt = (now() - t0) / 1e9;
    usage u1 = server();
    double me = self_cpu() - c0, mach = machine_busy() - m0, f = (mach - (u1.cpu - u0.cpu) - me) / (dt * 2) * 100;
    usleep(300000);
    long r1 = rss_kb();
    idle_phase(cs, 16 * 1024);
    usleep(300000);
    long r2 = rss_kb();
    head("idle");
    printf(",\"n\":%d,\"up\":%d,\"secs\":%.3f,\"msgs\":%d,\"rate\":%.1f,\"rss0_kb\":%ld,\"rss1_kb\":%ld,\"rss2_kb\":%ld,\"per_conn\":%.0f,\"per_conn16\":%.0f",
           nconn, up, dt, up, up / dt, r0, r1, r2, (r1 - r0) * 1024.0 / nconn, (r2 - r0) * 1024.0 / nconn);
    printf(",\"cpu_us\":%.4f,\"usr_us\":0,\"sys_us\":0,\"srv_util\":%.3f,\"gen_util\":%.3f,\"foreign_pct\":%.1f",
           (u1.cpu - u0.cpu) / nconn * 1e6, (u1.cpu - u0.cpu) / dt, me / dt, f < 0 ? 0 : f);
    tail();
    exit(errors || bad ? 4 : 0);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    signal(SIGPIPE, SIG_IGN);
    for (int i = 2; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(a, "--tls")) { tls = 1; continue; }
        if (!strcmp(a, "--resume")) { resume_ = 1; continue; }
        i++;
        if (!strcmp(a, "--port")) port = atoi(v);
        else if (!strcmp(a, "--pid")) pid = atoi(v);
        else if (!strcmp(a, "--conns")) conns = atoi(v);
        else if (!strcmp(a, "--depth")) depth = atoi(v);
        else if (!strcmp(a, "--size")) size = atol(v);
        else if (!strcmp(a, "--secs")) secs = atof(v);
        else if (!strcmp(a, "--warm")) warm = atof(v);
        else if (!strcmp(a, "--rate")) rate = atof(v);
        else if (!strcmp(a, "--inflight")) inflight = atoi(v);
        else if (!strcmp(a, "--n")) nconn = atoi(v);
        else if (!strcmp(a, "--msgs")) maxmsgs = atoll(v);
        else { fprintf(stderr, "unknown option %s\n", a); return 2; }
    }
    uint32_t x = 12345;
    for (int i = 0; i < PATLEN; i++) { x = x * 1664525u + 1013904223u; pat[i] = x >> 24; }
    for (int i = PATLEN; i < PATLEN + CHUNK; i++) pat[i] = pat[i - PATLEN];
    dst = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (tls) tls_init();
    alarm((unsigned)(secs + warm) + 100); // whatever happens, end
    if (!strcmp(argv[1], "spin")) { prctl(PR_SET_PDEATHSIG, SIGKILL); for (;;) __builtin_ia32_pause(); }
    if (!strcmp(argv[1], "echo")) run_echo(0);
    if (!strcmp(argv[1], "open")) run_echo(1);
    if (!strcmp(argv[1], "hs")) { many_sources = !tls; run_hs(); }
    if (!strcmp(argv[1], "idle")) run_idle();
    return 2;
}
