// SPDX-License-Identifier: Apache-2.0
// The threads that emit, and what they count.
#include "tools/envelope-load/load.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "producers/program.h"
#include "tools/envelope-load/fill.h"

#define SLICE_NS INT64_C(20000000)  // how soon a waiting thread hears that it is to end
#define FULL_WAIT_MS 1

// One thread's. It alone writes; others read the counts.
struct emitter {
  pthread_t thread;
  struct load *load;
  struct plan plan;
  envelope_event *event;
  int64_t due_ns;  // of the event in hand, monotonic; INT64_MIN: not paced
  bool ended_early;
  struct ee_err err;
  _Atomic(uint64_t) envelopes, finished, phases[EE_PHASE_TOPICS], dropped, full, mistakes;
  _Atomic(int64_t) behind_us, behind_most_us, held_us;
  struct histogram calls, late;
};

struct load {
  const struct load_settings *settings;
  envelope_producer *producer;
  int64_t start_ns;  // monotonic, when the stories begin
  int64_t end_ns;    // monotonic; INT64_MAX: none
  size_t started;
  atomic_bool stop;
  _Atomic(size_t) running;
  _Atomic(uint64_t) acknowledged, refused;  // by the library's thread
  struct emitter *emitters;                 // settings->plan.threads of them
};

static void add(_Atomic(uint64_t) *count, uint64_t more) {
  atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more,
                        memory_order_relaxed);
}

// ---- One event.

static bool over(const struct emitter *emitter, int64_t now_ns) {
  return now_ns >= emitter->load->end_ns ||
         atomic_load_explicit(&emitter->load->stop, memory_order_relaxed);
}

// Told while a full spool is waited for, too.
static void note_behind(struct emitter *emitter, int64_t now_ns) {
  if (emitter->due_ns == INT64_MIN) return;
  int64_t behind_us = (now_ns - emitter->due_ns) / 1000;
  atomic_store_explicit(&emitter->behind_us, behind_us, memory_order_relaxed);
  if (behind_us > atomic_load_explicit(&emitter->behind_most_us, memory_order_relaxed)) {
    atomic_store_explicit(&emitter->behind_most_us, behind_us, memory_order_relaxed);
  }
}

static void note_call(struct emitter *emitter, int64_t before_ns, int64_t after_ns) {
  histogram_record(&emitter->calls, after_ns - before_ns);
  if (emitter->due_ns != INT64_MIN) histogram_record(&emitter->late, after_ns - emitter->due_ns);
}

static int emit(struct emitter *emitter, struct envelope_error *error) {
  for (;;) {
    int64_t before_ns = ee_clock_monotonic_nanos();
    note_behind(emitter, before_ns);
    int result = envelope_emit(emitter->load->producer, emitter->event, error);
    if (result != ENVELOPE_FULL) {
      note_call(emitter, before_ns, ee_clock_monotonic_nanos());
      return result;
    }
    if (over(emitter, before_ns)) return result;
    add(&emitter->full, 1);
    poll(NULL, 0, FULL_WAIT_MS);
  }
}

static void take(void *context, enum ee_phase phase, const void *record, int64_t sent_at) {
  (void)sent_at;
  struct emitter *emitter = context;
  struct envelope_error error = {.text = ""};
  int result = event_fill(emitter->event, phase, record, &error);
  if (result == ENVELOPE_OK) result = emit(emitter, &error);
  if (result == ENVELOPE_OK) {
    add(&emitter->phases[phase], 1);
  } else if (result == ENVELOPE_DROPPED) {
    add(&emitter->dropped, 1);
  } else if (result < 0) {
    add(&emitter->mistakes, 1);
    ee_err_set(&emitter->err, "%s: %s", envelope_result_name(result), error.text);
  } else if (result != ENVELOPE_FULL) {
    emitter->ended_early = true;
    ee_err_set(&emitter->err, "%s", error.text);
  }
}

// ---- One thread.

// False: the run has ended before.
static bool wait_until(const struct emitter *emitter, int64_t due_ns) {
  for (;;) {
    int64_t now_ns = ee_clock_monotonic_nanos();
    if (over(emitter, now_ns)) return false;
    if (now_ns >= due_ns) return true;
    int64_t until_ns = due_ns - now_ns > SLICE_NS ? now_ns + SLICE_NS : due_ns;
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  }
}

static void publish(struct emitter *emitter) {
  const struct plan *plan = &emitter->plan;
  atomic_store_explicit(&emitter->envelopes, plan->begun, memory_order_relaxed);
  atomic_store_explicit(&emitter->finished, plan->ended, memory_order_relaxed);
  atomic_store_explicit(&emitter->held_us, plan->held_us, memory_order_relaxed);
}

static bool step(struct emitter *emitter) {
  const struct load_settings *settings = emitter->load->settings;
  struct story_sink sink = {.take = take, .context = emitter};
  int64_t due;
  enum plan_state state = plan_due(&emitter->plan, &due);
  if (state == PLAN_DUE) {
    if (settings->paced) {
      emitter->due_ns = emitter->load->start_ns + (due - settings->plan.start) * 1000;
    }
    if (!wait_until(emitter, emitter->due_ns)) return false;
    if (!plan_give(&emitter->plan, &sink)) state = PLAN_NO_MEMORY;
  }
  if (state == PLAN_NO_MEMORY) {
    emitter->ended_early = true;
    ee_err_set(&emitter->err, "memory is out");
  }
  publish(emitter);
  return state == PLAN_DUE && !emitter->ended_early;
}

static void *run(void *context) {
  struct emitter *emitter = context;
  while (step(emitter)) {
  }
  atomic_fetch_sub(&emitter->load->running, 1);
  return NULL;
}

// ---- Life.

static void on_delivery(void *context, const struct envelope_delivery *delivery) {
  struct load *load = context;
  if (!delivery->earlier) add(delivery->refused == NULL ? &load->acknowledged : &load->refused, 1);
}

static bool open_producer(struct load *load, struct ee_err *err) {
  struct envelope_error error;
  struct envelope_settings library = {.values = *load->settings->producer};
  envelope_settings_on_delivery(&library, on_delivery, load);
  envelope_settings_on_notice(&library, ee_program_notice, NULL);
  return envelope_producer_open(&library, &load->producer, &error) == ENVELOPE_OK ||
         ee_err_set(err, "%s", error.text);
}

static bool start_thread(struct load *load, size_t number, struct ee_err *err) {
  struct emitter *emitter = &load->emitters[number];
  struct plan_settings plan = load->settings->plan;
  plan.thread = number;
  emitter->load = load;
  emitter->due_ns = INT64_MIN;
  emitter->event = envelope_event_new(ENVELOPE_ADMISSION);
  plan_init(&emitter->plan, &plan);
  atomic_fetch_add(&load->running, 1);
  load->started++;
  if (emitter->event != NULL && pthread_create(&emitter->thread, NULL, run, emitter) == 0) {
    return true;
  }
  atomic_fetch_sub(&load->running, 1);
  load->started--;
  plan_release(&emitter->plan);
  envelope_event_free(emitter->event);
  return ee_err_set(err, "no thread can be started");
}

// Signals are for the thread that calls this.
static bool start_threads(struct load *load, struct ee_err *err) {
  sigset_t all, before;
  bool ok = true;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  for (size_t i = 0; i < load->settings->plan.threads && ok; i++)
    ok = start_thread(load, i, err);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return ok;
}

bool load_start(const struct load_settings *settings, struct load **ret, struct ee_err *err) {
  struct load *load = calloc(1, sizeof *load);
  if (load != NULL) load->emitters = calloc(settings->plan.threads, sizeof *load->emitters);
  if (load == NULL || load->emitters == NULL) {
    free(load);
    return ee_err_set(err, "memory is out");
  }
  load->settings = settings;
  if (!open_producer(load, err)) {
    load_free(load);
    return false;
  }
  load->start_ns = ee_clock_monotonic_nanos();
  load->end_ns =
      settings->duration_ms == 0 ? INT64_MAX : load->start_ns + settings->duration_ms * 1000000;
  *ret = load;
  if (start_threads(load, err)) return true;
  struct ee_err ignored;
  load_stop(load);
  load_join(load, &ignored);
  load_close(load, 0);
  load_free(load);
  return false;
}

bool load_runs(struct load *load) {
  return atomic_load(&load->running) > 0;
}

void load_stop(struct load *load) {
  atomic_store(&load->stop, true);
}

bool load_join(struct load *load, struct ee_err *err) {
  bool ok = true;
  for (size_t i = 0; i < load->started; i++) {
    struct emitter *emitter = &load->emitters[i];
    pthread_join(emitter->thread, NULL);
    plan_release(&emitter->plan);
    envelope_event_free(emitter->event);
    if (emitter->err.text[0] == '\0') continue;
    *err = emitter->err;
    ok = false;
  }
  return ok;
}

bool load_flush(struct load *load, int timeout_ms) {
  return envelope_producer_flush(load->producer, timeout_ms) == ENVELOPE_OK;
}

void load_close(struct load *load, int64_t timeout_ms) {
  envelope_producer_close(load->producer, timeout_ms);
}

void load_free(struct load *load) {
  if (load == NULL) return;
  free(load->emitters);
  free(load);
}

// ---- What came of it.

int load_trouble(struct load *load, char *text, size_t size) {
  return envelope_producer_trouble(load->producer, text, size);
}

static void add_counts(const struct emitter *emitter, struct load_counts *to) {
  to->envelopes += atomic_load(&emitter->envelopes);
  to->finished += atomic_load(&emitter->finished);
  to->dropped += atomic_load(&emitter->dropped);
  to->full += atomic_load(&emitter->full);
  to->mistakes += atomic_load(&emitter->mistakes);
  for (size_t i = 0; i < EE_PHASE_TOPICS; i++) {
    uint64_t count = atomic_load(&emitter->phases[i]);
    to->phases[i] += count;
    to->events += count;
  }
  int64_t behind_us = atomic_load(&emitter->behind_us);
  int64_t most_us = atomic_load(&emitter->behind_most_us);
  int64_t held_us = atomic_load(&emitter->held_us);
  if (behind_us > to->behind_us) to->behind_us = behind_us;
  if (most_us > to->behind_most_us) to->behind_most_us = most_us;
  if (held_us > to->held_us) to->held_us = held_us;
}

void load_counts(struct load *load, struct load_counts *ret) {
  *ret = (struct load_counts){.acknowledged = atomic_load(&load->acknowledged),
                              .refused = atomic_load(&load->refused)};
  for (size_t i = 0; i < load->started; i++)
    add_counts(&load->emitters[i], ret);
}

void load_tally(struct load *load, struct tally *calls, struct tally *late) {
  *calls = *late = (struct tally){.total = 0};
  for (size_t i = 0; i < load->started; i++) {
    tally_add(calls, &load->emitters[i].calls);
    tally_add(late, &load->emitters[i].late);
  }
}
