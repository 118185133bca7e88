/* The floor: the least that a server can do for the bench's clients, in C and in one thread.
 *
 * It dials the bridge as a broadcaster does, and hands the frames that arrive in one read to every client in one send.
 * It knows nothing: no subscriptions, no slow clients, no order of versions, no pings, no handshake worth the name.
 *
 *   floor --port P --bridge P
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536
/* The answer to the key of sixteen zero bytes, which load.c and this program send (RFC 6455, section 4.2.2). */
#define ACCEPT "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
#define REQUEST "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static int clients[MOST], count, place[MOST]; /* place: 1 + index in clients, by descriptor */
static unsigned char input[1 << 20];
static size_t length;

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void leave(int fd) {
  if (place[fd]) {
    clients[place[fd] - 1] = clients[--count];
    place[clients[count]] = place[fd];
    place[fd] = 0;
  }
  close(fd);
}

static void hand_on(size_t size) {
  for (int i = 0; i < count; i++)
    if (send(clients[i], input, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size) {
      fprintf(stderr, "floor: a client does not keep up\n");
      exit(1);
    }
}

/* The bytes of whole frames at the start of the input. */
static size_t whole_frames(void) {
  size_t at = 0;
  while (length - at >= 2) {
    uint64_t size = input[at + 1] & 127;
    size_t head = size == 126 ? 4 : size == 127 ? 10 : 2;
    if (length - at < head) break;
    if (size >= 126) {
      size = 0;
      for (size_t i = 2; i < head; i++) size = size << 8 | input[at + i];
    }
    if (length - at < head + size) break;
    at += head + size;
  }
  return at;
}

int main(int given, char **words) {
  int port = 0, bridge_port = 0, one = 1, greeted = 0;
  for (int i = 1; i + 1 < given; i += 2) {
    if (!strcmp(words[i], "--port")) port = atoi(words[i + 1]);
    if (!strcmp(words[i], "--bridge")) bridge_port = atoi(words[i + 1]);
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max < MOST ? files.rlim_max : MOST;
  setrlimit(RLIMIT_NOFILE, &files);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(bridge_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int bridge = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(bridge, (struct sockaddr *)&address, sizeof address) || send(bridge, REQUEST, sizeof REQUEST - 1, 0) < 0) {
    perror("floor: bridge");
    return 1;
  }
  int listening = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  address.sin_port = htons(port);
  if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 1024)) {
    perror("floor: listen");
    return 1;
  }
  int epoll = epoll_create1(0);
  watch(epoll, bridge);
  watch(epoll, listening);
  static struct epoll_event events[512];
  for (;;) {
    int number_of = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < number_of; i++) {
      int fd = events[i].data.fd;
      if (fd == listening) {
        int client = accept(listening, NULL, NULL);
        if (client < 0 || client >= MOST) continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(epoll, client);
      } else if (fd == bridge) {
        ssize_t got = recv(bridge, input + length, sizeof input - length, 0);
        if (got <= 0) return 0;
        length += got;
        if (!greeted) {
          unsigned char *end = memmem(input, length, "\r\n\r\n", 4);
          if (!end) continue;
          greeted = 1;
          length -= end + 4 - input;
          memmove(input, end + 4, length);
        }
        size_t size = whole_frames();
        if (size) hand_on(size);
        length -= size;
        memmove(input, input + size, length);
      } else {
        char request[4096];
        ssize_t got = recv(fd, request, sizeof request, 0);
        if (got <= 0) {
          leave(fd);
        } else if (!place[fd]) {
          if (send(fd, ACCEPT, sizeof ACCEPT - 1, MSG_NOSIGNAL) < 0) continue;
          clients[count] = fd;
          place[fd] = ++count;
        }
      }
    }
  }
}
