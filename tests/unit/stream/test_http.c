// SPDX-License-Identifier: Apache-2.0
// The watching server, asked over real sockets by the same thread that serves it.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/http.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

struct program {
  bool ready;
  bool too_much;  // metrics beyond any bound
  int asked;
};

static void render(void *context, struct ee_buf *out) {
  struct program *program = context;
  program->asked++;
  ee_buf_text(out, "metric 1\n");
  for (int i = 0; program->too_much && i < 1 << 20; i++) {
    ee_buf_text(out, "metric 2\n");
  }
}

static bool ready(void *context, struct ee_err *why_not) {
  const struct program *program = context;
  return program->ready || ee_err_set(why_not, "partition 3 is being restored");
}

static struct ee_http *serve(struct program *program, const char *address) {
  struct ee_http_source source = {.metrics = render, .ready = ready, .context = program};
  struct ee_http *http;
  struct ee_err err;
  if (!ee_http_new(address, &source, &http, &err)) fail_msg("%s", err.text);
  assert_true(ee_http_port(http) > 0);
  return http;
}

static int connect_to(const struct ee_http *http) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)ee_http_port(http)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (const void *)&address, sizeof address), 0);
  return fd;
}

// Turns the server until the client's socket has something, and takes it. 0: closed.
static size_t receive(struct ee_http *http, int fd, char *out, size_t room) {
  for (int i = 0; i < 5000; i++) {
    ee_http_turn(http);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    if (poll(&one, 1, 1) == 0) continue;
    ssize_t size = recv(fd, out, room, 0);
    return size > 0 ? (size_t)size : 0;
  }
  fail_msg("no answer");
  return 0;
}

// The whole answer to a request, on a connection of its own.
static const char *ask(struct ee_http *http, const char *request) {
  static char answer[8 << 20];
  size_t size = 0, more;
  int fd = connect_to(http);
  assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
  while (size < sizeof answer - 1 &&
         (more = receive(http, fd, answer + size, sizeof answer - 1 - size)) > 0)
    size += more;
  answer[size] = '\0';
  close(fd);
  return answer;
}

#define REQUEST(METHOD, PATH) METHOD " " PATH " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void expect_status(const char *answer, const char *status) {
  if (strncmp(answer, "HTTP/1.1 ", 9) != 0 || strncmp(answer + 9, status, strlen(status)) != 0) {
    fail_msg("not %s: %.200s", status, answer);
  }
}

static void expect_body(const char *answer, const char *body) {
  const char *begin = strstr(answer, "\r\n\r\n");
  assert_non_null(begin);
  assert_string_equal(begin + 4, body);
}

static void each_page_answers(void **state) {
  (void)state;
  struct program program = {.ready = false};
  struct ee_http *http = serve(&program, "127.0.0.1:0");
  const char *answer = ask(http, REQUEST("GET", "/healthz"));
  expect_status(answer, "200");
  expect_body(answer, "alive\n");
  answer = ask(http, REQUEST("GET", "/readyz"));
  expect_status(answer, "503");
  expect_body(answer, "partition 3 is being restored\n");
  program.ready = true;
  expect_status(ask(http, REQUEST("GET", "/readyz?verbose")), "200");
  answer = ask(http, REQUEST("GET", "/metrics"));
  expect_status(answer, "200");
  assert_non_null(strstr(answer, "Content-Type: text/plain; version=0.0.4"));
  expect_body(answer, "metric 1\n");
  answer = ask(http, REQUEST("HEAD", "/metrics"));
  expect_status(answer, "200");
  expect_body(answer, "");
  expect_status(ask(http, REQUEST("GET", "/")), "404");
  expect_status(ask(http, REQUEST("GET", "/metrics/")), "404");
  answer = ask(http, REQUEST("DELETE", "/metrics"));
  expect_status(answer, "405");
  assert_non_null(strstr(answer, "Allow: GET, HEAD"));
  assert_int_equal(program.asked, 2);
  program.too_much = true;
  expect_status(ask(http, REQUEST("GET", "/metrics")), "500");
  ee_http_free(http);
  ee_http_free(NULL);
}

static void nonsense_is_answered_or_cut_off(void **state) {
  (void)state;
  struct program program = {.ready = true};
  struct ee_http *http = serve(&program, "127.0.0.1:0");
  assert_true(strncmp(ask(http, "\x16\x03\x01 nonsense\r\n\r\n"), "HTTP/1.1 2", 10) != 0);
  expect_status(
      ask(http, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"), "405");
  static char large[100000];
  int length = snprintf(large, sizeof large, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", 90000, 0);
  assert_true(length > 90000);
  // Cut off in the middle of sending it, so it cannot all be sent.
  int fd = connect_to(http);
  assert_true(send(fd, large, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
  char answer[4096];
  size_t size = receive(http, fd, answer, sizeof answer - 1);
  answer[size] = '\0';
  assert_true(size == 0 || strncmp(answer, "HTTP/1.1 4", 10) == 0);
  close(fd);
  assert_int_equal(program.asked, 0);
  expect_status(ask(http, REQUEST("GET", "/healthz")), "200");
  ee_http_free(http);
}

static void a_connection_may_be_used_again(void **state) {
  (void)state;
  struct program program = {.ready = true};
  struct ee_http *http = serve(&program, "127.0.0.1:0");
  int fd = connect_to(http);
  for (int i = 0; i < 3; i++) {
    const char *request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[4096];
    size_t size = 0;
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    do {
      size_t more = receive(http, fd, answer + size, sizeof answer - 1 - size);
      assert_true(more > 0);
      size += more;
      answer[size] = '\0';
    } while (strstr(answer, "alive\n") == NULL);
    expect_status(answer, "200");
  }
  close(fd);
  ee_http_free(http);
}

// More connections than allowed, all idle: the server bounds them, keeps its loop
// turning, and serves again when they are gone.
static void connections_are_bounded(void **state) {
  (void)state;
  enum { COUNT = EE_HTTP_CONNECTIONS_MAX + 20 };
  struct program program = {.ready = true};
  struct ee_http *http = serve(&program, "127.0.0.1:0");
  int fds[COUNT], answered = 0;
  const char *request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < COUNT; i++) {
    fds[i] = connect_to(http);
    ee_http_turn(http);
    send(fds[i], request, strlen(request), MSG_NOSIGNAL);
  }
  for (int i = 0; i < 200; i++) {
    ee_http_turn(http);
  }
  for (int i = 0; i < COUNT; i++) {
    char answer[4096];
    ssize_t size = recv(fds[i], answer, sizeof answer, MSG_DONTWAIT);
    if (size > 0) answered++;
  }
  assert_true(answered > 0 && answered <= EE_HTTP_CONNECTIONS_MAX);
  for (int i = 0; i < COUNT; i++) {
    close(fds[i]);
  }
  for (int i = 0; i < 200; i++) {
    ee_http_turn(http);
  }
  expect_status(ask(http, REQUEST("GET", "/healthz")), "200");
  ee_http_free(http);
}

static void addresses_are_checked(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "8080",
                                    "localhost:",
                                    "::1:80",
                                    "[::1]80",
                                    "[::1",
                                    "[]x:1",
                                    "127.0.0.1:http",
                                    "x:99999",
                                    "256.0.0.1:0",
                                    "203.0.113.1:0",
                                    "127.0.0.1:65536",
                                    "127.0.0.1:000080",
                                    "127.0.0.1:+80",
                                    "127.0.0.1: 80"};
  struct program program = {.ready = true};
  struct ee_http_source source = {.metrics = render, .ready = ready, .context = &program};
  struct ee_http *http = NULL, *other = NULL;
  struct ee_err err;
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    err.text[0] = '\0';
    assert_false(ee_http_new(bad[i], &source, &http, &err));
    if (strstr(err.text, bad[i]) == NULL) fail_msg("%s: %s", bad[i], err.text);
  }
  static const char *const good[] = {":0", "a:65535", "[::1]:80", "203.0.113.1:0"};
  for (size_t i = 0; i < COUNT_OF(good); i++) {
    assert_true(ee_http_check(good[i], &err));
  }
  static char long_host[400];
  snprintf(long_host, sizeof long_host, "%0*d:80", 300, 0);
  assert_false(ee_http_new(long_host, &source, &http, &err));

  http = serve(&program, ":0");
  expect_status(ask(http, REQUEST("GET", "/healthz")), "200");
  char address[32];
  snprintf(address, sizeof address, "0.0.0.0:%d", ee_http_port(http));
  assert_false(ee_http_new(address, &source, &other, &err));
  assert_non_null(strstr(err.text, "in use"));
  ee_http_free(http);
  http = serve(&program, address);  // a port is free again at once
  ee_http_free(http);
  if (ee_http_new("[::1]:0", &source, &http, &err)) {
    assert_true(ee_http_port(http) > 0);
    ee_http_free(http);
  } else {
    assert_non_null(strstr(err.text, "[::1]:0"));  // a machine without IPv6
  }
}

static void no_memory_is_an_error(void **state) {
  (void)state;
  struct program program = {.ready = true};
  struct ee_http_source source = {.metrics = render, .ready = ready, .context = &program};
  struct ee_http *http;
  struct ee_err err;
  ee_chaos_fail_after(0);
  assert_false(ee_http_new("127.0.0.1:0", &source, &http, &err));
  assert_true(ee_chaos_stop());
  http = serve(&program, "127.0.0.1:0");
  ee_chaos_fail_after(0);
  expect_status(ask(http, REQUEST("GET", "/metrics")), "500");
  assert_true(ee_chaos_stop());
  ee_http_free(http);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_page_answers),
      cmocka_unit_test(nonsense_is_answered_or_cut_off),
      cmocka_unit_test(a_connection_may_be_used_again),
      cmocka_unit_test(connections_are_bounded),
      cmocka_unit_test(addresses_are_checked),
      cmocka_unit_test(no_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
