// SPDX-License-Identifier: Apache-2.0
// One process of a processor: started, stopped, killed, with its store on a disk that keeps
// what was written, as a page cache does when a process is killed.
#ifndef EE_TESTS_SIMULATE_INSTANCE_H
#define EE_TESTS_SIMULATE_INSTANCE_H

#include "stream/embedded_broker.h"
#include "stream/runtime.h"
#include "support/faulty_broker.h"

#define DIRECTORY_MAX 256

struct instance {
  const struct ee_processor *processor;
  struct ee_cluster *cluster;
  struct ee_codec *codec;
  char name[8];                   // group.instance.id
  char directory[DIRECTORY_MAX];  // "" : the store is in memory
  struct ee_runtime_settings settings;

  bool up;
  struct ee_broker *broker;
  struct faulty_broker faulty;
  struct ee_store *store;
  struct ee_metrics metrics;
  struct ee_runtime *runtime;

  int frozen_until;  // turns
  int short_of_memory_until, short_of_disk_until;
  bool bad_disk;    // writes have failed otherwise than for want of room
  int starts_at;    // when it is down; 0: does not
  int given_up_at;  // when it is down, and the cluster has not noticed; 0: has
};

// False: it has ended again.
bool instance_start(struct instance *instance, struct ee_err *err);
// After a runtime that is DONE or FAILED: leaves the group, closes the store.
void instance_close(struct instance *instance);
// The process is gone at once; the store is as the last write left it.
bool instance_kill(struct instance *instance, struct ee_err *err);

// Of an instance that is down:
bool instance_lose_store(struct instance *instance, struct ee_err *err);
// Changes so many bytes of it.
bool instance_corrupt_store(struct instance *instance, uint64_t random, int bytes,
                            struct ee_err *err);
bool instance_save_store(const struct instance *instance, const char *directory,
                         struct ee_err *err);
bool instance_restore_store(struct instance *instance, const char *directory, struct ee_err *err);

#endif
