// SPDX-License-Identifier: Apache-2.0
// A record type made by hand that has what the contract's own types happen not to have
// all in one: aliases, defaults of every kind, every kind of value, nullable or not.
#ifndef EE_TESTS_THING_H
#define EE_TESTS_THING_H

#include "contract/record.h"

enum colour { RED, GREEN, BLUE };

struct part {
  struct ee_str name;
  int64_t weight;
};
struct part_array {
  struct part *items;
  size_t count;
};

struct thing {
  struct ee_bytes encoded;
  struct ee_str id;
  struct ee_opt_long size;
  int64_t total;
  int32_t level;
  bool flag;
  struct ee_str note;
  struct ee_str nick;
  int colour;
  struct ee_opt_enum trim;
  const uint8_t *mark;
  ee_int128 price;
  struct part main;
  struct part *spare;
  struct part_array parts;
  struct ee_str_map labels;
  struct ee_long_map counts;
};

// clang-format off
#define PART_JSON "{\"type\":\"record\",\"name\":\"Part\",\"fields\":[" \
  "{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"weight\",\"type\":\"long\",\"default\":5}]}"
#define COLOUR_JSON "{\"type\":\"enum\",\"name\":\"Colour\",\"symbols\":[\"RED\",\"GREEN\",\"BLUE\"]," \
  "\"default\":\"BLUE\"}"
#define THING_JSON "{\"type\":\"record\",\"name\":\"Thing\",\"namespace\":\"t\",\"fields\":[" \
  "{\"name\":\"id\",\"type\":\"string\"}," \
  "{\"name\":\"size\",\"type\":[\"null\",\"long\"],\"default\":null}," \
  "{\"name\":\"total\",\"type\":\"long\"}," \
  "{\"name\":\"level\",\"type\":\"int\",\"default\":7}," \
  "{\"name\":\"flag\",\"type\":\"boolean\",\"default\":true}," \
  "{\"name\":\"note\",\"type\":\"string\",\"default\":\"none\"}," \
  "{\"name\":\"nick\",\"type\":[\"string\",\"null\"]}," \
  "{\"name\":\"colour\",\"type\":" COLOUR_JSON ",\"default\":\"GREEN\"}," \
  "{\"name\":\"trim\",\"type\":[\"null\",\"Colour\"],\"default\":null}," \
  "{\"name\":\"mark\",\"type\":{\"type\":\"fixed\",\"name\":\"Mark\",\"size\":3}}," \
  "{\"name\":\"price\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":0}}," \
  "{\"name\":\"main\",\"type\":" PART_JSON "}," \
  "{\"name\":\"spare\",\"type\":[\"null\",\"Part\"],\"default\":null}," \
  "{\"name\":\"parts\",\"type\":{\"type\":\"array\",\"items\":\"Part\"},\"default\":[]}," \
  "{\"name\":\"labels\",\"type\":{\"type\":\"map\",\"values\":\"string\"},\"default\":{}}," \
  "{\"name\":\"counts\",\"type\":{\"type\":\"map\",\"values\":\"long\"},\"default\":{}}]}"
// clang-format on

static const struct ee_str colour_symbols[] = {
    {.data = "RED", .size = 3}, {.data = "GREEN", .size = 5}, {.data = "BLUE", .size = 4}};
static const struct ee_enum_type colour_type = {
    .name = "Colour", .symbols = colour_symbols, .count = 3, .fallback = BLUE};

static const struct ee_field part_fields[] = {
    {.name = "name", .type = {.kind = EE_TYPE_STRING}, .offset = offsetof(struct part, name)},
    {.name = "weight",
     .type = {.kind = EE_TYPE_LONG},
     .offset = offsetof(struct part, weight),
     .fallback = "5"}};
static const char *const part_aliases[] = {"Piece", NULL};
static const struct ee_record_type part_type = {.name = "Part",
                                                .full_name = "t.Part",
                                                .fields = part_fields,
                                                .count = 2,
                                                .size = sizeof(struct part),
                                                .aliases = part_aliases};

static const struct ee_type thing_part = {.kind = EE_TYPE_RECORD, .record = &part_type};
static const struct ee_type thing_string = {.kind = EE_TYPE_STRING};
static const struct ee_type thing_long = {.kind = EE_TYPE_LONG};
static const char *const total_aliases[] = {"sum", "amount", NULL};

#define THING(NAME) .name = #NAME, .offset = offsetof(struct thing, NAME)
static const struct ee_field thing_fields[] = {
    {THING(id), .type = {.kind = EE_TYPE_STRING}, .check = EE_CHECK_IDENTIFIER},
    {THING(size), .type = {.kind = EE_TYPE_LONG, .nullable = true}, .fallback = "null"},
    {THING(total), .type = {.kind = EE_TYPE_LONG}, .aliases = total_aliases},
    {THING(level), .type = {.kind = EE_TYPE_INT}, .fallback = "7"},
    {THING(flag), .type = {.kind = EE_TYPE_BOOLEAN}, .fallback = "true"},
    {THING(note), .type = {.kind = EE_TYPE_STRING}, .fallback = "\"none\""},
    {THING(nick), .type = {.kind = EE_TYPE_STRING, .nullable = true, .null_second = true}},
    {THING(colour), .type = {.kind = EE_TYPE_ENUM, .enumeration = &colour_type},
     .fallback = "\"GREEN\""},
    {THING(trim), .type = {.kind = EE_TYPE_ENUM, .nullable = true, .enumeration = &colour_type},
     .fallback = "null"},
    {THING(mark), .type = {.kind = EE_TYPE_FIXED, .size = 3}},
    {THING(price), .type = {.kind = EE_TYPE_DECIMAL}},
    {THING(main), .type = {.kind = EE_TYPE_RECORD, .record = &part_type}},
    {THING(spare), .type = {.kind = EE_TYPE_RECORD, .nullable = true, .record = &part_type},
     .fallback = "null"},
    {THING(parts),
     .type = {.kind = EE_TYPE_ARRAY, .size = sizeof(struct part), .item = &thing_part},
     .fallback = "[]"},
    {THING(labels),
     .type = {.kind = EE_TYPE_MAP, .size = sizeof(struct ee_str_entry), .item = &thing_string},
     .fallback = "{}"},
    {THING(counts),
     .type = {.kind = EE_TYPE_MAP, .size = sizeof(struct ee_long_entry), .item = &thing_long},
     .fallback = "{}"}};
#undef THING

// The fingerprint is what test_plan finds for the text.
static const struct ee_record_type thing_type = {.name = "Thing",
                                                 .full_name = "t.Thing",
                                                 .fields = thing_fields,
                                                 .count = 16,
                                                 .size = sizeof(struct thing),
                                                 .schema = THING_JSON,
                                                 .schema_size = sizeof(THING_JSON) - 1,
                                                 .fingerprint = UINT64_C(0xd781f699472d808b)};

#endif
