// SPDX-License-Identifier: Apache-2.0
// The options that programs have in common (design, "Programs and their common face"),
// and what is made from them.
#ifndef EE_STREAM_SETTINGS_H
#define EE_STREAM_SETTINGS_H

#include "base/option.h"
#include "stream/broker.h"
#include "wire/codec.h"

// Of every program that meets Kafka. The first member of its settings struct.
struct ee_client_settings {
  const char *bootstrap;
  const char *topic_prefix;
  struct ee_properties properties;
  const char *registry_url;
  const char *registry_user;
  const char *registry_ca;
  const char *registry_certificate;
  const char *registry_key;
  int64_t registry_timeout_ms;
  const char *schema_cache;
  const char *schema_directory;
  const char *log_level;
};

extern const struct ee_option ee_client_options[];

// Schemas, registry (if one is configured) and codec of a program.
struct ee_codec_set {
  struct ee_known *known;
  struct ee_registry *registry;
  struct ee_codec *codec;
};

// schema_cache: where to keep what the registry said if the settings name no directory;
// may be NULL.
bool ee_codec_set_init(struct ee_codec_set *set, const struct ee_client_settings *settings,
                       const char *schema_cache, struct ee_err *err);
void ee_codec_set_release(struct ee_codec_set *set);

// Sets up logging at settings->log_level, which the option table has checked.
void ee_client_log(const char *program, const char *instance,
                   const struct ee_client_settings *settings);

#endif
