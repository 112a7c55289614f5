// SPDX-License-Identifier: Apache-2.0
// The sender's turns: results come in, what is done is settled in the spool's order, what can be
// sent is sent.
#include "client/sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/sender_impl.h"

#define SEND_RECORDS 1000  // of one turn
#define RETRY_MS 100
#define PATIENCE_MS 5000  // without progress, before it is told
#define TROUBLE_MS 30000  // how often it is told again
#define ARENA_MAX ((size_t)1 << 20)

// ---- Life.

bool ee_sender_new(const struct ee_sender_settings *settings, struct ee_sender **ret,
                   struct ee_err *err) {
  struct ee_sender *sender = calloc(1, sizeof *sender);
  if (sender == NULL) return ee_err_set(err, "no memory for a sender");
  const struct ee_spool *spool = settings->spool;
  sender->settings = *settings;
  sender->epoch = ee_spool_epoch(spool);
  ee_arena_init(&sender->arena, ARENA_MAX);
  ee_buf_init(&sender->value, ARENA_MAX);
  ee_aside_init(&sender->aside, ee_spool_directory(spool), settings->aside_bytes);
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    snprintf(sender->topics[i], TOPIC_NAME_SIZE, "%s%s", settings->topic_prefix, ee_topics[i].name);
  }
  if (!ee_window_init(&sender->window)) {
    ee_err_set(err, "no memory for a sender");
  } else if (ee_past_init(&sender->past, ee_spool_directory(spool), ee_spool_id(spool),
                          &sender->settings.notices, err)) {
    sender_remember_numbers(sender);
    *ret = sender;
    return true;
  }
  ee_sender_free(sender);
  return false;
}

void ee_sender_free(struct ee_sender *sender) {
  if (sender == NULL) return;
  ee_past_release(&sender->past);
  ee_reporter_release(&sender->reporter);
  ee_numbers_close(&sender->numbers);
  free(sender->again);
  ee_window_release(&sender->window);
  ee_aside_release(&sender->aside);
  ee_arena_release(&sender->arena);
  ee_buf_release(&sender->value);
  free(sender);
}

const struct ee_sender_counts *ee_sender_counts(const struct ee_sender *sender) {
  return &sender->counts;
}

static void add(_Atomic(uint64_t) *count, uint64_t more) {
  atomic_fetch_add_explicit(count, more, memory_order_relaxed);
}

// ---- Results.

static void halt(struct ee_sender *sender, int64_t delay_ms) {
  sender->halted = true;
  if (sender->retry_at_ms < sender->now_ms + delay_ms) {
    sender->retry_at_ms = sender->now_ms + delay_ms;
  }
}

// Refused with others: it goes again alone. Refused alone: for good.
static enum ee_window_state state_after(enum ee_result_kind kind, uint8_t before) {
  switch (kind) {
    case EE_RESULT_WRITTEN:
      return EE_WINDOW_DONE;
    case EE_RESULT_AGAIN:
      return EE_WINDOW_READY;
    case EE_RESULT_ALONE:
      return before == EE_WINDOW_LONELY ? EE_WINDOW_REFUSED : EE_WINDOW_ALONE;
    case EE_RESULT_REFUSED:
      return EE_WINDOW_REFUSED;
  }
  return EE_WINDOW_READY;
}

static void take_result(void *context, const struct ee_result *result) {
  struct ee_sender *sender = context;
  if (result->tag & REPORT_TAG) {
    sender_report_result(sender, result);
    return;
  }
  struct ee_window *window = &sender->window;
  if (result->tag < window->head || result->tag >= window->tail) return;
  struct ee_window_entry *at = ee_window_at(window, result->tag);
  if (at->state != EE_WINDOW_SENT && at->state != EE_WINDOW_LONELY) return;
  at->state = (uint8_t)state_after(result->kind, at->state);
  at->offset = result->offset;
  at->why = result->kind == EE_RESULT_WRITTEN ? NULL : result->why;
  window->under_way--;
  if (result->kind != EE_RESULT_WRITTEN) {
    halt(sender, result->kind == EE_RESULT_AGAIN ? RETRY_MS : 0);
  }
}

// ---- Settling.

static void tell_delivery(const struct ee_sender *sender, const struct ee_window_entry *at) {
  const char *ids = at->ids == NULL ? "\0" : at->ids;
  if (sender->settings.delivered == NULL) return;
  struct envelope_delivery delivery = {
      .size = sizeof delivery,
      .envelope_id = ids,
      .event_id = ids + strlen(ids) + 1,
      .topic = sender->topics[at->topic],
      .partition = at->partition,
      .offset = at->offset,
      .earlier = at->end.segment < ee_spool_first(sender->settings.spool).segment,
      .refused = at->why};
  sender->settings.delivered(sender->settings.delivered_context, &delivery);
}

// Its number is passed before the place is: the other way round, a crash between would have it
// looked for in vain.
static void count_done(struct ee_sender *sender, const struct ee_window_entry *at) {
  if (!at->record) return;
  add(at->why == NULL ? &sender->counts.acknowledged : &sender->counts.refused, 1);
  tell_delivery(sender, at);
  if (!at->numbered) return;
  struct ee_numbers_count *count = ee_numbers_at(&sender->numbers, at->topic, at->partition);
  if (at->number >= count->acked) count->acked = at->number + 1;
  if (at->was_epoch == 0) return;
  struct ee_spool_numbering was = {
      .number = at->was_number, .epoch = at->was_epoch, .partition = at->partition};
  ee_past_settled(&sender->past, at->topic, &was);
}

static bool settle(struct ee_sender *sender) {
  struct ee_window_entry *at;
  struct ee_spool_at end = {.segment = 0};
  struct ee_err err;
  while ((at = ee_window_done(&sender->window)) != NULL) {
    count_done(sender, at);
    end = at->end;
    ee_window_pop(&sender->window);
  }
  if (end.segment == 0) return false;
  if (!ee_aside_sync(&sender->aside, &err)) {
    ee_notice(&sender->settings.notices, ENVELOPE_ERROR, "refused records: %s", err.text);
  }
  ee_spool_settle(sender->settings.spool, end);
  return true;
}

bool ee_sender_reached(const struct ee_sender *sender, struct ee_spool_at at) {
  struct ee_spool_at settled = ee_spool_settled(sender->settings.spool);
  return settled.segment > at.segment ||
         (settled.segment == at.segment && settled.offset >= at.offset);
}

// ---- After trouble.

// Once nothing is under way, reading begins again at what is settled; what is known of records
// from before is kept.
static void go_on(struct ee_sender *sender) {
  const struct ee_outlet *outlet = &sender->settings.outlet;
  if (outlet->ops->broken(outlet->self)) {
    halt(sender, 0);
    if (!outlet->ops->renew(outlet->self, take_result, sender)) return;
  }
  if (!sender->halted || sender->window.under_way > 0 || sender->now_ms < sender->retry_at_ms) {
    return;
  }
  ee_spool_rewind(sender->settings.spool);
  sender->window.cursor = sender->window.head;
  sender->held.there = false;
  sender->halted = false;
}

// ---- Sending.

static void tell_damage(struct ee_sender *sender, const struct ee_spool_entry *entry,
                        enum ee_spool_read kind, const struct ee_err *err) {
  add(&sender->counts.torn, 1);
  if (kind == EE_SPOOL_READ_MISSING) {
    ee_notice(&sender->settings.notices, ENVELOPE_ERROR, "spool: %s", err->text);
  } else {
    ee_notice(
        &sender->settings.notices, ENVELOPE_WARNING,
        "spool: %016llx.segment: at %llu: %llu bytes are damaged, or a call that was cut short",
        (unsigned long long)entry->at.segment, (unsigned long long)entry->at.offset,
        (unsigned long long)entry->size);
  }
}

// Whether there is room for one that is not known yet. One is read only then, and numbered at
// once: so what is numbered ahead begins behind it.
static bool room(const struct ee_window *window) {
  return window->cursor < window->tail || !ee_window_full(window);
}

// Reads the next entry. False: there is none now.
static bool take(struct ee_sender *sender) {
  struct held *held = &sender->held;
  struct ee_err err;
  if (held->there) return true;
  if (!room(&sender->window)) return false;
  enum ee_spool_read kind = ee_spool_read(sender->settings.spool, &held->entry, &err);
  if (kind == EE_SPOOL_READ_FAILED) {
    ee_notice(&sender->settings.notices, ENVELOPE_ERROR, "spool: %s", err.text);
  }
  if (kind == EE_SPOOL_READ_FAILED || kind == EE_SPOOL_READ_NOTHING) return false;
  held->there = true;
  held->kind = kind;
  if (sender->window.cursor == sender->window.tail && kind != EE_SPOOL_READ_RECORD) {
    tell_damage(sender, &held->entry, kind, &err);
  }
  return true;
}

// Whether the window knows the entry from before a rewind. What it knows otherwise, it forgets.
static bool known_before(struct ee_sender *sender) {
  struct ee_window *window = &sender->window;
  const struct ee_spool_entry *entry = &sender->held.entry;
  if (window->cursor == window->tail) return false;
  const struct ee_window_entry *at = ee_window_at(window, window->cursor);
  if (at->end.segment == entry->at.segment && at->end.offset == entry->at.offset + entry->size) {
    return true;
  }
  ee_window_forget(window);
  return false;
}

// Gives the entry its place in the window, and a record its number. False: not now.
static bool enter(struct ee_sender *sender) {
  const struct held *held = &sender->held;
  const struct ee_spool_entry *entry = &held->entry;
  bool record = held->kind == EE_SPOOL_READ_RECORD;
  if (known_before(sender)) return true;
  if (record && !sender_numbers_ready(sender)) return false;
  struct ee_window_entry *at = ee_window_push(&sender->window);
  at->end = (struct ee_spool_at){entry->at.segment, entry->at.offset + entry->size};
  at->state = record ? EE_WINDOW_READY : EE_WINDOW_DONE;
  at->record = record;
  if (!record) return true;
  at->topic = entry->item.topic;
  sender_number(sender, entry, at);
  return true;
}

static bool send(struct ee_sender *sender, struct ee_window_entry *at, enum ee_window_state then) {
  switch (sender_send(sender, &sender->held.entry, at)) {
    case EE_SENT:
      at->state = (uint8_t)then;
      sender->window.under_way++;
      return true;
    case EE_SENT_LATER:
      return false;
    case EE_SENT_REFUSED:
      at->state = EE_WINDOW_REFUSED;
      return true;
  }
  return false;
}

// What is to be done with the entry at the cursor. False: not now.
static bool move_one(struct ee_sender *sender) {
  if (!take(sender) || !enter(sender)) return false;
  struct ee_window_entry *at = ee_window_at(&sender->window, sender->window.cursor);
  switch ((enum ee_window_state)at->state) {
    case EE_WINDOW_READY:
      if (!sender_numbers_ready(sender) || !sender->verified) return false;
      if (!send(sender, at, EE_WINDOW_SENT)) return false;
      if (at->state == EE_WINDOW_REFUSED) return true;  // looked at again
      break;
    case EE_WINDOW_ALONE:
      return sender->window.under_way == 0 && send(sender, at, EE_WINDOW_LONELY);
    case EE_WINDOW_LONELY:
      return false;
    case EE_WINDOW_REFUSED:
      if (!sender_keep_aside(sender, &sender->held.entry, at)) return false;
      at->state = EE_WINDOW_DONE;
      break;
    case EE_WINDOW_SENT:
    case EE_WINDOW_DONE:
      break;
  }
  sender->window.cursor++;
  sender->held.there = false;
  return true;
}

static int move_some(struct ee_sender *sender) {
  int moved = 0;
  while (moved < SEND_RECORDS && !sender->halted && move_one(sender))
    moved++;
  return moved;
}

const char *ee_sender_trouble(struct ee_sender *sender, bool *ret_operator) {
  const struct ee_outlet *outlet = &sender->settings.outlet;
  bool waits = sender->held.there || sender->halted || sender->window.under_way > 0;
  *ret_operator = sender->mismatched;
  if (sender->mismatched) {
    return "topics with as many partitions as the spool's records are numbered for: send them to "
           "such topics, or begin another spool";
  }
  return waits ? outlet->ops->trouble(outlet->self, ret_operator) : NULL;
}

static void tell_trouble(struct ee_sender *sender, bool moved) {
  bool by_operator;
  const char *trouble = ee_sender_trouble(sender, &by_operator);
  if (trouble == NULL || moved || sender->say_at_ms == 0)
    sender->say_at_ms = sender->now_ms + PATIENCE_MS;
  if (trouble == NULL || sender->now_ms < sender->say_at_ms) return;
  sender->say_at_ms = sender->now_ms + TROUBLE_MS;
  ee_notice(&sender->settings.notices, ENVELOPE_WARNING, "records wait in the spool for %s",
            trouble);
}

bool ee_sender_turn(struct ee_sender *sender, const struct ee_sender_time *now, int wait_ms) {
  const struct ee_outlet *outlet = &sender->settings.outlet;
  sender->now_ms = now->monotonic_ms;
  sender->now_us = now->wall_us;
  outlet->ops->serve(outlet->self, wait_ms, take_result, sender);
  bool settled = settle(sender);
  go_on(sender);
  int moved = move_some(sender);
  bool stuck = sender->halted || sender->held.there || !room(&sender->window);
  bool ahead = moved < SEND_RECORDS && stuck && sender_number_ahead(sender);
  sender_report(sender);
  tell_trouble(sender, settled);
  return moved > 0 || settled || ahead;
}

bool ee_sender_end(struct ee_sender *sender) {
  if (!sender->ending) {
    sender->ending = true;
    sender->report_at_ms = INT64_MIN;
    if (sender->reporter.numbers != NULL) sender->reporter.ended = true;
  }
  if (!sender_all_told(sender)) return false;
  if (sender->numbers.bytes == NULL) return true;
  return ee_numbers_retire(ee_spool_directory(sender->settings.spool), sender->epoch, NULL);
}
