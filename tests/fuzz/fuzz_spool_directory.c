// SPDX-License-Identifier: Apache-2.0
// A spool's directory, damaged in any way: what is found in it was written, looking changes
// nothing, and a repair keeps every file and makes a spool from which all is read that was seen.
// The input: two bytes for the spool that is made, then what is done to it, four bytes each: what
// and to which file, a place (two bytes), a value.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contract/event_line.h"
#include "contract/record.h"
#include "spool/spool.h"
#include "tools/envelopectl/spool_check.h"
#include "tools/envelopectl/spool_facts.h"
#include "tools/envelopectl/spool_repair.h"

#define SEGMENTS 4
#define RECORDS 6             // of a segment
#define FILES (SEGMENTS + 2)  // and one more name of a segment, and the control file
#define CONTROL (FILES - 1)
#define FILE_MAX ((size_t)8192)
#define SEEN_MAX ((size_t)1024)
#define SAID_MAX ((size_t)65536)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

struct file {
  enum { ABSENT, REGULAR, DIRECTORY, LINK } is;
  uint64_t number;  // in its name; not of the control file
  uint8_t bytes[FILE_MAX];
  size_t size;
};

static struct {
  char path[64];
  struct ee_known *known;
  struct ee_buf admission;
  uint8_t id[EE_SPOOL_ID_SIZE];
  struct file files[FILES];
  uint8_t good[SEGMENTS][FILE_MAX];  // as they were made
  uint64_t records[SEGMENTS][RECORDS];
  bool raw;  // there are records that were not made here
} spool = {.id = "a fuzzed spool"};

// ---- Once.

static void encode_admission(void) {
  static const struct ee_line_defaults defaults = {.envelope_id = EE_STR_INIT("e"),
                                                   .event_id = EE_STR_INIT("v"),
                                                   .source = EE_STR_INIT("urn:s")};
  struct ee_arena arena;
  struct ee_event_line line;
  struct ee_line_fault fault;
  ee_arena_init(&arena, (size_t)1 << 20);
  require(ee_event_line_read(
      EE_STR("{\"phase\":\"admission\",\"tenant\":\"t\",\"caller\":{\"requester_urn\":\"urn:u\","
             "\"initiator\":\"human\"},\"execution\":{\"kind\":\"inference\",\"service\":\"s\","
             "\"operation\":\"o\"},\"requested\":{}}"),
      &defaults, &arena, &line, &fault));
  ee_buf_init(&spool.admission, EE_EVENT_SIZE_MAX);
  ee_encode(line.type, line.record, &spool.admission);
  ee_arena_release(&arena);
}

static void leave(void) {
  rmdir(spool.path);
  ee_known_free(spool.known);
  ee_buf_release(&spool.admission);
}

static void prepare(void) {
  if (spool.known != NULL) return;
  bool shared = access("/dev/shm", W_OK) == 0;  // in memory, where there is such
  snprintf(spool.path, sizeof spool.path, "%s/ee-fuzz-XXXXXX", shared ? "/dev/shm" : "/tmp");
  require(mkdtemp(spool.path) != NULL && atexit(leave) == 0);
  require(ee_known_new(NULL, &spool.known, NULL));
  encode_admission();
}

// ---- The spool that is made.

static void make_record(size_t segment, size_t i, uint32_t salt, uint64_t *end) {
  bool event = (segment + i) % 2 == 0;
  struct ee_spool_item item = {
      .schema = event ? ee_admission_type.fingerprint : i,
      .topic = event ? EE_TOPIC_ADMISSION : (uint8_t)(i * 50),
      .attributes = ee_bytes("attributes", i),
      .payload = event ? ee_buf_bytes(&spool.admission) : ee_bytes(spool.id, 3 * i)};
  uint8_t *at = spool.good[segment] + *end;
  uint64_t mark = ee_spool_record_write(at, salt, *end, &item);
  memcpy(at, &mark, sizeof mark);
  struct ee_spool_numbering numbering = {.number = i, .epoch = 7, .partition = 1};
  if (i % 3 == 0) ee_spool_record_number(at, salt, *end, &numbering);
  spool.records[segment][i] = *end;
  *end += ee_spool_record_size(item.attributes.size, item.payload.size);
}

static void make_segment(size_t i, size_t records) {
  struct ee_spool_segment segment = {.number = i + 1, .size = FILE_MAX};
  uint64_t end = EE_SPOOL_UNIT;
  memcpy(segment.id, spool.id, sizeof segment.id);
  memset(spool.good[i], 0, FILE_MAX);
  memset(spool.records[i], 0, sizeof spool.records[i]);
  ee_spool_segment_make(&segment, spool.good[i]);
  for (size_t n = 0; n < records; n++)
    make_record(i, n, ee_spool_salt(&segment), &end);
  struct file *file = &spool.files[i];
  *file = (struct file){.is = REGULAR, .number = i + 1, .size = FILE_MAX};
  memcpy(file->bytes, spool.good[i], FILE_MAX);
}

static void file_path(const struct file *file, char out[128]) {
  char name[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(file->number, name);
  snprintf(out, 128, "%s/%s", spool.path, file == &spool.files[CONTROL] ? "control" : name);
}

static size_t load(const char *path, uint8_t out[FILE_MAX]) {
  int fd = open(path, O_RDONLY | O_NOFOLLOW);
  ssize_t size = fd < 0 ? -1 : read(fd, out, FILE_MAX);
  require(size >= 0);
  close(fd);
  return (size_t)size;
}

static void make_control(uint8_t settled) {
  struct file *file = &spool.files[CONTROL];
  char path[128];
  struct ee_spool_progress progress = {.epoch = 5, .segment = 1 + settled % SEGMENTS};
  progress.offset = spool.records[settled % SEGMENTS][settled / SEGMENTS % RECORDS];
  if (progress.offset == 0) progress.offset = EE_SPOOL_UNIT;
  require(ee_spool_control_make(spool.path, spool.id, &progress, NULL));
  *file = (struct file){.is = REGULAR};
  file_path(file, path);
  file->size = load(path, file->bytes);
  require(unlink(path) == 0);
}

static void make(uint8_t shape, uint8_t settled) {
  spool.raw = false;
  for (size_t i = 0; i < SEGMENTS; i++)
    make_segment(i, (shape >> 2 * i & 3) * 2);
  spool.files[SEGMENTS] = (struct file){.is = ABSENT, .number = SEGMENTS + 1};
  make_control(settled);
}

// ---- What is done to it.

static uint64_t number_of(uint8_t value) {
  static const uint64_t odd[] = {0, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1};
  return value < 4 ? odd[value] : value % 8u;
}

static void make_head(struct file *file, uint8_t value) {
  struct ee_spool_segment segment = {.number = number_of(value), .size = file->size};
  if (file->size < EE_SPOOL_UNIT) return;
  if (value % 16 != 15) memcpy(segment.id, spool.id, sizeof segment.id);
  ee_spool_segment_make(&segment, file->bytes);
}

// No two files have one name.
static void give_name(struct file *file, uint64_t number) {
  if (file == &spool.files[CONTROL]) return;
  for (size_t i = 0; i < CONTROL; i++) {
    if (&spool.files[i] != file && spool.files[i].number == number) {
      spool.files[i].number = file->number;
    }
  }
  file->number = number;
}

static void give_content(struct file *file, const uint8_t *data, size_t size) {
  file->is = REGULAR;
  file->size = size < FILE_MAX ? size : FILE_MAX;
  if (size > 0) memcpy(file->bytes, data, file->size);
  spool.raw = true;
}

static void act(const uint8_t *step, const uint8_t *rest, size_t rest_size) {
  struct file *file = &spool.files[(step[0] & 15) % FILES];
  size_t place = (size_t)step[1] << 8 | step[2];
  switch (step[0] >> 4) {
    case 0:
      file->is = ABSENT;
      break;
    case 1:
      file->is = DIRECTORY;
      break;
    case 2:
      file->is = LINK;
      break;
    case 3:
      if (place < file->size) file->size = place;
      break;
    case 4:
      give_name(file, number_of(step[3]));
      break;
    case 5:
      make_head(file, step[3]);
      break;
    case 6:
      give_content(file, rest, rest_size);
      break;
    case 7:
      *file = (struct file){.is = REGULAR, .number = file->number, .size = spool.files[0].size};
      memcpy(file->bytes, spool.files[0].bytes, FILE_MAX);
      break;
    case 8:
      place = place / EE_SPOOL_UNIT * EE_SPOOL_UNIT % FILE_MAX;
      memset(file->bytes + place, step[3], EE_SPOOL_UNIT);
      break;
    default:
      file->bytes[place % FILE_MAX] = step[3];
  }
}

static void store(const struct file *file) {
  char path[128];
  file_path(file, path);
  if (file->is == DIRECTORY) require(mkdir(path, 0700) == 0);
  if (file->is == LINK) require(symlink("lock", path) == 0);
  if (file->is != REGULAR) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  require(fd >= 0 && write(fd, file->bytes, file->size) == (ssize_t)file->size);
  close(fd);
}

static bool as_stored(const struct file *file) {
  uint8_t bytes[FILE_MAX];
  char path[128];
  struct stat found;
  file_path(file, path);
  if (lstat(path, &found) != 0) return file->is == ABSENT;
  if (file->is != REGULAR) return S_ISDIR(found.st_mode) == (file->is == DIRECTORY);
  return load(path, bytes) == file->size && memcmp(bytes, file->bytes, file->size) == 0;
}

static void require_unchanged(void) {
  for (size_t i = 0; i < FILES; i++)
    require(as_stored(&spool.files[i]));
}

// ---- What is seen.

struct seen {
  struct ee_spool_at at[SEEN_MAX];
  size_t count;
};

static void require_made(const struct ee_spool_view *view, const struct ee_spool_place *place) {
  require(place->offset % EE_SPOOL_UNIT == 0 && place->size <= view->size - place->offset);
  if (spool.raw) return;
  require(view->number >= 1 && view->number <= SEGMENTS);
  const uint8_t *good = spool.good[view->number - 1] + place->offset;
  size_t body = place->item.attributes.size + place->item.payload.size;
  bool made = false;
  for (size_t i = 0; i < RECORDS; i++)
    made = made || spool.records[view->number - 1][i] == place->offset;
  require(made && memcmp(good, view->bytes + place->offset, 40) == 0);
  require(memcmp(good + EE_SPOOL_UNIT, place->item.attributes.data, body) == 0);
}

static void see_file(const struct ee_spool_look *look, uint64_t number, struct seen *seen) {
  struct ee_spool_view view;
  struct ee_spool_walk walk;
  struct ee_spool_sight sight;
  uint64_t end = EE_SPOOL_UNIT;
  ee_spool_view_open(look, number, &view);
  if (view.bytes != NULL) ee_spool_walk_init(&walk, look, &view);
  while (view.bytes != NULL && ee_spool_walk_next(&walk, &sight)) {
    require(sight.place.offset >= end && sight.place.size > 0);
    end = sight.place.offset + sight.place.size;
    if (!sight.record) continue;
    require_made(&view, &sight.place);
    require(seen->count < SEEN_MAX);
    if (!sight.settled) {
      seen->at[seen->count++] = (struct ee_spool_at){number, sight.place.offset};
    }
  }
  ee_spool_view_close(&view);
}

// False: there is no spool.
static bool see(struct seen *seen) {
  struct ee_spool_look look;
  seen->count = 0;
  if (!ee_spool_look_open(spool.path, &look, NULL)) return false;
  for (size_t i = 0; i < look.count; i++)
    see_file(&look, look.numbers[i], seen);
  ee_spool_look_close(&look);
  return true;
}

static bool take_finding(void *context, const struct ee_spool_finding *finding,
                         struct ee_err *err) {
  (void)context, (void)err;
  require(finding->what[0] != '\0' && finding->file[0] != '\0');
  return true;
}

static bool take_event(void *context, const struct ee_spool_view *view,
                       const struct ee_spool_sight *sight, const struct ee_event_line *line,
                       struct ee_err *err) {
  struct ee_buf out;
  (void)context, (void)err;
  require_made(view, &sight->place);
  ee_buf_init(&out, EE_LINE_MAX);
  ee_event_line_write(line->topic, line->record, (struct ee_str){0}, (struct ee_str){0}, &out);
  ee_buf_release(&out);
  return true;
}

static void tell(void) {
  static const struct ee_spool_visitor visitor = {.finding = take_finding, .event = take_event};
  struct ee_spool_facts facts;
  struct ee_buf out;
  require(ee_spool_facts_read(spool.path, &facts, NULL));
  ee_buf_init(&out, SAID_MAX);
  ee_spool_facts_tell(&facts, spool.path, &out);
  ee_spool_facts_json(&facts, spool.path, &out);
  require(!out.failed);
  require(ee_spool_check(&facts.look, spool.known, &visitor, NULL));
  ee_buf_release(&out);
  ee_spool_facts_release(&facts);
}

// ---- The repair.

static size_t count_files(const char *below) {
  char path[128];
  size_t count = 0;
  snprintf(path, sizeof path, "%s%s", spool.path, below);
  DIR *stream = opendir(path);
  for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
    const char *name = entry->d_name;
    count += name[0] != '.' && strcmp(name, "lock") != 0 && strcmp(name, "unusable") != 0 &&
             strcmp(name, "control") != 0;
  }
  if (stream != NULL) closedir(stream);
  return count;
}

// What was seen is read, in that order, and perhaps more.
static void require_read(const struct seen *seen) {
  struct ee_spool_settings settings = {.directory = spool.path,
                                       .segment_bytes = EE_SPOOL_SEGMENT_LEAST,
                                       .most_bytes = 64 * EE_SPOOL_SEGMENT_LEAST};
  struct ee_spool *opened;
  struct ee_spool_entry entry;
  enum ee_spool_read read;
  size_t next = 0;
  require(ee_spool_open(&settings, &opened, NULL));
  while ((read = ee_spool_read(opened, &entry, NULL)) != EE_SPOOL_READ_NOTHING) {
    require(read != EE_SPOOL_READ_FAILED);
    if (read == EE_SPOOL_READ_RECORD && next < seen->count &&
        entry.at.segment == seen->at[next].segment && entry.at.offset == seen->at[next].offset) {
      next++;
    }
  }
  require(next == seen->count);
  ee_spool_close(opened);
}

static bool repair(bool dry, struct ee_buf *said) {
  struct ee_err err = {""};
  ee_buf_init(said, SAID_MAX);
  bool ok = ee_spool_repair(spool.path, dry, said, &err);
  require(ok || err.text[0] != '\0');
  return ok;
}

static void repair_and_read(const struct seen *before) {
  static struct seen after;
  struct ee_buf planned, said, again;
  size_t files = count_files("");
  bool may = repair(true, &planned);
  require_unchanged();
  bool ok = repair(false, &said);
  require(ok == may && ee_str_equal(ee_buf_view(&said), ee_buf_view(&planned)));
  if (ok) {
    require(repair(true, &again) || (said.size > 0 && !see(&after)));  // all may be aside
    require(again.size == 0 && count_files("") + count_files("/unusable") >= files);
    ee_buf_release(&again);
    require_read(before);
  } else {
    require_unchanged();
  }
  ee_buf_release(&planned);
  ee_buf_release(&said);
}

// ---- One input.

static void empty(const char *below) {
  char path[128], name[512];
  snprintf(path, sizeof path, "%s%s", spool.path, below);
  DIR *stream = opendir(path);
  for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    (void)remove(name);
  }
  if (stream != NULL) closedir(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct seen seen;
  prepare();
  if (size < 2) return 0;
  make(data[0], data[1]);
  for (size_t at = 2; at + 4 <= size; at += 4)
    act(data + at, data + at + 4, size - at - 4);
  for (size_t i = 0; i < FILES; i++)
    store(&spool.files[i]);
  if (see(&seen)) {
    tell();
    require_unchanged();
    repair_and_read(&seen);
  }
  empty("/unusable");
  empty("");
  return 0;
}
