// SPDX-License-Identifier: Apache-2.0
// What programs that emit through the client library share.
#include "producers/program.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

void ee_program_notice(void *context, envelope_level level, const char *text) {
  (void)context;
  static const enum ee_level levels[] = {
      [ENVELOPE_INFO] = EE_INFO, [ENVELOPE_WARNING] = EE_WARN, [ENVELOPE_ERROR] = EE_ERROR};
  ee_log(levels[level], text, NULL);
}

volatile sig_atomic_t ee_program_stop;

static void on_signal(int number) {
  ee_program_stop = number;
}

// The second signal finds the default action.
void ee_program_watch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

bool ee_program_spool_new(const char *program, char ret[PATH_MAX], struct ee_err *err) {
  const char *parent = getenv("TMPDIR");
  int size = snprintf(ret, PATH_MAX, "%s/%s-XXXXXX", parent == NULL ? "/tmp" : parent, program);
  if (size < 0 || size >= PATH_MAX) errno = ENAMETOOLONG;
  if (size > 0 && size < PATH_MAX && mkdtemp(ret) != NULL) return true;
  return ee_err_set(err, "no directory can be made for the spool: name one with --spool: %s: %s",
                    ret, strerror(errno));
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw) {
  (void)stat, (void)flag, (void)ftw;
  return remove(path);
}

void ee_program_spool_remove(const char *path) {
  nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
