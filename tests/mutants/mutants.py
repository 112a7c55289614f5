# SPDX-License-Identifier: Apache-2.0
"""Deliberate mistakes, each of which the simulator or a unit test must find.

A mutant replaces `old`, which is in its file exactly once, by `new`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    name: str
    file: str
    old: str
    new: str


TRANSACTION = "lib/stream/transaction.c"
PARTITION = "lib/stream/partition.c"
ASSIGNMENT = "lib/stream/assignment.c"
RESTORE = "lib/stream/restore.c"

MUTANTS = [
    Mutant(
        "state is committed before the transaction",
        TRANSACTION,
        "  ee_store_seal(rt->store);\n",
        "  ee_store_seal(rt->store);\n  ee_store_commit(rt->store);\n",
    ),
    Mutant(
        "state changelogs are restored to the last stable offset",
        ASSIGNMENT,
        "rt->assignment_operation.isolation = EE_READ_UNCOMMITTED;",
        "rt->assignment_operation.isolation = EE_READ_COMMITTED;",
    ),
    Mutant(
        "the own tail is not read again after an unknown end",
        TRANSACTION,
        "      assignment_again(rt);  // first: what was committed, and so where to read, is not known\n",
        "",
    ),
    Mutant(
        "partitions are given up with the transaction under way",
        ASSIGNMENT,
        '    transaction_abort(rt, "partitions are revoked");\n    return;\n',
        "    ;\n",
    ),
    Mutant(
        "a commit whose end is unknown is believed",
        TRANSACTION,
        "  if (outcome == EE_INDEFINITE) {\n",
        "  if (outcome == EE_INDEFINITE && operation->kind == EE_OP_COMMIT) outcome = EE_DONE;\n"
        "  if (outcome == EE_INDEFINITE) {\n",
    ),
    Mutant(
        "a tick is applied before its records are read",
        PARTITION,
        "  if (!p->tick_loaded || tick_waits_for(rt, p) != EE_TOPIC_COUNT) return 0;\n",
        "  if (!p->tick_loaded) return 0;\n",
    ),
    Mutant(
        "records of a partition are stepped in the middle of a tick",
        PARTITION,
        "    if (p->tick_applying) break;\n",
        "",
    ),
    Mutant(
        "an older tick turns the clock back",
        PARTITION,
        "  if (!tick->as_of.present || tick->as_of.value <= p->clock) return false;\n",
        "  if (!tick->as_of.present) return false;\n",
    ),
    Mutant(
        "the clock is not kept",
        PARTITION,
        "  if (!save_state(step, p)) return false;\n  p->tick_loaded = false;\n",
        "  p->tick_loaded = false;\n",
    ),
    Mutant(
        "the clock of a batch that was thrown away stays",
        ASSIGNMENT,
        "    p->clock = INT64_MIN;  // that of a batch that may not have happened\n",
        "",
    ),
    Mutant(
        "an aborted batch's state stays",
        TRANSACTION,
        "  ee_store_abort(rt->store);\n",
        "",
    ),
    Mutant(
        "an aborted batch's outputs stay",
        TRANSACTION,
        "  output_clear(&rt->open_outputs);\n  output_clear(&rt->sealed_outputs);\n",
        "  output_clear(&rt->sealed_outputs);\n",
    ),
    Mutant(
        "an aborted batch's inputs are not read again",
        PARTITION,
        "    input->next = input->committed == EE_OFFSET_NONE ? EE_OFFSET_EARLIEST : input->committed;\n",
        "    if (input->next < 0)\n"
        "      input->next = input->committed == EE_OFFSET_NONE ? EE_OFFSET_EARLIEST : input->committed;\n",
    ),
    Mutant(
        "what was queued before a rewind is stepped",
        PARTITION,
        "    queue_clear(rt, &p->queues[topic]);\n    p->queues[topic].paused = false;\n",
        "    p->queues[topic].paused = false;\n",
    ),
    Mutant(
        "committed offsets are one too low",
        TRANSACTION,
        ".offset = p->inputs[topic].next};\n",
        ".offset = p->inputs[topic].next > 0 ? p->inputs[topic].next - 1 : 0};\n",
    ),
    Mutant(
        "offsets of one topic are not committed",
        TRANSACTION,
        "    bool again = all",
        "    if (topic == EE_TOPIC_RESOLVED) continue;\n    bool again = all",
    ),
    Mutant(
        "positions count as committed when they are sealed",
        TRANSACTION,
        "    p->inputs[topic].dirty = false;\n",
        "    p->inputs[topic].dirty = false;\n    p->inputs[topic].committed = p->inputs[topic].next;\n",
    ),
    Mutant(
        "a restore begins one record late",
        RESTORE,
        "    restore->from = kept && useless == NULL ? offsets[i] : EE_OFFSET_EARLIEST;\n",
        "    restore->from = kept && useless == NULL ? offsets[i] + 1 : EE_OFFSET_EARLIEST;\n",
    ),
    Mutant(
        "a restore ends one record early",
        RESTORE,
        "  if (rt->broker->ops->position(rt->broker, tp) < restore->end) return false;\n",
        "  if (rt->broker->ops->position(rt->broker, tp) < restore->end - 2) return false;\n",
    ),
    Mutant(
        "a restore passes over tombstones",
        RESTORE,
        "    return ee_store_restore(rt->store, key, (struct ee_bytes){0}, EE_NEVER, &rt->trouble);\n",
        "    return true;\n",
    ),
    Mutant(
        "a restored key is never woken",
        RESTORE,
        "  return ee_store_restore(rt->store, key, value, wake_at, &rt->trouble);\n",
        "  (void)wake_at;\n  return ee_store_restore(rt->store, key, value, EE_NEVER, &rt->trouble);\n",
    ),
    Mutant(
        "a checkpoint's ends are asked for while a commit is under way",
        TRANSACTION,
        "  if (rt->transaction != TRANSACTION_NONE && rt->transaction != TRANSACTION_OPEN) return;\n",
        "",
    ),
    Mutant(
        "a checkpoint is written without proof",
        TRANSACTION,
        "  if (rt->checkpoint_answered) return;\n  rt->trouble = operation->err;\n",
        "  if (rt->checkpoint_answered) {\n    write_checkpoint(rt);\n    return;\n  }\n  rt->trouble = operation->err;\n",
    ),
    Mutant(
        "a checkpoint's ends outlive the assignment they were asked for",
        ASSIGNMENT,
        "static void release_partitions(struct ee_runtime *rt) {\n  checkpoint_forget(rt);\n",
        "static void release_partitions(struct ee_runtime *rt) {\n",
    ),
    Mutant(
        "a store that is ahead of the changelog is believed",
        RESTORE,
        '    if (offsets[i] > p->changelogs[i].end) return "it is ahead of the changelog";\n',
        "",
    ),
    Mutant(
        "a tick is dated by what was read after its offsets",
        "lib/stream/clock.c",
        "  int64_t as_of = rt->tick_as_of[number];\n",
        "  int64_t as_of = rt->newest_append;\n",
    ),
    Mutant(
        "a record is stepped before the policy is known",
        "lib/stream/policy.c",
        "         rt->policy.known_at >= append_time - margin / 2;\n",
        "         rt->policy.known_at >= append_time - 100 * margin;\n",
    ),
    Mutant(
        "the policy counts as known when it was asked for",
        "lib/stream/policy.c",
        "      (log->end == 0 || rt->broker->ops->position(rt->broker, policy_tp) >= log->end)) {\n",
        "      log->end >= 0) {\n",
    ),
    Mutant(
        "a woken key's value is that of before",
        "processors/join/step.c",
        "  if (!woken && ee_bytes_equal(value, work->lifecycle)) return true;\n",
        "  if (ee_bytes_equal(value, work->lifecycle)) return true;\n",
    ),
    Mutant(
        "a tick judges what lies beyond its offsets",
        "processors/join/step.c",
        "  if (!ee_joined_below(&work->joined, tick->offsets, work->arena, &below)) return false;\n",
        "  below = work->joined;\n",
    ),
    Mutant(
        "a number that comes too late is not missing",
        "processors/join/sequence.c",
        "  if (gap->exposed != NULL && time >= limit(gap, sequence->grace_ms)) return;\n",
        "  (void)time;\n",
    ),
    Mutant(
        "what is read first shows a number to be missing, not what was appended first",
        "processors/join/sequence.c",
        "    if (gap->exposed == NULL || before(at, gap->exposed)) gap->exposed = at;\n",
        "    if (gap->exposed == NULL) gap->exposed = at;\n",
    ),
    Mutant(
        "holes are judged with no grace for brokers' clocks",
        "processors/join/sequence.c",
        "EE_NEVER : ee_join_after(limit(gap, grace_ms), grace_ms);\n",
        "EE_NEVER : limit(gap, grace_ms);\n",
    ),
    Mutant(
        "the number of a dead letter is missing",
        PARTITION,
        "  return rt->ops->refused(rt->processor->self, step, &input);\n",
        "  return input.record == NULL;\n",
    ),
    Mutant(
        "an audit entry's number is not kept",
        "processors/governance/step.c",
        "  return put_state(step, ee_buf_bytes(&key), &state, EE_NEVER);\n",
        "  return *ret % 7 == 3 || put_state(step, ee_buf_bytes(&key), &state, EE_NEVER);\n",
    ),
    Mutant(
        "a tick books nothing",
        "processors/accounting/step.c",
        "  after.booked_until = until < most ? until : most;\n",
        "  after.booked_until = before.booked_until;\n",
    ),
    Mutant(
        "a step that fails during a commit leaves its outputs",
        TRANSACTION,
        "    rt->batch_spoiled = true;\n",
        "    rt->batch_spoiled = false;\n",
    ),
    Mutant(
        "a record for which memory was out is refused",
        "lib/stream/intake.c",
        "  if (!rt->arena.starved) return INTAKE_REFUSED;\n",
        "  if (!good) return INTAKE_REFUSED;\n",
    ),
    Mutant(
        "steps go on while the disk takes nothing",
        TRANSACTION,
        "  return store_unwritten(rt) ||\n",
        "  return\n",
    ),
    Mutant(
        "a checkpoint's offsets come with its first part",
        "lib/stream/store_write.c",
        "  bool last = at == all->batch->count && entry == NULL;\n",
        "  bool last = true;\n",
    ),
    Mutant(
        "a restore that is cut short counts as done",
        RESTORE,
        "restore->reading ? restore->from : restore->end",
        "restore->end",
    ),
    Mutant(
        "what is left of a restore is not written before the first step",
        ASSIGNMENT,
        "  if (!restore_written(rt)) return;\n",
        "",
    ),
    Mutant(
        "the last record that was read is not compared",
        PARTITION,
        "  if (!same) {\n",
        "  if (!same && message->offset < 0) {\n",
    ),
    Mutant(
        "a record behind the one that is compared is dropped with it",
        PARTITION,
        "message->offset == input->kept.offset && message->timestamp_ms",
        "message->timestamp_ms",
    ),
    Mutant(
        "the record that is compared is taken for one that retention left",
        PARTITION,
        "input->kept.offset >= 0 && input->kept.offset >= input->log_start;",
        "input->kept.offset >= 0;",
    ),
    Mutant(
        "a log that breaks off is refused without a second look",
        ASSIGNMENT,
        "  if (partition_start_offset(input) == input->broken_at) {\n",
        "  if (input->broken_at != EE_OFFSET_NONE) {\n",
    ),
    Mutant(
        "a batch goes on when offsets are asked for again",
        ASSIGNMENT,
        "  if (!transaction_idle(rt)) transaction_abort(rt, why);\n",
        "  (void)why;\n",
    ),
    Mutant(
        "bookmarks tell of inputs whose commit was aborted",
        TRANSACTION,
        "  if ((dirty & ~p->read) != 0) all = true;\n",
        "  if ((dirty & ~p->read) != 0) all = true;\n  p->read |= dirty;\n",
    ),
    Mutant(
        "bookmarks do not tell of inputs that came later",
        TRANSACTION,
        "  if ((dirty & ~p->read) != 0) all = true;\n",
        "",
    ),
    Mutant(
        "a changelog that has become shorter is believed",
        RESTORE,
        "  if (end >= seen) return true;\n",
        "  if (end >= seen || seen > 0) return true;\n",
    ),
]
