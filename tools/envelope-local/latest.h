// SPDX-License-Identifier: Apache-2.0
// The last record under each key of a topic, as compaction would leave it.
#ifndef EE_TOOLS_LATEST_H
#define EE_TOOLS_LATEST_H

#include "stream/embedded_broker.h"

struct latest {
  struct ee_message *items;  // owned array; what they point to is borrowed; no tombstones
  size_t count;
};

// Borrows the messages until the cluster's next append. False: no memory.
bool latest_of(struct ee_cluster *cluster, enum ee_topic topic, struct latest *ret);
void latest_release(struct latest *latest);

#endif
