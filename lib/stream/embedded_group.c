// SPDX-License-Identifier: Apache-2.0
// Consumer groups of the embedded cluster: who is in, who has which partitions, and what
// is committed. A join or leave begins a rebalance, during which members may still commit
// under the old generation; the new one begins when each has given up what it had.
#include <stdlib.h>

#include "stream/embedded_cluster.h"

static void member_free(struct ee_member *member) {
  free(member->instance);
  free(member->assigned);
  free(member);
}

static void group_free(struct ee_group *group) {
  for (struct ee_member *member = group->members, *next; member != NULL; member = next) {
    next = member->next;
    member_free(member);
  }
  free(group->name);
  free(group->offsets);
  free(group);
}

void ee_groups_free(struct ee_cluster *cluster) {
  for (struct ee_group *group = cluster->groups, *next; group != NULL; group = next) {
    next = group->next;
    group_free(group);
  }
  cluster->groups = NULL;
}

struct ee_group *ee_group_of(struct ee_cluster *cluster, const char *name) {
  struct ee_group *group = cluster->groups;
  while (group != NULL && strcmp(group->name, name) != 0)
    group = group->next;
  if (group != NULL) return group;
  size_t logs = cluster->first_log[EE_TOPIC_COUNT];
  group = calloc(1, sizeof *group);
  if (group == NULL) return NULL;
  group->name = strdup(name);
  group->offsets = malloc(logs * sizeof *group->offsets);
  if (group->name == NULL || group->offsets == NULL) {
    group_free(group);
    return NULL;
  }
  for (size_t i = 0; i < logs; i++) {
    group->offsets[i] = (struct ee_committed){.offset = EE_OFFSET_NONE};
  }
  group->next = cluster->groups;
  cluster->groups = group;
  return group;
}

// ---- Assignment: Kafka's range assignor. Per topic, members by instance; each has
// count / n partitions in a row, the first count % n one more.

static void assign_topic(const struct ee_cluster *cluster, struct ee_group *group,
                         enum ee_topic topic) {
  int32_t members = 0, next = 0;
  for (struct ee_member *member = group->members; member != NULL; member = member->next) {
    if (member->topics[topic]) members++;
  }
  if (members == 0) return;
  int32_t count = ee_cluster_partitions(cluster, topic);
  int32_t each = count / members, extra = count % members;
  for (struct ee_member *member = group->members; member != NULL; member = member->next) {
    if (!member->topics[topic]) continue;
    int32_t end = next + each + (extra-- > 0 ? 1 : 0);
    for (; next < end; next++) {
      member->assigned[member->assigned_count++] =
          (struct ee_tp){.topic = topic, .partition = next};
    }
  }
}

static void complete_when_all_joined(const struct ee_cluster *cluster, struct ee_group *group) {
  struct ee_member *member;
  if (!group->rebalancing) return;
  for (member = group->members; member != NULL; member = member->next) {
    if (!member->joined) return;
  }
  group->rebalancing = false;
  group->generation++;
  for (member = group->members; member != NULL; member = member->next) {
    member->joined = false;
    member->offered = true;
    member->assigned_count = 0;
  }
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    assign_topic(cluster, group, topic);
  }
}

// ---- Membership.

static bool make_room(const struct ee_cluster *cluster, struct ee_member *member,
                      const bool topics[EE_TOPIC_COUNT]) {
  size_t count = 1;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    if (topics[topic]) count += (size_t)ee_cluster_partitions(cluster, topic);
  }
  struct ee_tp *assigned = realloc(member->assigned, count * sizeof *assigned);
  if (assigned == NULL) return false;
  member->assigned = assigned;
  return true;
}

static struct ee_member *add_member(const struct ee_cluster *cluster, struct ee_group *group,
                                    const char *instance, const bool topics[EE_TOPIC_COUNT]) {
  struct ee_member *member = calloc(1, sizeof *member);
  if (member == NULL) return NULL;
  member->instance = strdup(instance);
  if (member->instance == NULL || !make_room(cluster, member, topics)) {
    member_free(member);
    return NULL;
  }
  memcpy(member->topics, topics, sizeof member->topics);
  member->joined = true;
  struct ee_member **link = &group->members;
  while (*link != NULL && strcmp((*link)->instance, instance) < 0)
    link = &(*link)->next;
  member->next = *link;
  *link = member;
  group->rebalancing = true;
  return member;
}

// A static member that comes back keeps its partitions, and nobody else notices; with
// other topics it is a change like any other.
static bool take_place(const struct ee_cluster *cluster, struct ee_group *group,
                       struct ee_member *member, const bool topics[EE_TOPIC_COUNT]) {
  bool same = memcmp(member->topics, topics, sizeof member->topics) == 0;
  if (!same && !make_room(cluster, member, topics)) return false;
  memcpy(member->topics, topics, sizeof member->topics);
  if (!same) group->rebalancing = true;
  member->joined = group->rebalancing;
  member->offered = !group->rebalancing;
  return true;
}

struct ee_member *ee_group_join(struct ee_cluster *cluster, struct ee_group *group,
                                const char *instance, const bool topics[EE_TOPIC_COUNT],
                                struct ee_client *client, struct ee_client **ret_replaced) {
  struct ee_member *member = group->members;
  while (member != NULL && strcmp(member->instance, instance) != 0)
    member = member->next;
  *ret_replaced = NULL;
  if (member == NULL) {
    member = add_member(cluster, group, instance, topics);
  } else if (!take_place(cluster, group, member, topics)) {
    member = NULL;
  } else {
    *ret_replaced = member->client;
  }
  if (member == NULL) return NULL;
  member->client = client;
  complete_when_all_joined(cluster, group);
  return member;
}

void ee_group_rejoin(struct ee_cluster *cluster, struct ee_group *group, struct ee_member *member) {
  member->joined = true;
  member->offered = false;  // of a generation that is over
  complete_when_all_joined(cluster, group);
}

void ee_group_remove(struct ee_cluster *cluster, struct ee_group *group, struct ee_member *member) {
  struct ee_member **link = &group->members;
  while (*link != member)
    link = &(*link)->next;
  *link = member->next;
  member_free(member);
  group->rebalancing = true;
  complete_when_all_joined(cluster, group);
}

void ee_cluster_expire(struct ee_cluster *cluster, const char *group_name, const char *instance) {
  struct ee_group *group = cluster->groups;
  while (group != NULL && strcmp(group->name, group_name) != 0)
    group = group->next;
  struct ee_member *member = group == NULL ? NULL : group->members;
  while (member != NULL && strcmp(member->instance, instance) != 0)
    member = member->next;
  if (member != NULL) {
    if (member->client != NULL) ee_client_expire(member->client);
    ee_group_remove(cluster, group, member);
  }
  struct ee_producer *producer = ee_producer_of(cluster, group_name, instance);
  if (producer != NULL) ee_producer_fence(cluster, producer);
}

// ---- Offsets.

bool ee_group_pending(const struct ee_cluster *cluster, const struct ee_group *group,
                      struct ee_tp tp) {
  const struct ee_producer *producer = cluster->producers;
  for (; producer != NULL; producer = producer->next) {
    if (producer->group != group) continue;
    for (size_t i = 0; i < producer->offset_count; i++) {
      struct ee_tp pending = producer->offsets[i].tp;
      if (pending.topic == tp.topic && pending.partition == tp.partition) return true;
    }
  }
  return false;
}
