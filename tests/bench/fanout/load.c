/* Many WebSocket clients, and the publisher that feeds them through Redis, in one thread.
 *
 * In C, so that on a machine of two cores the cost that is seen is the server's. It checks what it gets: each update
 * of each client must be the next of its symbol, or say how many were skipped.
 *
 * It writes as feynman does: a lease, and each state SET before its update is PUBLISHed, in the bytes that both have.
 * The samples of a state are the time of its publication, so that the latency can be measured. A state of its own, FAR,
 * has a later tick than all others, so that the bridge believes them as they come, however many there are in a second.
 *
 *   load --port P --redis P --clients N [--symbols S] [--few K] [--query TEXT]
 *
 *   --symbols S  updates are of B00000 … up to S of them, in turn
 *   --few K      each client names K of them at random; else it wants all
 *   --query T    goes into every handshake's query, such as batch=250
 *
 * Prints {"ready":N}, then reads commands from stdin, each answered with one line of JSON:
 *
 *   seed [N]            publish each symbol once, or the first N, unmeasured, so that every SNAPSHOT has them, and
 *                       wait until the bridge has read all states
 *   rate R SECONDS B    publish R a second, B at a time
 *   closed W SECONDS    publish as fast as the clients take them, at most W updates ahead of the slowest
 *   tick                publish each symbol once, all in one write, and wait for the last client
 *   stall K · resume    the first K clients stop reading, and go on
 *   wait SECONDS        read on until every client holds what was published last, or so long
 *   lose · connect      cut all connections at once, and make them again
 *   pause SECONDS       answer pings, publish nothing
 *   quit
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD "{\"event\":\"PHYSICS_UPDATE\",\"symbol\":\"B"
#define SYMBOL_AT (sizeof HEAD - 1)           /* five digits */
#define SEQ_BASE 1000000000ull                /* ten digits, counted from it, so that all have one length */
#define SEQ_FAR 9999999999ull
#define TIME_BASE 1000000000000000000ull
#define SKIPPED ",\"skipped\":"
#define BUCKETS (64 * 64)
#define DIALLING 256                          /* connections that are being made at a time */
#define MOST_SYMBOLS 100000

enum phase { CLOSED, CONNECTING, HANDSHAKE, OPEN };

struct client {
  int fd, symbols, stalled, whole;            /* whole: its SNAPSHOT is here */
  enum phase phase;
  uint32_t *named, *last;                     /* named: NULL is all */
  unsigned char *tail;
  size_t length, room;
};

static struct client *clients;
static int count, symbols = 1, few, port, redis_port, epoll, redis, open_now, dialled, failed;
static const char *query = "";
static char *tokens = "";  // of --token-file, one a line: client n shows the nth, and the first again after the last
static uint32_t *published;                   /* by symbol, the newest seq */
static uint64_t sent, due, delivered, gaps, repeats, skipped, snapshots, closes, frames, bytes, cpu_start;
static uint64_t histogram[BUCKETS], measured, longest;
static unsigned char input[1 << 20];
static char update[1024], state[1024];
static int update_length, state_length, seq_at, time_at, state_seq_at, state_time_at; /* where their digits begin */
static uint64_t epoch, renewed;               /* renewed: when the lease was */

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* --- latency: a histogram, 32 buckets for each doubling */

static void observe(uint64_t ns) {
  int shift = ns < 64 ? 0 : 58 - __builtin_clzll(ns);
  size_t bucket = ns < 64 ? ns : shift * 64 + (ns >> shift);
  histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
  measured++;
  if (ns > longest) longest = ns;
}

static double quantile_ms(double share) {
  uint64_t wanted = share * measured, seen = 0;
  for (size_t i = 0; i < BUCKETS; i++) {
    seen += histogram[i];
    if (seen > wanted) return ((uint64_t)(i % 64) << (i / 64)) / 1e6;
  }
  return longest / 1e6;
}

/* --- what clients hold */

static uint64_t number(const unsigned char *digits, int length) {
  uint64_t value = 0;
  while (length--) value = value * 10 + (*digits++ - '0');
  return value;
}

static uint32_t *held(struct client *c, uint32_t symbol) {
  if (!c->named) return symbol < (uint32_t)symbols ? &c->last[symbol] : NULL;
  for (int i = 0; i < c->symbols; i++)
    if (c->named[i] == symbol) return &c->last[i];
  return NULL;
}

/* One update at `at`; where it ends. */
static const unsigned char *take_update(struct client *c, const unsigned char *at, int in_snapshot, uint64_t read_at) {
  uint32_t seq = number(at + seq_at, 10) - SEQ_BASE, *last = held(c, number(at + SYMBOL_AT, 5));
  const unsigned char *end = at + update_length;
  uint64_t left_out = 0;
  if (!memcmp(end - 1, SKIPPED, sizeof SKIPPED - 1)) left_out = strtoull((const char *)end + sizeof SKIPPED - 2, (char **)&end, 10);
  if (!last) {
    gaps++;                                   /* of a symbol that it did not ask for */
  } else if (in_snapshot) {
    if (seq < *last) repeats++;               /* never backwards, not in a SNAPSHOT either */
    *last = seq;
  } else {
    if (seq <= *last) repeats++;
    else if (seq != *last + 1 + left_out) gaps++;
    *last = seq;
    delivered++;
    skipped += left_out;
    if (!c->stalled) observe(read_at - (number(at + time_at, 19) - TIME_BASE));
  }
  return end;
}

static void take_message(struct client *c, const unsigned char *text, size_t length, uint64_t read_at) {
  static const char head[] = HEAD, snapshot[] = "{\"event\":\"SNAPSHOT\"";
  frames++;
  if (length >= sizeof head - 1 && !memcmp(text, head, sizeof head - 1)) {
    take_update(c, text, 0, read_at);
    return;
  }
  const unsigned char *at = text, *end = text + length, *first = text + (*text == '[');
  int in_snapshot = length > sizeof snapshot && !memcmp(first, snapshot, sizeof snapshot - 1);
  while ((at = memmem(at, end - at, head, sizeof head - 1))) at = take_update(c, at, in_snapshot, read_at);
  if (in_snapshot && memmem(end - (length < 64 ? length : 64), length < 64 ? length : 64, "\"last\":true", 11)) {
    c->whole = 1;
    snapshots++;
  }
}

/* --- connections */

static void dial(void);

static void watch(int fd, int how, uint32_t events, void *what) {
  struct epoll_event event = {.events = events, .data.ptr = what};
  if (epoll_ctl(epoll, how, fd, &event)) fail("epoll_ctl");
}

static void lost(struct client *c, const char *why) {
  if (c->phase == OPEN) open_now--;
  else if (!failed++) fprintf(stderr, "load: a client was not let in: %s\n", why);
  c->phase = CLOSED;
  close(c->fd);
}

static void send_frame(struct client *c, int opcode, const unsigned char *data, int length) {
  unsigned char frame[140] = {0x80 | opcode, 0x80 | length}; /* masked with zeros: legal, and cheap */
  memcpy(frame + 6, data, length);
  if (send(c->fd, frame, 6 + length, MSG_NOSIGNAL | MSG_DONTWAIT) != 6 + length) lost(c, strerror(errno));
}

static size_t take_bytes(struct client *c, unsigned char *data, size_t length, uint64_t read_at) {
  size_t at = 0;
  if (c->phase == HANDSHAKE) {
    unsigned char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    if (memcmp(data, "HTTP/1.1 101", 12)) {
      *end = 0;
      lost(c, (char *)data);
      return length;
    }
    c->phase = OPEN;
    open_now++;
    dial();
    at = end + 4 - data;
  }
  while (c->phase == OPEN && length - at >= 2) {
    unsigned char *frame = data + at;
    uint64_t size = frame[1] & 127;
    size_t head = 2;
    if (size == 126) {
      head = 4;
      if (length - at < head) break;
      size = frame[2] << 8 | frame[3];
    } else if (size == 127) {
      head = 10;
      if (length - at < head) break;
      size = 0;
      for (int i = 2; i < 10; i++) size = size << 8 | frame[i];
    }
    if (length - at - head < size) break;
    int opcode = frame[0] & 15;
    if (opcode == 1) take_message(c, frame + head, size, read_at);
    else if (opcode == 9) send_frame(c, 10, frame + head, size);
    else if (opcode == 8) closes++, lost(c, "close");
    at += head + size;
  }
  return at;
}

static void readable(struct client *c) {
  memcpy(input, c->tail, c->length);
  ssize_t got = recv(c->fd, input + c->length, sizeof input - c->length, MSG_DONTWAIT);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) lost(c, got ? strerror(errno) : "closed by the server");
    return;
  }
  bytes += got;
  size_t length = c->length + got, used = take_bytes(c, input, length, now()), rest = length - used;
  if (c->phase == CLOSED) return;
  if (rest > c->room) {
    c->room = rest * 2;
    c->tail = realloc(c->tail, c->room);
  }
  memcpy(c->tail, input + used, rest);
  c->length = rest;
}

static void read_tokens(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  tokens = calloc(size + 1, 1);
  if (fread(tokens, 1, size, file) != (size_t)size || !*tokens) fail("the file of tokens");
  fclose(file);
}

// The header that shows a client's token; each call shows the next one.
static int write_token(char *into) {
  static const char *next;
  if (!*tokens) return 0;
  if (!next || !*next) next = tokens;
  int length = strcspn(next, "\n");
  if (length > 4096) fail("a token is longer than 4096 bytes");
  int written = sprintf(into, "Authorization: Bearer %.*s\r\n", length, next);
  next += length + (next[length] == '\n');
  return written;
}

static void handshake(struct client *c) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) {
    lost(c, strerror(error));
    return;
  }
  char named[2048] = "", request[4096 + 4200], token[4200] = "";
  write_token(token);
  for (int i = 0; c->named && i < c->symbols; i++)
    sprintf(named + strlen(named), "%sB%05u", i ? "," : "symbols=", c->named[i]);
  int length = sprintf(request,
      "GET /ws?%s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
      query, *query && *named ? "&" : "", named, port, token);
  if (send(c->fd, request, length, MSG_NOSIGNAL) != length) {
    lost(c, strerror(errno));
    return;
  }
  c->phase = HANDSHAKE;
  watch(c->fd, EPOLL_CTL_MOD, EPOLLIN, c);
}

static void dial(void) {
  if (dialled == count) return;
  struct client *c = &clients[dialled++];
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  struct linger at_once = {1, 0};
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) fail("socket");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  c->phase = CONNECTING;
  c->length = c->whole = c->stalled = 0;
  memset(c->last, 0, c->symbols * sizeof *c->last);
  connect(c->fd, (struct sockaddr *)&address, sizeof address);
  watch(c->fd, EPOLL_CTL_ADD, EPOLLOUT, c);
}

/* Serve every socket for at most `ms`; at once where something is there. */
static void turn(int ms) {
  static struct epoll_event events[512];
  int number_of = epoll_wait(epoll, events, 512, ms);
  for (int i = 0; i < number_of; i++) {
    struct client *c = events[i].data.ptr;
    if (!c) {
      char replies[65536];
      if (recv(redis, replies, sizeof replies, MSG_DONTWAIT) == 0) fail("Redis has gone");
    } else if (c->phase == CONNECTING) {
      handshake(c);
    } else if (c->phase != CLOSED) {
      readable(c);
    }
  }
}

static void connect_all(void) {
  uint64_t began = now();
  dialled = failed = 0;
  snapshots = 0;
  for (int i = 0; i < DIALLING && i < count; i++) dial();
  while (open_now + failed < count && now() - began < 120000000000ull) turn(100);
  printf("{\"ready\":%d,\"failed\":%d,\"seconds\":%.3f}\n", open_now, failed, (now() - began) / 1e9);
  fflush(stdout);
}

/* --- publishing */

#define PILLARS "\"mass\":0.4213,\"momentum\":1.2345,\"friction\":0.1512,\"entropy\":0.0811,\"nash_dist\":0.0523"
#define EXTRAS "\"price\":450.32,\"samples\":%llu,\"nonzero\":812,\"source\":\"bench\""
#define STAMP "\"timestamp\":\"2025-12-21T12:00:00.000Z\""
#define VERSION "\"epoch\":%llu,\"seq\":%llu}"

static int place(const char *text, const char *name) { return strstr(text, name) - text + strlen(name); }

static void compose(void) {
  update_length = sprintf(update,
      HEAD "%05u\"," STAMP ",\"data\":{\"alpha\":2.8134,\"regime\":\"Gaussian\"," PILLARS "," EXTRAS "}," VERSION,
      0, TIME_BASE, (unsigned long long)epoch, SEQ_BASE);
  state_length = sprintf(state,
      "{" PILLARS ",\"regime\":\"Gaussian\",\"alpha_coefficient\":2.8134," EXTRAS "," STAMP "," VERSION,
      TIME_BASE, (unsigned long long)epoch, SEQ_BASE);
  seq_at = place(update, "\"seq\":"), time_at = place(update, "\"samples\":");
  state_seq_at = place(state, "\"seq\":"), state_time_at = place(state, "\"samples\":");
}

static void digits(char *at, uint64_t value, int length) {
  while (length--) {
    at[length] = '0' + value % 10;
    value /= 10;
  }
}

static uint64_t wanted_by(uint32_t symbol);

static char commands[1 << 22];

static void send_commands(size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t wrote = send(redis, commands + at, length - at, MSG_NOSIGNAL);
    if (wrote < 0) fail("publishing");
    at += wrote;
  }
}

/* Take the lease, and renew it once a second. */
static void renew(void) {
  char lease[128];
  if (now() - renewed < 1000000000ull) return;
  renewed = now();
  int length = sprintf(lease, "{\"holder\":\"load\",\"epoch\":%llu,\"shards\":1,\"lifetime_ms\":60000}", (unsigned long long)epoch);
  send_commands(sprintf(commands, "*5\r\n$3\r\nSET\r\n$16\r\nphysics:writer:0\r\n$%d\r\n%s\r\n$2\r\nPX\r\n$5\r\n60000\r\n", length, lease));
}

static void set_far(void) {
  digits(state + state_seq_at, SEQ_FAR, 10);
  send_commands(sprintf(commands, "*3\r\n$3\r\nSET\r\n$17\r\nphysics:state:FAR\r\n$%d\r\n%s\r\n", state_length, state));
}

static void publish(int how_many) {
  size_t length = 0, most = sizeof commands - sizeof update - sizeof state - 256;
  renew();
  for (int i = 0; i < how_many; i++) {
    uint32_t symbol = sent++ % symbols;
    uint64_t seq = SEQ_BASE + ++published[symbol], time = TIME_BASE + now();
    digits(update + SYMBOL_AT, symbol, 5);
    digits(update + seq_at, seq, 10);
    digits(update + time_at, time, 19);
    digits(state + state_seq_at, seq, 10);
    digits(state + state_time_at, time, 19);
    due += wanted_by(symbol);
    length += sprintf(commands + length, "*3\r\n$3\r\nSET\r\n$20\r\nphysics:state:B%05u\r\n$%d\r\n%s\r\n", symbol, state_length, state);
    length += sprintf(commands + length, "*3\r\n$7\r\nPUBLISH\r\n$12\r\nstate_update\r\n$%d\r\n%s\r\n", update_length, update);
    if (length > most || i == how_many - 1) {
      send_commands(length);
      length = 0;
    }
  }
}

static uint64_t *wanting;                     /* by symbol, how many clients */

static uint64_t wanted_by(uint32_t symbol) { return wanting ? wanting[symbol] : (uint64_t)open_now; }

static int all_hold(void) {
  for (int i = 0; i < count; i++) {
    struct client *c = &clients[i];
    if (c->phase != OPEN || c->stalled) continue;
    for (int k = 0; k < c->symbols; k++)
      if (c->last[k] != published[c->named ? c->named[k] : (uint32_t)k]) return 0;
  }
  return 1;
}

static void reset(void) {
  memset(histogram, 0, sizeof histogram);
  sent -= sent % symbols;
  due = delivered = gaps = repeats = skipped = measured = longest = frames = bytes = 0;
  cpu_start = cpu();
}

static void settle(double seconds) {
  uint64_t end = now() + seconds * 1e9;
  /* Where all is counted, nothing is left to look for; a client that was skipped or joined late needs the look. */
  while (now() < end && (delivered + skipped < due || !all_hold())) turn(1);
}

/* The bridge reads all states within two seconds of a new lease. */
static void seed(int how_many) {
  renew();
  set_far();
  publish(how_many);
  for (uint64_t end = now() + 2500000000ull; now() < end;) turn(10);
}

static void report(uint64_t began, uint64_t published_before) {
  double seconds = (now() - began) / 1e9;
  settle(5);
  printf("{\"open\":%d,\"published\":%llu,\"due\":%llu,\"delivered\":%llu,\"skipped\":%llu,\"gaps\":%llu,\"repeats\":%llu,"
         "\"holding\":%s,\"seconds\":%.6f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f,\"frames\":%llu,\"bytes\":%llu,"
         "\"closes\":%llu,\"cpu\":%.4f}\n",
      open_now, (unsigned long long)(sent - published_before), (unsigned long long)due, (unsigned long long)delivered,
      (unsigned long long)skipped, (unsigned long long)gaps, (unsigned long long)repeats, all_hold() ? "true" : "false",
      seconds, quantile_ms(0.5), quantile_ms(0.99), longest / 1e6, (unsigned long long)frames, (unsigned long long)bytes,
      (unsigned long long)closes, (cpu() - cpu_start) / 1e9);
  fflush(stdout);
}

static void rate(double per_second, double seconds, int burst) {
  uint64_t began = now(), end = began + seconds * 1e9, before = sent;
  for (uint64_t k = 1; now() < end; k++) {
    uint64_t next = began + k * burst / per_second * 1e9;
    publish(burst);
    for (uint64_t at; (at = now()) < next;) turn(next - at > 1500000 ? (next - at) / 1000000 - 1 : 0);
  }
  report(began, before);
}

static void closed(int window, double seconds) {
  uint64_t began = now(), end = began + seconds * 1e9, before = sent;
  while (now() < end) {
    /* In whole windows' halves: a publisher that sent one for each that arrived would prevent what joining saves. */
    if (due <= delivered + skipped + (uint64_t)window * open_now / 2) publish(window / 2);
    turn(1);
  }
  report(began, before);
}

static void command(const char *line) {
  double a = 0, b = 0, c = 0;
  uint64_t began = now(), before = sent;
  if (sscanf(line, "rate %lf %lf %lf", &a, &b, &c) == 3) reset(), rate(a, b, c);
  else if (sscanf(line, "closed %lf %lf", &a, &b) == 2) reset(), closed(a, b);
  else if (!strncmp(line, "seed", 4)) {
    if (sscanf(line, "seed %lf", &a) != 1) a = symbols;
    reset(), seed(a), report(began, before);
  }
  else if (!strncmp(line, "tick", 4)) {
    reset();
    before = sent;
    began = now();
    publish(symbols);
    while (delivered + skipped < due && now() - began < 30000000000ull) turn(1);
    report(began, before);
  } else if (sscanf(line, "stall %lf", &a) == 1 || !strncmp(line, "resume", 6)) {
    for (int i = 0; i < count; i++)
      if (clients[i].phase == OPEN && clients[i].stalled != (i < a)) {
        clients[i].stalled = i < a;
        watch(clients[i].fd, EPOLL_CTL_MOD, i < a ? 0 : EPOLLIN, &clients[i]);
      }
    printf("{}\n");
  } else if (sscanf(line, "wait %lf", &a) == 1) {
    while (!all_hold() && now() - began < a * 1e9) turn(1);
    printf("{\"holding\":%s,\"seconds\":%.3f,\"snapshots\":%llu,\"open\":%d}\n", all_hold() ? "true" : "false", (now() - began) / 1e9,
        (unsigned long long)snapshots, open_now);
  } else if (sscanf(line, "pause %lf", &a) == 1) {
    while (now() - began < a * 1e9) turn(10);
    printf("{\"open\":%d}\n", open_now);
  } else if (!strncmp(line, "lose", 4)) {
    for (int i = 0; i < count; i++)
      if (clients[i].phase != CLOSED) lost(&clients[i], "");
    printf("{\"open\":%d}\n", open_now);
  } else if (!strncmp(line, "connect", 7)) {
    connect_all();
  } else {
    fprintf(stderr, "load: no such command: %s", line);
    exit(1);
  }
  fflush(stdout);
}

int main(int given, char **words) {
  for (int i = 1; i + 1 < given; i += 2) {
    const char *name = words[i], *value = words[i + 1];
    if (!strcmp(name, "--port")) port = atoi(value);
    else if (!strcmp(name, "--redis")) redis_port = atoi(value);
    else if (!strcmp(name, "--clients")) count = atoi(value);
    else if (!strcmp(name, "--symbols")) symbols = atoi(value);
    else if (!strcmp(name, "--few")) few = atoi(value);
    else if (!strcmp(name, "--query")) query = value;
    else if (!strcmp(name, "--token-file")) read_tokens(value);
    else return fprintf(stderr, "load: unknown option %s\n", name), 1;
  }
  if (!port || !redis_port || !count || symbols < 1 || symbols > MOST_SYMBOLS || few > 200)
    return fprintf(stderr, "load: --port --redis --clients are needed, --symbols is at most %d, --few 200\n", MOST_SYMBOLS), 1;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  epoch = wall.tv_sec * 1000ull + wall.tv_nsec / 1000000;
  compose();
  clients = calloc(count, sizeof *clients);
  published = calloc(symbols, sizeof *published);
  if (few) wanting = calloc(symbols, sizeof *wanting);
  srand(14);
  for (int i = 0; i < count; i++) {
    struct client *c = &clients[i];
    c->symbols = few ? few : symbols;
    c->last = calloc(c->symbols, sizeof *c->last);
    if (!few) continue;
    c->named = calloc(few, sizeof *c->named);
    for (int k = 0; k < few; k++) {
      int again;
      do {
        c->named[k] = rand() % symbols;
        again = 0;
        for (int j = 0; j < k; j++) again |= c->named[j] == c->named[k];
      } while (again);
      wanting[c->named[k]]++;
    }
  }
  epoll = epoll_create1(0);
  redis = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(redis_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  setsockopt(redis, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(redis, (struct sockaddr *)&address, sizeof address)) fail("Redis");
  watch(redis, EPOLL_CTL_ADD, EPOLLIN, NULL);
  connect_all();
  char line[256];
  while (fgets(line, sizeof line, stdin) && strncmp(line, "quit", 4)) command(line);
  return 0;
}
