# SPDX-License-Identifier: Apache-2.0
# The one build file. Nothing but make and bash is needed to parse it.
#
#   make                 programs, in build/bin, and libenvelope, in build/lib
#   make demo            installs what is missing, builds, runs the main job (KAFKA=1: on
#                        a real Kafka that it starts; KAFKA=keep: and keeps up for a while)
#   make python          the Python package, a wheel in build/python
#   make check           installs what is missing, then every test
#   make check-unit      tests that need no broker (VALGRIND=1: each under valgrind)
#   make check-system    tests against a real broker
#   make simulate        SEEDS=N seeds of simulated trouble
#   make faults          ROUNDS=N kills, and everything else that can happen on a real Kafka
#   make errors          MINUTES=N the Nth allocation and the Nth call on a store fail, everywhere
#   make mutants         deliberate mistakes, each of which simulator or unit tests must find
#   make bench-kafka     the join beside a bare copy and Kafka Streams: docs/benchmarks.md (FULL=1: an hour)
#   make bench-producer  the client library beside bare librdkafka: docs/benchmarks-producer.md
#   make bench | fuzz MINUTES=N | docs | format | check-format | check-layers |
#        check-schemas | packages
#   make install DESTDIR= PREFIX=/usr/local
#
# Knobs: SAN=address,undefined (an object tree of its own), WERROR=1, CC=, V=1, BUILD=.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDEXPANSION:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)  # a -j on the command line wins
endif

BUILD := build
PREFIX := /usr/local
DESTDIR :=
MINUTES := 10
SEEDS := 20000
ROUNDS := 20
CFLAGS ?= $(if $(SAN),-O1,-O2) -g  # sanitizers: the build counts, too

comma := ,
say = $(if $(V),,@echo '  $(1) $(2)';)

# ---- Object trees: each set of instrumentation has its own.

ifdef FUZZING
  TREE := $(BUILD)/fuzz
  instrument := -fsanitize=fuzzer-no-link,address,undefined
else ifdef SAN
  TREE := $(BUILD)/san-$(subst $(comma),-,$(SAN))
  instrument := -fsanitize=$(SAN)
  $(if $(VALGRIND),$(error SAN and VALGRIND exclude each other))
else
  TREE := $(BUILD)
  hardening := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
endif
ifdef instrument
  instrument += -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
OBJ := $(TREE)/obj
BIN := $(TREE)/bin
LIB := $(TREE)/lib
GEN := $(BUILD)/gen
generated_files := $(GEN)/records.h $(GEN)/records.c $(GEN)/topics.c

# ---- Flags and libraries. pkg-config is asked once, and only when something is compiled.

warnings := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
  -Wformat=2 -Wundef -Wwrite-strings -Wcast-align -Wpointer-arith -Wconversion \
  -Wno-sign-conversion -Wimplicit-fallthrough $(if $(WERROR),-Werror)
libraries := rdkafka avro-c jansson libcurl libmicrohttpd libsodium nettle
# What the client library needs of them.
client_libraries := rdkafka avro-c jansson libcurl libsodium nettle
# For programs alone: tests and sanitizers watch the C library's. See ARCHITECTURE.md.
allocator := jemalloc
package.rdkafka := librdkafka-dev
package.avro-c := libavro-dev
package.jansson := libjansson-dev
package.libcurl := libcurl4-openssl-dev
package.libmicrohttpd := libmicrohttpd-dev
package.libsodium := libsodium-dev
package.nettle := nettle-dev
package.jemalloc := libjemalloc-dev
package.cmocka := libcmocka-dev

have = $(shell command -v $(1) 2>/dev/null)
missing = $(if $(call have,$(firstword $(CC))),,$(patsubst cc,gcc,$(firstword $(CC)))) \
  $(if $(call have,pkg-config),,pkgconf) \
  $(if $(shell $(CC) -include lmdb.h -E -x c /dev/null >/dev/null 2>&1 || echo no),liblmdb-dev) \
  $(foreach l,$(1),$(if $(shell pkg-config --exists $(l) 2>/dev/null || echo no),$(package.$(l))))
require = $(if $(strip $(call missing,$(1))),$(error Debian packages are missing: \
  $(strip $(call missing,$(1))). Install them, or run: $(2)))
once = $(eval $(1) := $(2))$($(1))

library_cflags = $(call require,$(libraries) $(allocator),make packages)$(call once,library_cflags,$(shell \
  pkg-config --cflags $(libraries)))
# Some Debian releases ship lmdb without a .pc file.
library_libs = $(call once,library_libs,$(shell pkg-config --libs $(libraries)) -llmdb -lpthread -lm)
client_libs = $(call once,client_libs,$(shell pkg-config --libs $(client_libraries)) -lpthread)
cmocka_cflags = $(call require,cmocka,deploy/install-packages check)$(call \
  once,cmocka_cflags,$(shell pkg-config --cflags cmocka))
cmocka_libs = $(call once,cmocka_libs,$(shell pkg-config --libs cmocka))

includes := -I. -Ilib -Iproducers -Iprocessors -Itests -I$(GEN)
plain_compile = $(CC) -std=c11 -D_GNU_SOURCE $(includes) $(warnings) $(hardening) \
  $(library_cflags) $(CPPFLAGS) $(CFLAGS)
compile = $(plain_compile) $(instrument)
link = $(CC) $(CFLAGS) $(instrument) -Wl,--as-needed,-z,relro,-z,now $(LDFLAGS) -o $@ \
  $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group

# ---- Sources. A layer is an archive; a program is a folder with a main.c.

sources.base := $(wildcard lib/base/*.c)
sources.contract := $(wildcard lib/contract/*.c) $(GEN)/records.c $(GEN)/topics.c
sources.wire := $(wildcard lib/wire/*.c)
sources.stream := $(wildcard lib/stream/*.c)
sources.producers := $(filter-out %/main.c,$(wildcard producers/*.c producers/*/*.c))
sources.processors := $(filter-out %/main.c,$(wildcard processors/*.c processors/*/*.c))
sources.tools := $(filter-out %/main.c tools/avrogen/%,$(wildcard tools/*/*.c))
sources.support := $(wildcard tests/support/*.c)

# What a part is linked with: itself and the layers before it, so that the linker too
# refuses an upward call.
links.base := base
links.contract := contract $(links.base)
links.wire := wire $(links.contract)
links.stream := stream $(links.wire)
links.producers := producers $(links.stream)
links.processors := processors $(links.stream)
links.tools := tools processors producers $(links.stream)
links.fuzz := $(links.tools)

objects = $(patsubst %.c,$(OBJ)/%.o,$(patsubst $(GEN)/%,gen/%,$(1)))
archives = $(patsubst %,$(OBJ)/lib%.a,$(1))
# Everything after base waits for the generated header; base must build without it.
generated = $(if $(filter lib/base/% tests/unit/base/%,$(1)),,$(GEN)/records.h)
test_cflags = $(if $(filter tests/unit/% tests/support/% tests/system/%,$(1)),$(cmocka_cflags))

# The client library's objects lie apart: its code may be loaded anywhere, and shows nothing but
# what envelope.h declares. Of the layers under it the linker takes what it needs; most of stream
# is not even compiled for it, and the link fails when this list is too short.
pic_flags := -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections -DENVELOPE_BUILD
pic_objects = $(patsubst $(OBJ)/%,$(OBJ)/pic/%,$(call objects,$(1)))
client_objects := $(call pic_objects,$(wildcard producers/spool/*.c producers/client/*.c))
client_stream := client client_io kafka_class kafka_config kafka_handle kafka_notice kafka_offsets \
  settings wait
layer_objects := $(call pic_objects,$(foreach l,$(links.wire),$(sources.$(l))) \
  $(client_stream:%=lib/stream/%.c))
client_map := producers/client/libenvelope.map
version = $(call once,version,$(shell sed -n 's/^\#define EE_VERSION "\(.*\)"$$/\1/p' lib/base/version.h))
soname := libenvelope.so.0
# Sanitizers want the whole program, so an instrumented tree has no library.
library := $(if $(instrument),,$(addprefix $(LIB)/,$(soname) libenvelope.so libenvelope.a))

mains := $(filter-out tools/avrogen/%,\
  $(wildcard producers/*/main.c processors/*/main.c tools/*/main.c))
program = $(if $(filter tools/%,$(1)),,envelope-)$(subst _,-,$(notdir $(1)))
programs := $(foreach m,$(mains),$(BIN)/$(call program,$(m:/main.c=)))
tests := $(patsubst %.c,$(OBJ)/%,$(wildcard tests/unit/*/test_*.c))
fuzzers := $(patsubst %.c,$(OBJ)/%,$(wildcard tests/fuzz/fuzz_*.c))
benches := $(patsubst %.c,$(OBJ)/%,$(wildcard bench/*.c))
peers := $(patsubst %.c,$(OBJ)/%,$(filter-out %/peer.c,$(wildcard bench/kafka/*.c)))
simulate := $(OBJ)/tests/simulate/simulate
broker_test := $(OBJ)/tests/system/broker/test_kafka_broker
emitter := $(OBJ)/tests/system/emitter/emitter
calls := $(OBJ)/bench/producer/calls
spool_writer := $(OBJ)/tests/system/spool/write_spool
c_files := $(sort $(wildcard $(foreach e,c h,lib/*/*.$(e) producers/*.$(e) producers/*/*.$(e) \
  processors/*.$(e) processors/*/*.$(e) tools/*/*.$(e) tests/support/*.$(e) \
  tests/unit/*/*.$(e) tests/install/*.$(e) tests/simulate/*.$(e) tests/fuzz/*.$(e) tests/system/*/*.$(e) bench/*.$(e) bench/*/*.$(e) \
  examples/*.$(e) examples/*/*.$(e))))
headers := $(filter %.h,$(c_files))

.PHONY: all python simulate errors simulate-errors run-errors faults mutants broker-test spool-writer check check-unit check-threads check-system check-layers check-headers check-install check-library check-docs check-schemas \
  check-format format docs demo bench bench-kafka bench-producer fuzz run-fuzzers packages install clean FORCE

all: $(programs) $(library)

# ---- Generated record types.

avrogen_objects := $(patsubst %.c,$(BUILD)/avrogen/%.o,$(wildcard tools/avrogen/*.c) \
  $(sources.base) $(wildcard lib/contract/canonical.c))
schemas := schemas/topics.json $(sort $(wildcard schemas/*.avsc))

$(BUILD)/avrogen/%.o: %.c
	$(call say,CC,$< (generator))mkdir -p $(@D); $(plain_compile) -MMD -MP -c -o $@ $<

$(BUILD)/avrogen/avrogen: $(avrogen_objects)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(library_libs)

$(generated_files) &: $(BUILD)/avrogen/avrogen $(schemas)
	$(call say,GEN,$(GEN))mkdir -p $(GEN); $< $(GEN) $(schemas); touch $(generated_files)

# ---- Objects, archives, programs. A changed compiler or flag rebuilds the tree.

$(OBJ)/flags: FORCE
	@mkdir -p $(@D); echo '$(compile) $(pic_flags)' | cmp -s - $@ || echo '$(compile) $(pic_flags)' >$@

$(OBJ)/gen/%.o: $(GEN)/%.c $(OBJ)/flags
	$(call say,CC,$<)mkdir -p $(@D); $(compile) -MMD -MP -c -o $@ $<

$(OBJ)/%.o: %.c $(OBJ)/flags | $$(call generated,$$*)
	$(call say,CC,$<)mkdir -p $(@D); $(compile) $(call test_cflags,$*) -MMD -MP -c -o $@ $<

# q, not r: two files of one name in different folders both belong into the archive.
$(OBJ)/lib%.a: $$(call objects,$$(sources.$$*))
	$(call say,AR,$@)mkdir -p $(@D); rm -f $@; $(AR) qcs $@ $^

define program_rule
$(BIN)/$(call program,$(1)): $(call objects,$(wildcard $(1)/*.c)) \
    $(call archives,$(links.$(firstword $(subst /, ,$(1)))))
	$$(call say,LINK,$$@)mkdir -p $$(@D); $$(link) $(if $(instrument),,-l$(allocator)) $$(library_libs)
endef
$(foreach m,$(mains),$(eval $(call program_rule,$(m:/main.c=))))

# ---- The client library.

$(OBJ)/pic/gen/%.o: $(GEN)/%.c $(OBJ)/flags
	$(call say,CC,$< (library))mkdir -p $(@D); $(compile) $(pic_flags) -MMD -MP -c -o $@ $<

$(OBJ)/pic/%.o: %.c $(OBJ)/flags | $$(call generated,$$*)
	$(call say,CC,$< (library))mkdir -p $(@D); $(compile) $(pic_flags) -MMD -MP -c -o $@ $<

$(OBJ)/pic/liblayers.a: $(layer_objects)
	$(call say,AR,$@)rm -f $@; $(AR) qcs $@ $^

# Stays loaded: what hangs in librdkafka when a producer is closed runs on in its code.
$(LIB)/$(soname): $(client_objects) $(OBJ)/pic/liblayers.a $(client_map)
	$(call say,LINK,$@)mkdir -p $(@D); $(CC) $(CFLAGS) -shared -Wl,-soname,$(soname) \
	  -Wl,--version-script=$(client_map),--gc-sections,--as-needed \
	  -Wl,-z,defs,-z,nodelete,-z,relro,-z,now $(LDFLAGS) -o $@ \
	  $(filter %.o %.a,$^) $(client_libs)

$(LIB)/libenvelope.so: $(LIB)/$(soname)
	@ln -sf $(soname) $@

# One object of which nothing but the interface is global: a program may have names like ours.
$(LIB)/libenvelope.a: $(client_objects) $(OBJ)/pic/liblayers.a $(client_map)
	$(call say,AR,$@)mkdir -p $(@D); $(CC) -r -nostdlib -o $(OBJ)/pic/envelope.o $(filter %.o %.a,$^); \
	  sed -n 's/^ *\(envelope_.*\);$$/\1/p' $(client_map) >$(OBJ)/pic/exported; \
	  objcopy --keep-global-symbols=$(OBJ)/pic/exported $(OBJ)/pic/envelope.o; \
	  rm -f $@; $(AR) qcs $@ $(OBJ)/pic/envelope.o

# ---- The Python package: a wheel with the library in it, so it is this machine's.

python_files := $(wildcard bindings/python/*.* bindings/python/envelope/*.*)
python: $(BUILD)/python/made

$(BUILD)/python/made: $(LIB)/$(soname) $(python_files)
	$(call say,WHEEL,$(@D))rm -rf $(@D); mkdir -p $(@D)/source/envelope; \
	  for file in $(python_files); do cp "$$file" "$(@D)/source/$${file#bindings/python/}"; done; \
	  objcopy --strip-unneeded $< $(@D)/source/envelope/$(soname); \
	  venv=$$(tests/system/prepare venv | sed -n 's/^venv //p'); \
	  "$$venv/bin/pip" -q --disable-pip-version-check wheel --no-index --no-deps --no-build-isolation \
	    -w $(@D) $(@D)/source; touch $@

# ---- Tests.

# Unit tests see each allocation through tests/support/chaos.c, which can make one fail.
# Thread sanitizer needs tests/support/c11_threads.c, which nothing but librdkafka asks for.
wrapped := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup \
  $(if $(filter thread,$(SAN)),-Wl$(comma)--undefined=thrd_create)
layer_of = $(word 3,$(subst /, ,$(1)))
# Files beside the tests that are no tests themselves are linked into each of them.
helpers = $(call objects,$(filter-out $(1)/test_%,$(wildcard $(1)/*.c)))
$(tests): $(OBJ)/%: $(OBJ)/%.o $$(call helpers,$$(*D)) $(call archives,support) \
    $$(call archives,$$(or $$(links.$$(call layer_of,$$*)),$(links.tools)))
	$(call say,LINK,$@)$(link) $(wrapped) $(library_libs) $(cmocka_libs)

replay := $(if $(FUZZING),,$(OBJ)/tests/fuzz/replay.o)
$(fuzzers): $(OBJ)/%: $(OBJ)/%.o $(replay) $(call archives,$(links.fuzz))
	$(call say,LINK,$@)$(link) $(if $(FUZZING),-fsanitize=fuzzer) $(library_libs)

$(broker_test): $(call objects,$(wildcard tests/system/broker/*.c)) \
    $(call archives,support $(links.stream))
	$(call say,LINK,$@)$(link) $(wrapped) $(library_libs) $(cmocka_libs)

$(emitter) $(calls) $(spool_writer): %: %.o $(call archives,$(links.producers))
	$(call say,LINK,$@)$(link) $(library_libs)

$(simulate): $(call objects,$(wildcard tests/simulate/*.c)) $(call archives,support $(links.tools))
	$(call say,LINK,$@)$(link) $(wrapped) $(library_libs) $(cmocka_libs)

$(benches): $(OBJ)/%: $(OBJ)/%.o $(call archives,$(links.tools))
	$(call say,LINK,$@)$(link) $(library_libs)

check:
	deploy/install-packages check
	$(MAKE) all
	$(MAKE) check-unit
	$(MAKE) check-unit SAN=address,undefined CC=clang
	$(MAKE) check-unit VALGRIND=1
	$(MAKE) check-threads SAN=thread
	$(MAKE) simulate
	$(MAKE) simulate-errors SEEDS=4 STRIDE=41
	$(MAKE) simulate-errors SEEDS=1 STRIDE=41 SAN=address,undefined CC=clang
	$(MAKE) check-library check-install check-docs check-schemas
	$(MAKE) check-system

check-unit: check-layers check-headers $(tests) $(fuzzers)
	$(call say,TEST,$(words $(tests) $(fuzzers)) programs)VALGRIND=$(VALGRIND) \
	  tests/run-unit $(tests) $(fuzzers)

# Those in which threads meet.
check-threads: $(filter %/test_spool %/test_producer %/test_emit %/test_emit_threads %/test_quiet,$(tests))
	$(call say,TEST,threads)tests/run-unit $^

check-layers:
	$(call say,CHECK,layers)tests/check-layers $(c_files)

check-headers: $(patsubst %.h,$(OBJ)/%.h.ok,$(headers))

# Through standard input: as a main file, a header's inline functions would be unused.
$(OBJ)/%.h.ok: %.h $(OBJ)/flags | $$(call generated,$$*)
	$(call say,HEADER,$<)mkdir -p $(@D); printf '#include "$<"\nextern int alone;\n' | \
	  $(compile) -fsyntax-only -MMD -MP -MF $(@:.ok=.d) -MT $@ -x c -; touch $@

check-library: $(library)
	$(call say,CHECK,exports)tests/check-library $(LIB)

check-install: all
	CC='$(CC)' MAKE='$(MAKE)' tests/check-install $(BIN)

documents := docs/options.md docs/libenvelope.md schemas/events.schema.json

check-docs: $(patsubst %,$(BUILD)/made/%,$(documents))
	for made in $(documents); do diff "$$made" "$(BUILD)/made/$$made" || \
	  { echo "$$made is not current: run make docs"; exit 1; }; done

check-schemas: $(BIN)/envelopectl
	$(call say,CHECK,schemas)tests/check-schemas $<

simulate: $(simulate)
	$< --seeds $(SEEDS)

# How far from one error to the next; 1: each (about a minute a seed on four processors).
STRIDE := 1
simulate-errors: $(simulate)
	$< --errors $(STRIDE) --seeds $(SEEDS)

errors:
	$(MAKE) simulate-errors SEEDS=3
	$(MAKE) simulate-errors SEEDS=3 STRIDE=5 SAN=address,undefined CC=clang
	$(MAKE) run-errors SAN=address,undefined CC=clang

run-errors: $(tests)
	tests/errors/run --minutes $(MINUTES) $(tests)

faults: all
	tests/faults/run --rounds $(ROUNDS)

mutants:
	tests/mutants/run

broker-test: $(broker_test) $(emitter)
	@echo $<

spool-writer: $(spool_writer)

# Two files of tests at a time, each with a Kafka of its own: they mostly wait.
check-system: all broker-test spool-writer python
	venv=$$(tests/system/prepare | sed -n 's/^venv //p'); \
	  "$$venv/bin/pytest" -c tests/system/pytest.ini -n 2 --dist loadfile tests/oracle tests/faults tests/system

check-format:
	clang-format --dry-run --Werror $(c_files)

format:
	clang-format -i $(c_files)

bench: all $(benches)
	failed=0; for bench in $(benches); do "$$bench" || failed=1; done; exit $$failed

bench-kafka: all $(peers)
	tests/system/prepare kafka streams >/dev/null
	bench/kafka/run $(if $(FULL),--full)

bench-producer: all $(calls)
	tests/system/prepare kafka >/dev/null
	bench/producer/run

# With librdkafka alone: a peer shares no code.
$(peers): %: %.o $(OBJ)/bench/kafka/peer.o
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(instrument) $(LDFLAGS) -o $@ $^ -lrdkafka -lpthread

fuzz:
	$(MAKE) FUZZING=1 CC=clang run-fuzzers

run-fuzzers: $(fuzzers)
	tests/fuzz/run $(MINUTES) $(TREE) $(fuzzers)

# ---- The rest.

# Documents that are made: the options, from the tables in the programs; the client library's
# functions, from its header; the events as JSON, from the record types.
docs: $(patsubst %,$(BUILD)/made/%,$(documents))
	for made in $(documents); do cp "$(BUILD)/made/$$made" "$$made"; done

$(BUILD)/made/schemas/events.schema.json: $(BIN)/envelopectl
	$(call say,DOCS,$@)mkdir -p $(@D); "$<" schemas json >$@

$(BUILD)/made/docs/libenvelope.md: producers/client/reference producers/client/envelope.h
	$(call say,DOCS,$@)mkdir -p $(@D); $^ >$@

$(BUILD)/made/docs/options.md: $(programs)
	$(call say,DOCS,$@)mkdir -p $(@D); { printf '# Options\n\nWritten by `make docs` from the programs.\n'; \
	  for program in $(sort $^); do echo; "$$program" --reference; done; } >$@

demo:
	deploy/install-packages $(if $(KAFKA),kafka,build)
	$(MAKE) all
	KAFKA=$(KAFKA) deploy/demo

packages:
	deploy/install-packages build

root = $(DESTDIR)$(PREFIX)
install: all
	install -d $(root)/bin $(root)/include $(root)/lib/pkgconfig $(root)/share/envelope/schemas \
	  $(root)/share/doc/envelope
	$(if $(programs),install -m 755 $(programs) $(root)/bin)
	install -m 644 $(wildcard schemas/*.*) $(root)/share/envelope/schemas
	install -m 644 producers/client/envelope.h $(root)/include
	install -m 644 $(LIB)/$(soname) $(root)/lib/libenvelope.so.$(version)
	ln -sf libenvelope.so.$(version) $(root)/lib/$(soname)
	ln -sf $(soname) $(root)/lib/libenvelope.so
	install -m 644 $(LIB)/libenvelope.a $(root)/lib
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(version)|; s|@PRIVATE@|$(client_libs)|' \
	  producers/client/libenvelope.pc.in >$(root)/lib/pkgconfig/libenvelope.pc
	install -m 644 docs/libenvelope.md $(root)/share/doc/envelope

clean:
	rm -rf $(BUILD)

-include $(wildcard $(patsubst %.c,$(OBJ)/%.d,$(filter %.c,$(c_files))) \
  $(client_objects:.o=.d) $(layer_objects:.o=.d) \
  $(OBJ)/gen/records.d $(OBJ)/gen/topics.d $(patsubst %.h,$(OBJ)/%.h.d,$(headers)) \
  $(avrogen_objects:.o=.d))
