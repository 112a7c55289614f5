// SPDX-License-Identifier: Apache-2.0
// Look-up in the topic catalogue, whose table is generated.
#include "contract/catalogue.h"

#include "records.h"

_Static_assert((int)EE_TOPIC_ADMISSION == (int)EE_PHASE_ADMISSION &&
                   (int)EE_TOPIC_RESOLVED == (int)EE_PHASE_RESOLVED &&
                   (int)EE_TOPIC_FINALIZED == (int)EE_PHASE_FINALIZED &&
                   (int)EE_TOPIC_FAILED == (int)EE_PHASE_FAILED &&
                   (int)EE_TOPIC_RELEASED == (int)EE_PHASE_RELEASED &&
                   (int)EE_TOPIC_ANNOTATION == (int)EE_PHASE_ANNOTATION &&
                   (int)EE_PHASE_OTHER == EE_PHASE_TOPICS,
               "the phases are the first topics, in the same order");

int ee_topic_find(struct ee_str name) {
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (ee_str_equal(ee_str(ee_topics[i].name), name)) return i;
  }
  return -1;
}
