// SPDX-License-Identifier: Apache-2.0
// What tests of the registry client have in common: a client of a fake registry. Time for
// the client is the test's own number; only the network runs by the machine's clock.
#ifndef EE_TESTS_UNIT_WIRE_REGISTRY_FIXTURE_H
#define EE_TESTS_UNIT_WIRE_REGISTRY_FIXTURE_H

#include "tests/unit/wire/fake_registry.h"
#include "wire/registry_impl.h"

#define STRING_SCHEMA "{\"schema\":\"\\\"string\\\"\"}"
#define NOT_FOUND "{\"error_code\":40403,\"message\":\"Schema not found\"}"
#define PATIENCE_MS 20000  // for what must come at once; only a failing test waits for it

struct registry_fixture {
  struct fake_registry fake;
  struct ee_registry_settings settings;
  struct ee_registry *registry;
  int64_t now_ms;
  char directory[64];  // for a cache; not set in settings
};

int registry_set_up(void **state);
int registry_tear_down(void **state);
#define WITH_REGISTRY(test) \
  cmocka_unit_test_setup_teardown(test, registry_set_up, registry_tear_down)
// A proxy of the machine's would stand between the test and its server.
void registry_without_proxy(void);

// A new client in place of the old one, by f->settings.
void registry_open(struct registry_fixture *f);
// Calls visit for each file below directory, if given; returns how many there are.
size_t visit_files(const char *directory, void (*visit)(const char *path));

// Both ask until there is an answer or the look-up is in trouble (PENDING).
enum ee_lookup ask_schema(struct registry_fixture *f, int32_t id, struct ee_str *ret,
                          struct ee_fault *fault);
enum ee_lookup ask_id(struct registry_fixture *f, const char *subject, int32_t *ret);
void assert_schema(struct registry_fixture *f, int32_t id, const char *text);
void assert_trouble(struct registry_fixture *f, int32_t id, const char *words);

#endif
