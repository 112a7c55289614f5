// SPDX-License-Identifier: Apache-2.0
// The watching server over libmicrohttpd, polled from outside through epoll. The socket
// is our own, for clear errors and to know its port.
#include "stream/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_MAX 256
#define BODY_MAX ((size_t)4 << 20)
#define TIMEOUT_S 10U
#define CONNECTION_MEMORY ((size_t)16384)
#define BACKLOG 64
#define STEPS_MAX 8  // of one turn

struct ee_http {
  struct ee_http_source source;
  struct MHD_Daemon *daemon;
  int port;
};

// ---- Listening.

// Splits "host:port" and "[host]:port" at the last colon.
static bool split_address(const char *address, char host[HOST_MAX], const char **ret_port) {
  const char *colon = strrchr(address, ':');
  if (colon == NULL || colon[1] == '\0') return false;
  const char *begin = address, *end = colon;
  if (begin[0] == '[') {
    if (end - begin < 2 || end[-1] != ']') return false;
    begin++;
    end--;
  } else if (memchr(begin, ':', (size_t)(end - begin)) != NULL) {
    return false;
  }
  size_t size = (size_t)(end - begin);
  if (size >= HOST_MAX) return false;
  memcpy(host, begin, size);
  host[size] = '\0';
  *ret_port = colon + 1;
  return true;
}

// getaddrinfo takes larger ones, and then their low 16 bits.
static bool is_port(const char *text) {
  return strspn(text, "0123456789") == strlen(text) && strlen(text) <= 5 &&
         strtol(text, NULL, 10) <= 65535;
}

bool ee_http_check(const char *address, struct ee_err *err) {
  char host[HOST_MAX];
  const char *port;
  if (!split_address(address, host, &port)) {
    return ee_err_set(err, "\"%s\" is not HOST:PORT", address);
  }
  return is_port(port) || ee_err_set(err, "\"%s\" is not HOST:PORT: ports are 0 to 65535", address);
}

static int listen_on(const struct addrinfo *where) {
  int type = where->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, yes = 1;
  int fd = socket(where->ai_family, type, where->ai_protocol);
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
      bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
    return fd;
  }
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static int open_socket(const char *address, struct ee_err *err) {
  char host[HOST_MAX];
  const char *port;
  if (!ee_http_check(address, err) || !split_address(address, host, &port)) return -1;
  struct addrinfo hints = {
      .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
  struct addrinfo *found;
  int code = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &found);
  if (code != 0) {
    ee_err_set(err, "cannot listen on %s: %s", address, gai_strerror(code));
    return -1;
  }
  int fd = -1, error = 0;
  for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
    fd = listen_on(at);
    if (fd < 0) error = errno;
  }
  freeaddrinfo(found);
  if (fd < 0) ee_err_set(err, "cannot listen on %s: %s", address, strerror(error));
  return fd;
}

static int port_of(int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
  } name;
  socklen_t size = sizeof name;
  if (getsockname(fd, &name.any, &size) != 0) return 0;
  return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

// ---- Answering.

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type,
                               struct ee_bytes body) {
  struct MHD_Response *response = MHD_create_response_from_buffer(
      body.size, body.size == 0 ? NULL : (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
  if (response == NULL) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  enum MHD_Result result = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result respond_text(struct MHD_Connection *connection, unsigned status,
                                    const char *text) {
  return respond(connection, status, "text/plain; charset=utf-8", ee_str_bytes(ee_str(text)));
}

static enum MHD_Result respond_metrics(const struct ee_http *http,
                                       struct MHD_Connection *connection) {
  struct ee_buf body;
  ee_buf_init(&body, BODY_MAX);
  http->source.metrics(http->source.context, &body);
  enum MHD_Result result =
      body.failed ? respond_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n")
                  : respond(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                            ee_buf_bytes(&body));
  ee_buf_release(&body);
  return result;
}

static enum MHD_Result respond_ready(const struct ee_http *http,
                                     struct MHD_Connection *connection) {
  struct ee_err why_not = {""};
  if (http->source.ready(http->source.context, &why_not)) {
    return respond_text(connection, MHD_HTTP_OK, "ready\n");
  }
  char line[EE_ERR_MAX + 1];
  snprintf(line, sizeof line, "%s\n", why_not.text);
  return respond_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, line);
}

static bool has_body(struct MHD_Connection *connection) {
  return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH) !=
             NULL ||
         MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                     MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static enum MHD_Result answer_path(const struct ee_http *http, struct MHD_Connection *connection,
                                   const char *url) {
  if (strcmp(url, "/metrics") == 0) return respond_metrics(http, connection);
  if (strcmp(url, "/healthz") == 0) return respond_text(connection, MHD_HTTP_OK, "alive\n");
  if (strcmp(url, "/readyz") == 0) return respond_ready(http, connection);
  return respond_text(connection, MHD_HTTP_NOT_FOUND, "try /metrics, /healthz or /readyz\n");
}

// Called once with the headers and again when the request is whole. An answer at the
// first call ends the connection: a body, which nobody needs, is never waited for.
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request) {
  (void)version, (void)upload, (void)upload_size;
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
    return respond_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
  }
  if (*request == NULL && !has_body(connection)) {
    *request = context;
    return MHD_YES;
  }
  return answer_path(context, connection, url);
}

// ---- Life.

bool ee_http_new(const char *address, const struct ee_http_source *source, struct ee_http **ret,
                 struct ee_err *err) {
  struct ee_http *http = calloc(1, sizeof *http);
  if (http == NULL) return ee_err_set(err, "no memory");
  http->source = *source;
  int fd = open_socket(address, err);
  if (fd < 0) goto out;
  http->port = port_of(fd);
  http->daemon = MHD_start_daemon(
      MHD_USE_EPOLL, 0, NULL, NULL, answer, http, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)EE_HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
      TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_END);
  if (http->daemon == NULL) {
    ee_err_set(err, "cannot serve HTTP on %s: %s", address, strerror(errno));
    close(fd);
    goto out;
  }
  *ret = http;
  return true;
out:
  ee_http_free(http);
  return false;
}

int ee_http_port(const struct ee_http *http) {
  return http->port;
}

void ee_http_turn(struct ee_http *http) {
  MHD_UNSIGNED_LONG_LONG wait;
  for (int i = 0; i < STEPS_MAX; i++) {
    MHD_run(http->daemon);
    // 0 says that it has more to do at once.
    if (MHD_get_timeout(http->daemon, &wait) != MHD_YES || wait > 0) break;
  }
}

void ee_http_free(struct ee_http *http) {
  if (http == NULL) return;
  if (http->daemon != NULL) MHD_stop_daemon(http->daemon);
  free(http);
}
