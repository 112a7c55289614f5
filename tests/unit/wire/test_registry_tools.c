// SPDX-License-Identifier: Apache-2.0
// What tools ask of a registry, waiting for the answer.
#include "wire/registry.h"

#include <unistd.h>

#include "tests/support/test.h"
#include "tests/unit/wire/registry_fixture.h"

static void tools_register(void **state) {
  struct registry_fixture *f = *state;
  int32_t id = 0;
  struct ee_err err = {.text = ""};
  fake_registry_answer(&f->fake, 200, "{\"id\":3}");
  assert_true(ee_registry_register(f->registry, "s-value", EE_STR("\"long\""), &id, &err));
  assert_int_equal(id, 3);
  assert_true(fake_registry_asked(&f->fake, "POST", "/subjects/s-value/versions",
                                  "{\"schema\":\"\\\"long\\\"\"}"));
  fake_registry_answer(&f->fake, 409, "{\"error_code\":409,\"message\":\"incompatible\"}");
  assert_false(ee_registry_register(f->registry, "s-value", EE_STR("\"long\""), &id, &err));
  assert_string_equal(err.text, "s-value: HTTP 409: incompatible");
  fake_registry_answer(&f->fake, 503, "{\"message\":\"later\"}");
  assert_false(ee_registry_register(f->registry, "s-value", EE_STR("\"long\""), &id, &err));
  assert_non_null(strstr(err.text, "/subjects/s-value/versions: HTTP 503: later"));
  fake_registry_answer(&f->fake, 200, "{\"id\":3}");
  assert_false(ee_registry_register(f->registry, "s-value", EE_STR("\xFF"), &id, &err));
}

static void tools_check(void **state) {
  struct registry_fixture *f = *state;
  bool compatible = false;
  struct ee_err err, why_not;
  fake_registry_answer(&f->fake, 200, "{\"is_compatible\":true}");
  assert_true(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_true(compatible);
  assert_true(fake_registry_asked(&f->fake, "POST",
                                  "/compatibility/subjects/s-value/versions?verbose=true",
                                  "{\"schema\":\"x\"}"));
  fake_registry_answer(&f->fake, 200, "{\"is_compatible\":false,\"messages\":[\"field a\"]}");
  assert_true(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_false(compatible);
  assert_string_equal(why_not.text, "field a");
  fake_registry_answer(&f->fake, 404, "{\"error_code\":40401}");
  assert_true(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_true(compatible);
  fake_registry_answer(&f->fake, 422, "{\"message\":\"bad\"}");
  assert_false(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_string_equal(err.text, "s-value: HTTP 422: bad");
}

static void tools_set_compatibility(void **state) {
  struct registry_fixture *f = *state;
  struct ee_err err;
  fake_registry_answer(&f->fake, 200, "{\"compatibility\":\"FULL_TRANSITIVE\"}");
  assert_true(ee_registry_set_compatibility(f->registry, "s", "FULL_TRANSITIVE", &err));
  assert_true(
      fake_registry_asked(&f->fake, "PUT", "/config/s", "{\"compatibility\":\"FULL_TRANSITIVE\"}"));
  fake_registry_answer(&f->fake, 422, "{\"message\":\"Invalid compatibility level\"}");
  assert_false(ee_registry_set_compatibility(f->registry, "s", "odd", &err));
  assert_string_equal(err.text, "s: HTTP 422: Invalid compatibility level");
  // After a PUT the same handle posts and gets again.
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 1, "\"string\"");
  assert_true(fake_registry_asked(&f->fake, "GET", "/schemas/ids/1", ""));
}

static void tools_go_from_url_to_url_and_give_up(void **state) {
  struct registry_fixture *f = *state;
  char silent[64], urls[200];
  int32_t id;
  struct ee_err err;
  int fd = silent_server(silent);
  snprintf(urls, sizeof urls, "%s,%s", silent, f->fake.url);
  f->settings.url = urls;
  f->settings.timeout_ms = 200;
  registry_open(f);
  fake_registry_answer(&f->fake, 200, "{\"id\":3}");
  assert_true(ee_registry_register(f->registry, "s", EE_STR("x"), &id, &err));
  f->settings.url = silent;
  registry_open(f);
  assert_false(ee_registry_register(f->registry, "s", EE_STR("x"), &id, &err));
  assert_non_null(strstr(err.text, "timed out"));
  close(fd);
}

int main(void) {
  registry_without_proxy();
  const struct CMUnitTest tests[] = {
      WITH_REGISTRY(tools_register),
      WITH_REGISTRY(tools_check),
      WITH_REGISTRY(tools_set_compatibility),
      WITH_REGISTRY(tools_go_from_url_to_url_and_give_up),
  };
  return cmocka_run_group_tests_name("wire/registry_tools", tests, NULL, NULL);
}
