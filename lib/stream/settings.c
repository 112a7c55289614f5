// SPDX-License-Identifier: Apache-2.0
// The options that programs have in common.
#include "stream/settings.h"

#include "base/log.h"

#define AT(FIELD) offsetof(struct ee_client_settings, FIELD)

static const char *const levels[] = {"debug", "info", "warn", "error"};  // by enum ee_level

// -1: no such level.
static int find_level(const char *name) {
  for (int i = 0; i < (int)(sizeof levels / sizeof *levels); i++) {
    if (strcmp(name, levels[i]) == 0) return i;
  }
  return -1;
}

static bool check_level(const char *text, struct ee_err *err) {
  return find_level(text) >= 0 || ee_err_set(err, "%s is none of debug, info, warn, error", text);
}

// librdkafka takes a list of nothing, and then waits for ever.
static bool check_bootstrap(const char *text, struct ee_err *err) {
  return text[strspn(text, ", \t")] != '\0' ||
         ee_err_set(err, "\"%s\" names no broker: give HOST:PORT, or several with commas", text);
}

static bool check_prefix(const char *text, struct ee_err *err) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  size_t size = strlen(text);
  return (size <= EE_TOPIC_PREFIX_MAX && strspn(text, allowed) == size) ||
         ee_err_set(err,
                    "\"%s\" has more than %d bytes, or others than letters, digits, '.', '_', '-'",
                    text, EE_TOPIC_PREFIX_MAX);
}

const struct ee_option ee_client_options[] = {
    {.name = "bootstrap",
     .argument = "HOST:PORT",
     .type = EE_OPTION_TEXT,
     .offset = AT(bootstrap),
     .fallback = "localhost:9092",
     .check = check_bootstrap,
     .doc = "Kafka brokers to start from, comma-separated."},
    {.name = "topic-prefix",
     .argument = "P",
     .type = EE_OPTION_TEXT,
     .offset = AT(topic_prefix),
     .fallback = "",
     .check = check_prefix,
     .doc = "Put before the name of every topic, so that a whole set lies beside another."},
    {.letter = 'X',
     .name = "property",
     .argument = "KEY=VALUE",
     .type = EE_OPTION_PROPERTY,
     .offset = AT(properties),
     .doc = "Handed to librdkafka: TLS, SASL and all else are its own settings. May be given "
            "many times."},
    {.name = "schema-registry",
     .argument = "URL",
     .type = EE_OPTION_TEXT,
     .offset = AT(registry_url),
     .doc = "Confluent-compatible schema registry; several URLs, comma-separated, are tried in "
            "turn. Without one, records are single-object encoded."},
    {.name = "schema-registry-user",
     .argument = "USER:PASSWORD",
     .type = EE_OPTION_TEXT,
     .offset = AT(registry_user),
     .doc = "Basic authentication at the registry. Better given in the environment or a file."},
    {.name = "schema-registry-ca",
     .argument = "FILE",
     .type = EE_OPTION_TEXT,
     .offset = AT(registry_ca),
     .doc = "Certificate authorities (PEM) to trust for the registry instead of the system's."},
    {.name = "schema-registry-cert",
     .argument = "FILE",
     .type = EE_OPTION_TEXT,
     .offset = AT(registry_certificate),
     .doc = "Client certificate (PEM) for the registry."},
    {.name = "schema-registry-key",
     .argument = "FILE",
     .type = EE_OPTION_TEXT,
     .offset = AT(registry_key),
     .doc = "Private key (PEM) of the client certificate."},
    {.name = "schema-registry-timeout",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(registry_timeout_ms),
     .fallback = "5s",
     .least = 10,
     .most = 600000,
     .doc = "Longest wait for one answer of the registry; it is then asked again."},
    {.name = "schema-cache",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(schema_cache),
     .doc = "Where schemas and ids from the registry are kept, so that a restart needs none. "
            "Processors default to a folder in their state directory."},
    {.name = "schema-dir",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(schema_directory),
     .doc = "Further schemas (.avsc), older or newer, by which single-object encoded records of "
            "other writers are read."},
    {.name = "log-level",
     .argument = "LEVEL",
     .type = EE_OPTION_TEXT,
     .offset = AT(log_level),
     .fallback = "info",
     .check = check_level,
     .doc = "Least level that is logged: debug, info, warn or error."},
    {.name = NULL}};

bool ee_codec_set_init(struct ee_codec_set *set, const struct ee_client_settings *settings,
                       const char *schema_cache, struct ee_err *err) {
  *set = (struct ee_codec_set){0};
  if (!ee_known_new(settings->schema_directory, &set->known, err)) {
    return ee_err_prefix(err, "--schema-dir");
  }
  if (settings->registry_url != NULL) {
    const char *cache = settings->schema_cache != NULL ? settings->schema_cache : schema_cache;
    struct ee_registry_settings registry = {.url = settings->registry_url,
                                            .user = settings->registry_user,
                                            .ca_file = settings->registry_ca,
                                            .certificate = settings->registry_certificate,
                                            .key = settings->registry_key,
                                            .cache_directory = cache,
                                            .timeout_ms = settings->registry_timeout_ms};
    if (!ee_registry_new(&registry, &set->registry, err)) {
      ee_err_prefix(err, "--schema-registry");
      goto failed;
    }
  }
  if (ee_codec_new(set->known, set->registry, settings->topic_prefix, &set->codec, err))
    return true;
failed:
  ee_codec_set_release(set);
  return false;
}

void ee_codec_set_release(struct ee_codec_set *set) {
  ee_codec_free(set->codec);
  ee_registry_free(set->registry);
  ee_known_free(set->known);
  *set = (struct ee_codec_set){0};
}

void ee_client_log(const char *program, const char *instance,
                   const struct ee_client_settings *settings) {
  ee_log_setup(program, instance, (enum ee_level)find_level(settings->log_level));
}
