// SPDX-License-Identifier: Apache-2.0
// The test's schema registry. Its thread allocates nothing itself, so that a test may make
// allocations fail meanwhile.
#include "tests/unit/wire/fake_registry.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/test.h"

static void keep_text(char *out, size_t size, const char *text) {
  snprintf(out, size, "%s", text == NULL ? "" : text);
}

// Gives the first half of what was announced, then breaks off.
static ssize_t read_half(void *user, uint64_t position, char *out, size_t most) {
  const struct fake_registry *fake = user;
  if (position >= fake->body_size) return MHD_CONTENT_READER_END_WITH_ERROR;
  size_t left = fake->body_size - (size_t)position;
  size_t size = left < most ? left : most;
  memcpy(out, fake->body + position, size);
  return (ssize_t)size;
}

static struct MHD_Response *make_response(struct fake_registry *fake) {
  struct MHD_Response *response =
      fake->truncated
          ? MHD_create_response_from_callback(2 * fake->body_size, 1024, read_half, fake, NULL)
          : MHD_create_response_from_buffer(fake->body_size, (void *)(uintptr_t)fake->body,
                                            MHD_RESPMEM_MUST_COPY);
  MHD_add_response_header(response, "Content-Type", "application/vnd.schemaregistry.v1+json");
  if (fake->location != NULL) MHD_add_response_header(response, "Location", fake->location);
  return response;
}

static const char *header(struct MHD_Connection *connection, const char *name) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **request) {
  (void)version;
  struct fake_registry *fake = user;
  enum MHD_Result result = MHD_YES;
  pthread_mutex_lock(&fake->lock);
  if (*request == NULL) {
    *request = fake;  // the head has been seen
    fake->received_size = 0;
  } else if (*data_size > 0) {
    size_t room = sizeof fake->received - fake->received_size;
    size_t size = *data_size < room ? *data_size : room;
    memcpy(fake->received + fake->received_size, data, size);
    fake->received_size += size;
    *data_size = 0;
  } else {
    const char *query = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "verbose");
    fake->count++;
    keep_text(fake->method, sizeof fake->method, method);
    snprintf(fake->path, sizeof fake->path, "%s%s%s", url,
             query == NULL ? "" : "?verbose=", query == NULL ? "" : query);
    keep_text(fake->content_type, sizeof fake->content_type, header(connection, "Content-Type"));
    keep_text(fake->authorization, sizeof fake->authorization, header(connection, "Authorization"));
    struct MHD_Response *response = make_response(fake);
    result = MHD_queue_response(connection, fake->status, response);
    MHD_destroy_response(response);
  }
  pthread_mutex_unlock(&fake->lock);
  return result;
}

void fake_registry_start(struct fake_registry *fake, unsigned port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  memset(fake, 0, sizeof *fake);
  pthread_mutex_init(&fake->lock, NULL);
  fake->status = 404;
  fake->body = "";
  fake->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, fake,
                                  MHD_OPTION_SOCK_ADDR, &address,
                                  MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
  assert_non_null(fake->daemon);
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(fake->daemon, MHD_DAEMON_INFO_BIND_PORT);
  snprintf(fake->url, sizeof fake->url, "http://127.0.0.1:%u", (unsigned)info->port);
}

void fake_registry_stop(struct fake_registry *fake) {
  MHD_stop_daemon(fake->daemon);
  pthread_mutex_destroy(&fake->lock);
}

void fake_registry_answer_bytes(struct fake_registry *fake, unsigned status, const char *body,
                                size_t size) {
  pthread_mutex_lock(&fake->lock);
  fake->status = status;
  fake->body = body;
  fake->body_size = size;
  pthread_mutex_unlock(&fake->lock);
}

void fake_registry_answer(struct fake_registry *fake, unsigned status, const char *body) {
  fake_registry_answer_bytes(fake, status, body, strlen(body));
}

unsigned fake_registry_count(struct fake_registry *fake) {
  pthread_mutex_lock(&fake->lock);
  unsigned count = fake->count;
  pthread_mutex_unlock(&fake->lock);
  return count;
}

bool fake_registry_asked(struct fake_registry *fake, const char *method, const char *path,
                         const char *body) {
  pthread_mutex_lock(&fake->lock);
  bool same = strcmp(fake->method, method) == 0 && strcmp(fake->path, path) == 0;
  if (same && body != NULL) {
    same = fake->received_size == strlen(body) &&
           memcmp(fake->received, body, fake->received_size) == 0;
  }
  pthread_mutex_unlock(&fake->lock);
  return same;
}

int silent_server(char url[64]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 16), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
  snprintf(url, 64, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
  return fd;
}
