/* Sends UDP in Ethernet frames as many devices would: blast IFACE GATEWAY_MAC DEVICES DESTINATION SIZE COUNT PORT EACH_NEW
   Device i is 10.60.(1 + i / 250).(1 + i % 250) at 02:00:i. Prints nanoseconds. EACH_NEW: every frame opens a flow. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#define BATCH 64

static uint16_t checksum(const uint8_t *p) {
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (uint32_t)(p[i] << 8 | p[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

int main(int argc, char **argv) {
  if (argc != 9) return 2;
  unsigned gateway[6];
  sscanf(argv[2], "%x:%x:%x:%x:%x:%x", gateway, gateway + 1, gateway + 2, gateway + 3, gateway + 4, gateway + 5);
  uint32_t devices = (uint32_t)atoi(argv[3]), size = (uint32_t)atoi(argv[5]), count = (uint32_t)atoi(argv[6]);
  uint32_t port = (uint32_t)atoi(argv[7]);
  int each_new = atoi(argv[8]);
  struct in_addr to;
  inet_pton(AF_INET, argv[4], &to);
  int out = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1]), .sll_halen = 6};
  static uint8_t frames[BATCH][1600];
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  memset(messages, 0, sizeof messages);
  for (int b = 0; b < BATCH; b++) {
    uint8_t *f = frames[b];
    for (int i = 0; i < 6; i++) f[i] = (uint8_t)gateway[i];
    f[12] = 8;
    uint8_t *ip = f + 14;
    ip[0] = 0x45;
    uint16_t length = htons((uint16_t)(size - 14)), udp = htons((uint16_t)(size - 34)), dport = htons(443);
    memcpy(ip + 2, &length, 2);
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 16, &to, 4);
    memcpy(ip + 22, &dport, 2);
    memcpy(ip + 24, &udp, 2);
    parts[b] = (struct iovec){f, size};
    messages[b].msg_hdr = (struct msghdr){.msg_name = &at, .msg_namelen = sizeof at, .msg_iov = &parts[b], .msg_iovlen = 1};
  }
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (uint32_t k = 0; k < count;) {
    int b = 0;
    for (; b < BATCH && k < count; b++, k++) {
      uint8_t *f = frames[b], *ip = f + 14;
      uint32_t i = each_new ? (uint32_t)((uint64_t)k * 7919 % devices) : k % (devices < 64 ? devices : 64);
      uint16_t sport = htons((uint16_t)(port + (each_new ? k / devices : 0)));
      f[6] = 2;
      f[8] = (uint8_t)(i >> 24);
      f[9] = (uint8_t)(i >> 16);
      f[10] = (uint8_t)(i >> 8);
      f[11] = (uint8_t)i;
      ip[12] = 10;
      ip[13] = 60;
      ip[14] = (uint8_t)(1 + i / 250);
      ip[15] = (uint8_t)(1 + i % 250);
      memcpy(ip + 20, &sport, 2);
      ip[10] = ip[11] = 0;
      uint16_t sum = checksum(ip);
      memcpy(ip + 10, &sum, 2);
    }
    if (sendmmsg(out, messages, (unsigned)b, 0) < 0) { perror("sendmmsg"); return 1; }
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%lld\n", (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec);
  return 0;
}
