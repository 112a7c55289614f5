// SPDX-License-Identifier: Apache-2.0
// What `envelopectl topics apply` has to do to make a cluster's topics those of the
// catalogue. Pure.
#ifndef EE_TOOLS_ENVELOPECTL_TOPICS_PLAN_H
#define EE_TOOLS_ENVELOPECTL_TOPICS_PLAN_H

#include "base/err.h"
#include "contract/catalogue.h"

#define EE_TOPIC_PARTITIONS 12  // of a new set, unless told (design, section 2)
#define EE_TOPIC_SETTINGS 4     // cleanup.policy, retention.ms, message.timestamp.type, ...
#define EE_TOPIC_VALUE_SIZE 64

extern const char *const ee_topic_setting_names[EE_TOPIC_SETTINGS];

struct ee_topic_values {
  char text[EE_TOPIC_SETTINGS][EE_TOPIC_VALUE_SIZE];
};

// What the catalogue says of a topic.
void ee_topic_values(enum ee_topic topic, struct ee_topic_values *ret);

struct ee_topic_found {
  int32_t partitions;  // 0: there is no such topic
  struct ee_topic_values values;
};

enum ee_topic_action { EE_TOPIC_KEEP, EE_TOPIC_CREATE, EE_TOPIC_CHANGE };

struct ee_topic_plan {
  enum ee_topic_action action;
  int32_t partitions;
  bool differs[EE_TOPIC_SETTINGS];  // CHANGE: which
};

// wanted: partitions of the common set; 0: as many as the set that is there has, else
// EE_TOPIC_PARTITIONS. Refuses a set whose counts differ among themselves or from what is
// wanted: growing moves keys away from their history.
bool ee_topics_plan(const struct ee_topic_found found[EE_TOPIC_COUNT], int32_t wanted,
                    struct ee_topic_plan ret[EE_TOPIC_COUNT], struct ee_err *err);

#endif
