// SPDX-License-Identifier: Apache-2.0
// C11's threads by POSIX's, for thread sanitizer, which sees only the latter: librdkafka
// uses the former, and its locks are what orders its threads and ours.
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#if defined(__SANITIZE_THREAD__)

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mutex in the place of one");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a condition in the place of one");

struct start {
  thrd_start_t function;
  void *argument;
};

static int result_of(int code) {
  switch (code) {
    case 0:
      return thrd_success;
    case ENOMEM:
      return thrd_nomem;
    case ETIMEDOUT:
      return thrd_timedout;
    case EBUSY:
      return thrd_busy;
    default:
      return thrd_error;
  }
}

static void *run(void *argument) {
  struct start start = *(struct start *)argument;
  free(argument);
  return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument) {
  // Not malloc: a test that makes ours fail does not mean librdkafka's.
  struct start *start = aligned_alloc(_Alignof(struct start), sizeof *start);
  if (start == NULL) return thrd_nomem;
  *start = (struct start){function, argument};
  int code = pthread_create(thread, NULL, run, start);
  if (code != 0) free(start);
  return result_of(code);
}

int thrd_join(thrd_t thread, int *result) {
  void *returned;
  int code = pthread_join(thread, &returned);
  if (code == 0 && result != NULL) *result = (int)(intptr_t)returned;
  return result_of(code);
}

int mtx_init(mtx_t *mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if ((type & mtx_recursive) != 0) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  int code = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  return result_of(code);
}

void mtx_destroy(mtx_t *mutex) {
  pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex) {
  return result_of(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex) {
  return result_of(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex) {
  return result_of(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *condition) {
  return result_of(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition) {
  pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition) {
  return result_of(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition) {
  return result_of(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex) {
  return result_of(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                  const struct timespec *restrict until) {
  return result_of(
      pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

#endif
