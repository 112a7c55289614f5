// SPDX-License-Identifier: Apache-2.0
// envelopectl spool repair: takes the lock, looks, plans, and does it step by step.
#include "tools/envelopectl/spool_repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/spool_plan.h"

#define ASIDE "unusable"
#define ASIDE_MOST 1000  // files of one name
#define CONTROL "control"
#define SAID_MAX ((size_t)64 << 20)

struct repair {
  const char *path;
  struct ee_spool_look look;
  struct ee_spool_plan_file *files;  // owned
  struct ee_spool_step *steps;       // owned
  size_t count, step_count;
  uint32_t epoch;  // the latest that a record was sent in
};

static bool system_error(const char *name, struct ee_err *err) {
  return ee_err_set(err, "%s: %s", name, strerror(errno));
}

// ---- Looking.

static void look_for_epoch(struct repair *repair, const struct ee_spool_view *view) {
  struct ee_spool_walk walk;
  struct ee_spool_sight sight;
  ee_spool_walk_init(&walk, &repair->look, view);
  while (ee_spool_walk_next(&walk, &sight)) {
    if (sight.numbered && sight.numbering.epoch > repair->epoch) {
      repair->epoch = sight.numbering.epoch;
    }
  }
}

static bool look_at_file(struct repair *repair, uint64_t number, struct ee_err *err) {
  struct ee_spool_view view;
  ee_spool_view_open(&repair->look, number, &view);
  repair->files[repair->count++] = (struct ee_spool_plan_file){number, view.head_number, view.is};
  if (view.bytes != NULL) look_for_epoch(repair, &view);
  bool ok = view.is != EE_SPOOL_FILE_NEWER && view.is != EE_SPOOL_FILE_UNREADABLE;
  if (!ok) {
    char name[EE_SPOOL_NAME_SIZE];
    ee_spool_segment_name(number, name);
    ee_err_set(err, "%s: %s", name, view.says.text);
  }
  ee_spool_view_close(&view);
  return ok;
}

static bool look_at_all(struct repair *repair, struct ee_err *err) {
  const struct ee_spool_look *look = &repair->look;
  if (look->control == EE_SPOOL_CONTROL_NEWER || look->control == EE_SPOOL_CONTROL_FAILED) {
    return ee_err_set(err, "%s", look->says.text);  // which names the file
  }
  repair->files = calloc(look->count + 1, sizeof *repair->files);
  repair->steps = calloc(EE_SPOOL_STEPS_MOST(look->count), sizeof *repair->steps);
  if (repair->files == NULL || repair->steps == NULL) return ee_err_set(err, "memory is out");
  for (size_t i = 0; i < look->count; i++) {
    if (!look_at_file(repair, look->numbers[i], err)) return false;
  }
  repair->step_count = ee_spool_plan(look, repair->files, repair->count, repair->steps);
  return true;
}

// ---- Doing.

static bool move_aside(const struct repair *repair, const char *name, struct ee_err *err) {
  int directory = repair->look.directory;
  if (mkdirat(directory, ASIDE, 0700) != 0 && errno != EEXIST) return system_error(ASIDE, err);
  for (int i = 0; i < ASIDE_MOST; i++) {
    char to[sizeof ASIDE + EE_SPOOL_NAME_SIZE + 8];
    snprintf(to, sizeof to, i == 0 ? ASIDE "/%s" : ASIDE "/%s.%d", name, i);
    if (renameat2(directory, name, directory, to, RENAME_NOREPLACE) == 0) return true;
    if (errno != EEXIST) return system_error(name, err);
  }
  return ee_err_set(err, ASIDE ": has %d files of the name %s: take them away", ASIDE_MOST, name);
}

static bool move(const struct repair *repair, const char *from, const char *to, unsigned int flags,
                 struct ee_err *err) {
  int directory = repair->look.directory;
  return renameat2(directory, from, directory, to, flags) == 0 || system_error(from, err);
}

static bool write_head(int fd, const struct repair *repair, uint64_t number) {
  struct stat found;
  uint8_t head[EE_SPOOL_UNIT];
  if (fstat(fd, &found) != 0) return false;
  struct ee_spool_segment segment = {.number = number, .size = (uint64_t)found.st_size};
  memcpy(segment.id, repair->look.id, sizeof segment.id);
  ee_spool_segment_make(&segment, head);
  return pwrite(fd, head, sizeof head, 0) == (ssize_t)sizeof head && fsync(fd) == 0;
}

static bool make_head(const struct repair *repair, const char *name, uint64_t number,
                      struct ee_err *err) {
  int fd = openat(repair->look.directory, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return system_error(name, err);
  bool ok = write_head(fd, repair, number) || system_error(name, err);
  close(fd);
  return ok;
}

static bool make_control(const struct repair *repair, uint64_t first, struct ee_err *err) {
  struct ee_spool_progress progress = {
      .epoch = repair->epoch, .segment = first, .offset = EE_SPOOL_UNIT};
  return ee_spool_control_make(repair->path, repair->look.id, &progress, err);
}

static bool do_step(const struct repair *repair, const struct ee_spool_step *step,
                    struct ee_err *err) {
  char from[EE_SPOOL_NAME_SIZE], to[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(step->number, from);
  ee_spool_segment_name(step->to, to);
  switch (step->act) {
    case EE_SPOOL_FILE_ASIDE:
      return move_aside(repair, from, err);
    case EE_SPOOL_FILE_RENAME:
      return move(repair, from, to, RENAME_NOREPLACE, err);
    case EE_SPOOL_FILE_EXCHANGE:
      return move(repair, from, to, RENAME_EXCHANGE, err);
    case EE_SPOOL_HEAD_MAKE:
      return make_head(repair, from, step->number, err);
    case EE_SPOOL_CONTROL_ASIDE:
      return move_aside(repair, CONTROL, err);
    case EE_SPOOL_CONTROL_MAKE:
      return make_control(repair, step->to, err);
  }
  return false;
}

static void say_step(const struct ee_spool_step *step, struct ee_buf *said) {
  char from[EE_SPOOL_NAME_SIZE], to[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(step->number, from);
  ee_spool_segment_name(step->to, to);
  switch (step->act) {
    case EE_SPOOL_FILE_ASIDE:
      ee_buf_printf(said, "%s: moved to " ASIDE "/\n", from);
      return;
    case EE_SPOOL_FILE_RENAME:
      ee_buf_printf(said, "%s: renamed to %s, which it is\n", from, to);
      return;
    case EE_SPOOL_FILE_EXCHANGE:
      ee_buf_printf(said, "%s: exchanged with %s, which it is\n", from, to);
      return;
    case EE_SPOOL_HEAD_MAKE:
      ee_buf_printf(said, "%s: its head made anew\n", from);
      return;
    case EE_SPOOL_CONTROL_ASIDE:
      ee_buf_text(said, CONTROL ": moved to " ASIDE "/\n");
      return;
    case EE_SPOOL_CONTROL_MAKE:
      ee_buf_printf(said, CONTROL ": made anew, nothing settled from %s on\n", to);
      return;
  }
}

// Names are durable once their directories are.
static bool sync_names(const struct repair *repair, struct ee_err *err) {
  int aside = openat(repair->look.directory, ASIDE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool ok = aside < 0 || fsync(aside) == 0;
  if (aside >= 0) close(aside);
  return (ok && fsync(repair->look.directory) == 0) || system_error(repair->path, err);
}

static bool do_all(struct repair *repair, bool dry, struct ee_buf *said, struct ee_err *err) {
  for (size_t i = 0; i < repair->step_count; i++) {
    if (!dry && !do_step(repair, &repair->steps[i], err)) return false;
    say_step(&repair->steps[i], said);
  }
  return dry || repair->step_count == 0 || sync_names(repair, err);
}

static bool repair_look(struct repair *repair, bool dry, struct ee_buf *said, struct ee_err *err) {
  if (!ee_spool_look_open(repair->path, &repair->look, err)) return false;
  bool ok = (look_at_all(repair, err) && do_all(repair, dry, said, err)) ||
            ee_err_prefix(err, "%s", repair->path);
  free(repair->files);
  free(repair->steps);
  ee_spool_look_close(&repair->look);
  return ok;
}

// A look first, so that a directory without a spool gets no lock file.
bool ee_spool_repair(const char *directory, bool dry, struct ee_buf *said, struct ee_err *err) {
  struct repair repair = {.path = directory};
  int lock;
  if (!ee_spool_look_open(directory, &repair.look, err)) return false;
  ee_spool_look_close(&repair.look);
  if (!ee_dir_lock(directory, &lock, err)) return false;
  bool ok = repair_look(&repair, dry, said, err);
  close(lock);
  return ok;
}

// ---- The command.

struct settings {
  struct ee_ctl_settings common;
  bool dry_run;
};

static const struct ee_option options[] = {{.name = "spool repair", .type = EE_OPTION_GROUP},
                                           {.name = "dry-run",
                                            .type = EE_OPTION_FLAG,
                                            .offset = offsetof(struct settings, dry_run),
                                            .doc = "Says what would be done, and does nothing."},
                                           {.name = NULL}};

static bool run(const void *context, char *const *operands, struct ee_err *err) {
  const struct settings *settings = context;
  struct ee_buf said;
  ee_buf_init(&said, SAID_MAX);
  bool ok = ee_spool_repair(operands[0], settings->dry_run, &said, err);
  if (ok && said.size == 0) ee_buf_text(&said, "nothing to repair\n");
  ok = ee_ctl_print(&said, ok ? err : NULL) && ok;
  ee_buf_release(&said);
  return ok;
}

const struct ee_ctl_command ee_ctl_spool_repair = {
    .name = "spool repair",
    .purpose =
        "Makes a damaged spool one that opens and whose sound records are all delivered. No "
        "process may have it open. Deletes nothing.",
    .usage = "DIR",
    .operands_least = 1,
    .operands_most = 1,
    .options = options,
    .settings_size = sizeof(struct settings),
    .run = run};
