// SPDX-License-Identifier: Apache-2.0
// The ring of what is under way.
#include "client/window.h"

#include <stdlib.h>

bool ee_window_init(struct ee_window *window) {
  *window = (struct ee_window){.entries = calloc(EE_WINDOW_SIZE, sizeof *window->entries)};
  return window->entries != NULL;
}

static void clear(struct ee_window_entry *entry) {
  free(entry->ids);
  *entry = (struct ee_window_entry){.ids = NULL};
}

void ee_window_release(struct ee_window *window) {
  if (window->entries != NULL) {
    window->cursor = window->head;
    ee_window_forget(window);
  }
  free(window->entries);
  window->entries = NULL;
}

struct ee_window_entry *ee_window_push(struct ee_window *window) {
  struct ee_window_entry *entry = ee_window_at(window, window->tail++);
  *entry = (struct ee_window_entry){.offset = -1};
  return entry;
}

void ee_window_forget(struct ee_window *window) {
  while (window->tail > window->cursor)
    clear(ee_window_at(window, --window->tail));
}

struct ee_window_entry *ee_window_done(struct ee_window *window) {
  if (window->head == window->cursor) return NULL;
  struct ee_window_entry *entry = ee_window_at(window, window->head);
  return entry->state == EE_WINDOW_DONE ? entry : NULL;
}

void ee_window_pop(struct ee_window *window) {
  clear(ee_window_at(window, window->head++));
}
