// SPDX-License-Identifier: Apache-2.0
// Which topic `envelopectl cat` was told to print. Pure.
#ifndef EE_TOOLS_ENVELOPECTL_CAT_H
#define EE_TOOLS_ENVELOPECTL_CAT_H

#include "stream/client.h"

// A name of the catalogue gets the prefix; any other is a whole name. Returns the topic of
// the catalogue whose values it holds, also where it has another prefix, or -1. given and
// prefix together are shorter than EE_TOPIC_NAME_SIZE.
int ee_cat_topic(const char *prefix, const char *given, char out[EE_TOPIC_NAME_SIZE]);

#endif
