# Pagestage. `make help` lists every target; V=1 shows the commands.

CLANG       ?= clang
LLD_LINK    ?= lld-link
LLVM_NM     ?= llvm-nm
GCC         ?= gcc
EFI_HEADERS ?= /usr/include/efi
BUILD       ?= build
VERSION     := 0.1
V           ?=
Q           := $(if $(V),,@)
export BUILD
FUZZERS      = $(patsubst %,$(BUILD)/%_fuzz,memory_map frame_pool page_table address_arena virtual)

WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wvla -Wstrict-prototypes \
            -Wmissing-prototypes -Wundef -Wpointer-arith -Wwrite-strings -Wswitch-enum
COMMON   := -std=c17 $(WARNINGS) -Iinclude
MM       := $(wildcard mm/*.c)
HW       := $(wildcard mm/x86_64/*.c)
# What is called often; the rest is compiled for size, and so is what PS_COLD marks in these.
FAST     := frame_pool frame_pool_quick frame_pool_chunks frame_pool_units frame_pool_sets \
            frame_pool_books page_table page_table_walk page_table_map page_table_unmap \
            page_table_change page_table_single page_table_promote cache_types range_tree \
            range_tree_find range_tree_summary address_arena address_arena_leaf address_arena_free

.PHONY: help run test bench bench-check bench-instructions coverage lib image host usb debug \
        instructions screenshot mutants fuzz format clean setup-run setup-test setup-usb \
        setup-debug FORCE
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# ---- what to type ----

run: setup-run ## boot the image in QEMU and show its report
	@$(MAKE) image && python3 scripts/run.py

test: setup-test ## everything that must hold; the last line counts
	@$(MAKE) -j2 image lib host $(FUZZERS) $(BUILD)/exhaustive_tests \
	        $(BUILD)/exhaustive_tree_tests $(BUILD)/exhaustive_arena_tests \
	        $(BUILD)/exhaustive_virtual_tests $(SPACE_TESTS) $(BUILD)/thread_tests \
	        $(BUILD)/thread_stress $(BUILD)/coverage/host_tests $(BUILD)/coverage/thread_tests
	@python3 scripts/test.py $(foreach part,host coverage lint exhaustive exhaustive-tree \
	        exhaustive-arena exhaustive-virtual tables-2 tables-4 tables-8 fuzz bench \
	        threads stress scripts boot audit mutants,"$(part)=$(MAKE) -s test-$(part)")

usb: setup-usb ## build/pagestage.img, to be written to a stick
	@$(MAKE) image && python3 scripts/usb.py

instructions: setup-run ## of the memory stage, a page: what the image counts in QEMU
	@$(MAKE) image && python3 scripts/instructions.py

debug: setup-debug ## QEMU waiting, gdb with symbols; `ps-walk ADDRESS` shows a walk
	@$(MAKE) image && python3 scripts/debug.py

screenshot: setup-run ## build/screenshot.png of the screen at the end of a run
	@$(MAKE) image && python3 scripts/screenshot.py

setup-run setup-test setup-usb setup-debug: setup-%:
	@scripts/setup.sh $*

# ---- the parts of `make test`; each writes TAP. CASES=... takes only some ----

test-lint: lib image
	@python3 scripts/lint.py

test-host: host
	@$(BUILD)/host_tests $(CASES)

test-threads: $(BUILD)/thread_tests
	@$< $(CASES)

test-stress: $(BUILD)/thread_stress
	@$< --threads 2 --pin --scale 4 $(CASES)

test-coverage: coverage

test-exhaustive: $(BUILD)/exhaustive_tests
	@$<

test-exhaustive-tree: $(BUILD)/exhaustive_tree_tests
	@$<

test-exhaustive-arena: $(BUILD)/exhaustive_arena_tests
	@$<

test-exhaustive-virtual: $(BUILD)/exhaustive_virtual_tests
	@$<

# Tables of so many entries.
test-tables-2: $(BUILD)/space_tests_1
test-tables-4: $(BUILD)/space_tests_2
test-tables-8: $(BUILD)/space_tests_3
test-tables-2 test-tables-4 test-tables-8:
	@$<

test-fuzz: $(FUZZERS)
	@python3 scripts/replay.py memory_map frame_pool page_table address_arena virtual

test-bench: bench-check

test-scripts: image
	@python3 tests/boot/test_scripts.py

test-boot: image $(BUILD)/five_levels.efi
	@python3 tests/boot/matrix.py $(CASES)

test-audit: image
	@python3 tests/boot/audit.py $(CASES)

test-mutants:
	@python3 tests/mutants/run.py --passed

mutants: ## seeded defects: each must make a part of the tests fail
	@python3 tests/mutants/run.py

fuzz: $(FUZZERS) ## two minutes of libFuzzer on each: map, frames, page tables, addresses, virtual
	@mkdir -p $(patsubst %,$(BUILD)/fuzz/%,memory_map frame_pool page_table address_arena virtual)
	$(BUILD)/memory_map_fuzz -max_total_time=120 -max_len=1500 $(BUILD)/fuzz/memory_map \
	        tests/fuzz/corpus/memory_map
	$(BUILD)/frame_pool_fuzz -max_total_time=120 -max_len=800 $(BUILD)/fuzz/frame_pool \
	        tests/fuzz/corpus/frame_pool
	$(BUILD)/page_table_fuzz -max_total_time=120 -max_len=600 $(BUILD)/fuzz/page_table \
	        tests/fuzz/corpus/page_table
	$(BUILD)/address_arena_fuzz -max_total_time=120 -max_len=400 $(BUILD)/fuzz/address_arena \
	        tests/fuzz/corpus/address_arena
	$(BUILD)/virtual_fuzz -max_total_time=120 -max_len=500 $(BUILD)/fuzz/virtual \
	        tests/fuzz/corpus/virtual

# ---- the library, as a freestanding ELF archive ----

LIB_FLAGS := $(COMMON) -Imm/x86_64 -Imm -g -ffreestanding -fPIE -mno-red-zone \
             -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables \
             -ffunction-sections -fdata-sections
LIB_OBJECTS := $(patsubst %.c,$(BUILD)/lib/%.o,$(MM) $(HW))

# gcc before 12 has no -Oz. The other three make code faster that is longer then.
LIB_SIZE := $(shell echo | $(GCC) -Oz -E - >/dev/null 2>&1 && echo -Oz || echo -Os) \
            -fno-tree-loop-im -fno-shrink-wrap -fno-caller-saves
LIB_FAST := -O2 -fno-align-functions -fno-align-jumps -fno-align-labels -fno-align-loops
LIB_OPT  := $(LIB_SIZE)
$(foreach d,lib bench,$(patsubst %,$(BUILD)/$(d)/mm/%.o,$(FAST))): LIB_OPT := $(LIB_FAST)

lib: $(BUILD)/libpagestage.a ## build/libpagestage.a, the library for embedding

$(BUILD)/libpagestage.a: $(LIB_OBJECTS)
	$(Q)rm -f $@ && ar rcsD $@ $^

$(BUILD)/lib/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(GCC) $(LIB_FLAGS) $(LIB_OPT) -MMD -c $< -o $@

# ---- the image: what is called most compiled for speed, the rest for size, and what nothing calls
# left out. The library checks its arithmetic and its array indices. Null pointers need no checks of
# their own: page 0 is never mapped. All other undefined behaviour is the host tests' business, and
# so is everything about the tests themselves and most of the application. ----

IMAGE_FLAGS := --target=x86_64-unknown-windows-gnu $(COMMON) -Imm/x86_64 -Imm -Itests -Iefi \
               -isystem $(EFI_HEADERS) -isystem $(EFI_HEADERS)/x86_64 -DPS_VERSION='"$(VERSION)"' \
               -gdwarf-4 -ffreestanding -fshort-wchar -mno-red-zone -mgeneral-regs-only \
               -mno-stack-arg-probe -fno-stack-protector -fno-asynchronous-unwind-tables \
               -ffunction-sections -fdata-sections
IMAGE_CHECKS := -fsanitize=signed-integer-overflow,shift,unreachable,integer-divide-by-zero \
                -fsanitize=return,vla-bound,bounds -fsanitize-trap=undefined
IMAGE_FAST := page_table_map page_table_unmap page_table_walk page_table_single \
              page_table_change frame_pool_quick
IMAGE_SOURCES := $(MM) $(HW) $(wildcard efi/*.c efi/*.S tests/harness/*.c tests/suite/*.c)
IMAGE_OBJECTS := $(patsubst %,$(BUILD)/image/%.o,$(basename $(IMAGE_SOURCES)))
LINK_IMAGE = $(LLD_LINK) /subsystem:efi_application /entry:efi_main /nodefaultlib /base:0 \
             /dynamicbase /Brepro /opt:ref $(IMAGE_OBJECTS)
$(BUILD)/image/%: IMAGE_FLAGS += -Oz
# Besides the library, the suites which show that this works.
$(addprefix $(BUILD)/image/,mm/% efi/trap_suite.o efi/death_suite.o): IMAGE_FLAGS += $(IMAGE_CHECKS)
$(patsubst %,$(BUILD)/image/mm/%.o,$(IMAGE_FAST)): IMAGE_FLAGS += -O2

image: $(BUILD)/BOOTX64.EFI ## build/BOOTX64.EFI, the application; also put on the ESP folder

# Linked again with the names of the functions that the first link placed, once more with
# everything a debugger wants, and once, for a test, for an address above 4 GiB.
$(BUILD)/BOOTX64.EFI: $(BUILD)/image/symbol_table.o
	$(Q)$(LINK_IMAGE) $< /debug:dwarf /out:$(BUILD)/BOOTX64.debug
	$(Q)$(LINK_IMAGE) $< /base:0x140000000 /out:$(BUILD)/BOOTX64.high
	$(Q)$(LINK_IMAGE) $< /out:$@
	$(Q)mkdir -p esp/EFI/BOOT && cp $@ esp/EFI/BOOT/

# For a test: makes a firmware of 5 levels out of the one that starts it, and starts the image.
$(BUILD)/five_levels.efi: $(BUILD)/image/tests/boot/five_levels.o $(BUILD)/image/no_symbols.o \
                          $(filter-out %/main.o,$(IMAGE_OBJECTS))
	$(Q)$(LLD_LINK) /subsystem:efi_application /entry:efi_main /nodefaultlib /base:0 /dynamicbase \
	        /Brepro $^ /out:$@

$(BUILD)/image/symbol_table.c: $(BUILD)/image/no_symbols.o $(IMAGE_OBJECTS) scripts/symbols.py
	$(Q)$(LINK_IMAGE) $< /debug:symtab /out:$(BUILD)/image/first.efi
	$(Q)python3 scripts/symbols.py $(BUILD)/image/first.efi $(LLVM_NM) > $@

$(BUILD)/image/no_symbols.c: scripts/symbols.py
	@mkdir -p $(@D)
	$(Q)python3 scripts/symbols.py > $@

$(BUILD)/image/%.o: $(BUILD)/image/%.c
	$(Q)$(CLANG) $(IMAGE_FLAGS) -c $< -o $@

$(BUILD)/image/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(IMAGE_FLAGS) -MMD -c $< -o $@

$(BUILD)/image/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) --target=x86_64-unknown-windows-gnu -c $< -o $@

# ---- the host's tests: the same sources on a simulated machine, under sanitizers ----

SANITIZE   := -fsanitize=address,undefined,integer -fno-sanitize=unsigned-shift-base \
              -fno-sanitize-recover=all
HOST_FLAGS := $(COMMON) -Itests/machine -Imm/x86_64 -Imm -Itests -Iefi -O1 -g \
              -fno-omit-frame-pointer $(SANITIZE)
# The parts of the application that need no machine.
HOST_EFI   := $(patsubst %,efi/%.c,acpi config crc32 display display_memory display_tests exit_boot \
              font fw_cfg identity memory_strip report screen serial)
HOST_OBJECTS := $(patsubst %.c,$(BUILD)/host/%.o,$(MM) $(HOST_EFI) $(wildcard tests/*.c \
                tests/harness/*.c tests/machine/*.c tests/model/*.c tests/suite/*.c \
                tests/unit/*.c))

host: $(BUILD)/host_tests ## the host's tests, without running them

# Linked again for every seeded defect: lld takes a third of the time.
$(BUILD)/host_tests: $(HOST_OBJECTS)
	$(Q)$(CLANG) -fuse-ld=lld $(SANITIZE) $^ -o $@

$(BUILD)/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(HOST_FLAGS) -MMD -c $< -o $@

# ---- several processors: with ThreadSanitizer, and as it is shipped, for real reordering ----

THREAD_SOURCES := $(wildcard mm/frame_pool*.c mm/memory_map*.c mm/page_table*.c mm/range_tree*.c \
                  mm/virtual*.c mm/address_arena*.c mm/cells*.c \
                  tests/threads/*.c tests/harness/*.c) mm/access.c mm/cache_types.c mm/sink.c \
                  mm/status.c mm/tlb.c tests/machine/memory.c
THREAD_OBJECTS := $(patsubst %.c,$(BUILD)/threads/%.o,$(THREAD_SOURCES))
STRESS_OBJECTS := $(patsubst %.c,$(BUILD)/stress/%.o,$(THREAD_SOURCES))
THREAD_FLAGS   := $(COMMON) -Itests/machine -Imm/x86_64 -Imm -Itests -g

$(BUILD)/thread_tests: $(THREAD_OBJECTS)
	$(Q)$(CLANG) -fsanitize=thread -pthread $^ -o $@

$(BUILD)/thread_stress: $(STRESS_OBJECTS)
	$(Q)$(GCC) -pthread $^ -o $@

# There are more threads than processors: who waits lets others run.
$(BUILD)/threads/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(THREAD_FLAGS) -O1 -fsanitize=thread -include tests/threads/pause.h -MMD -c $< -o $@

$(BUILD)/stress/mm/%.o: mm/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(GCC) -Itests/machine $(LIB_FLAGS) -O2 -MMD -c $< -o $@

$(BUILD)/stress/tests/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(GCC) $(THREAD_FLAGS) -O2 -MMD -c $< -o $@

# ---- coverage: the host's tests with most of the library counted.
# The helpers for entries are in a header: their own tests are counted for them. ----

COVERED          := $(wildcard mm/frame_pool*.c mm/range_tree*.c mm/address_arena*.c \
                    mm/page_table*.c mm/virtual*.c) mm/tlb.c mm/cache_types.c mm/cells.c \
                    tests/unit/entry_test.c
COVERAGE_OBJECTS := $(patsubst %.c,$(BUILD)/coverage/%.o,$(COVERED))
COVERAGE_THREADS := $(patsubst %.c,$(BUILD)/coverage/%.o,$(THREAD_SOURCES))
COVERAGE         := -fprofile-instr-generate -fcoverage-mapping

coverage: $(BUILD)/coverage/host_tests $(BUILD)/coverage/thread_tests ## of the memory stage, line by line
	@python3 scripts/coverage.py $< frame_pool -_model/ + $< range_tree -_model/ + \
	        $< address_arena -_model/ + \
	        $< page_table -_model/ + $< cache_types/ + $< tlb/ + $< entry/ + \
	        $< virtual_ -_model/ + $< cells/ + \
	        $(BUILD)/coverage/thread_tests frame_pool_ -threads/

$(BUILD)/coverage/host_tests: $(COVERAGE_OBJECTS) \
                              $(filter-out $(COVERED:%.c=$(BUILD)/host/%.o),$(HOST_OBJECTS))
	$(Q)$(CLANG) -fuse-ld=lld $(SANITIZE) $(COVERAGE) $^ -o $@

$(BUILD)/coverage/thread_tests: $(COVERAGE_THREADS)
	$(Q)$(CLANG) $(COVERAGE) -pthread $^ -o $@

$(BUILD)/coverage/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out $(SANITIZE),$(HOST_FLAGS)) $(COVERAGE) -MMD -c $< -o $@

$(BUILD)/memory_map_fuzz: tests/fuzz/memory_map_fuzz.c $(wildcard mm/memory_map*.[ch]) mm/sink.c \
                          mm/status.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(COMMON) -Imm -O1 -g $(SANITIZE) -fsanitize=fuzzer $(filter %.c,$^) -o $@

# Only the frame pool itself leads the fuzzer.
FUZZED       := $(patsubst %.c,$(BUILD)/fuzzed/%.o,$(wildcard mm/frame_pool*.c))
FUZZ_OBJECTS := $(FUZZED) $(patsubst %.c,$(BUILD)/host/%.o,tests/fuzz/frame_pool_fuzz.c mm/sink.c \
                mm/status.c tests/machine/memory.c $(wildcard mm/memory_map*.c tests/model/frame_*.c))

$(BUILD)/frame_pool_fuzz: $(FUZZ_OBJECTS)
	$(Q)$(CLANG) $(SANITIZE) -fsanitize=fuzzer $^ -o $@

$(BUILD)/fuzzed/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(HOST_FLAGS) -fsanitize=fuzzer-no-link -MMD -c $< -o $@

# Only the page tables themselves lead the fuzzer; they have four entries.
FUZZED_SPACE       := $(patsubst %.c,$(BUILD)/fuzzed_space/%.o,$(wildcard mm/page_table*.c mm/tlb.c))
FUZZ_SPACE_OBJECTS := $(FUZZED_SPACE) $(patsubst %.c,$(BUILD)/space_2/%.o,mm/access.c mm/sink.c \
                      mm/status.c tests/fuzz/page_table_fuzz.c tests/machine/memory.c \
                      tests/machine/mmu.c $(wildcard mm/cache_types*.c mm/range_tree*.c \
                      mm/frame_pool*.c mm/memory_map*.c tests/model/space_*.c))

$(BUILD)/page_table_fuzz: $(FUZZ_SPACE_OBJECTS)
	$(Q)$(CLANG) -fsanitize=undefined,fuzzer $^ -o $@

$(BUILD)/fuzzed_space/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(SPACE_FLAGS) -DPS_TABLE_INDEX_BITS=2u -DMMU_INDEX_BITS=2u \
	        -fsanitize=fuzzer-no-link -MMD -c $< -o $@

# Only the arena itself leads the fuzzer; it has the smallest nodes.
FUZZED_ARENA       := $(patsubst %.c,$(BUILD)/fuzzed_arena/%.o,$(wildcard mm/address_arena*.c))
FUZZ_ARENA_OBJECTS := $(FUZZED_ARENA) $(patsubst %.c,$(BUILD)/exhaustive_arena/%.o,mm/sink.c \
                      mm/status.c tests/fuzz/address_arena_fuzz.c tests/model/arena_driver.c \
                      tests/machine/memory.c $(wildcard mm/frame_pool*.c mm/memory_map*.c))

$(BUILD)/address_arena_fuzz: $(FUZZ_ARENA_OBJECTS)
	$(Q)$(CLANG) -fsanitize=undefined,fuzzer $^ -o $@

$(BUILD)/fuzzed_arena/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out $(TINY),$(EXHAUSTIVE_FLAGS)) $(TINY_ARENA) -fsanitize=integer \
	        -fno-sanitize=unsigned-shift-base -fsanitize=fuzzer-no-link -MMD -c $< -o $@

# ---- the exhaustive searches: in a tiny geometry ----

TINY := -DPS_CHUNK_BITS=2u -DPS_TRACT_BITS=3u -DPS_REGION_BITS=4u \
        '-DPS_FRAMES_LOW=((uint64_t)2)' '-DPS_FRAMES_4GIB=((uint64_t)32)'
EXHAUSTIVE_FLAGS   := $(COMMON) -Itests/machine -Imm/x86_64 -Imm -Itests -O2 -g $(TINY) \
                      -fsanitize=undefined -fno-sanitize-recover=all
EXHAUSTIVE_OBJECTS := $(patsubst %.c,$(BUILD)/exhaustive/%.o,$(wildcard mm/frame_pool*.c \
                      mm/memory_map*.c tests/model/frame_*.c tests/exhaustive/frame_*.c) \
                      mm/sink.c mm/status.c tests/machine/memory.c)

$(BUILD)/exhaustive_tests: $(EXHAUSTIVE_OBJECTS)
	$(Q)$(CLANG) -fsanitize=undefined $^ -o $@

$(BUILD)/exhaustive/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(EXHAUSTIVE_FLAGS) -MMD -c $< -o $@

# The same for the range tree, whose nodes hold three ranges; the pool below it is the real one.
TINY_TREE    := -DPS_RANGE_TREE_LEAF=3u -DPS_RANGE_TREE_INNER=4u -DPS_RANGE_TREE_WINDOW=2u
TREE_SOURCES := $(wildcard mm/range_tree*.c) tests/model/range_driver.c \
                tests/exhaustive/range_tree_exhaustive.c
TREE_OBJECTS := $(patsubst %.c,$(BUILD)/exhaustive_tree/%.o,$(TREE_SOURCES) mm/sink.c mm/status.c \
                tests/machine/memory.c $(wildcard mm/frame_pool*.c mm/memory_map*.c))

$(BUILD)/exhaustive_tree_tests: $(TREE_OBJECTS)
	$(Q)$(CLANG) -fsanitize=undefined $^ -o $@

$(BUILD)/exhaustive_tree/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out $(TINY),$(EXHAUSTIVE_FLAGS)) $(TINY_TREE) -fsanitize=integer \
	        -fno-sanitize=unsigned-shift-base -MMD -c $< -o $@

# And for the address arena, whose leaves hold five cells; gaps of 4 pages and more are large.
TINY_ARENA    := -DPS_ARENA_CELLS=5u -DPS_ARENA_CHILDREN=4u -DPS_ARENA_SMALL=4
ARENA_SOURCES := $(wildcard mm/address_arena*.c) tests/model/arena_driver.c \
                 tests/exhaustive/address_arena_exhaustive.c
ARENA_OBJECTS := $(patsubst %.c,$(BUILD)/exhaustive_arena/%.o,$(ARENA_SOURCES) mm/sink.c \
                 mm/status.c tests/machine/memory.c $(wildcard mm/frame_pool*.c mm/memory_map*.c))

$(BUILD)/exhaustive_arena_tests: $(ARENA_OBJECTS)
	$(Q)$(CLANG) -fsanitize=undefined $^ -o $@

$(BUILD)/exhaustive_arena/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out $(TINY),$(EXHAUSTIVE_FLAGS)) $(TINY_ARENA) -fsanitize=integer \
	        -fno-sanitize=unsigned-shift-base -MMD -c $< -o $@

# And for the virtual allocator over such an arena.
VIRTUAL_LED     := $(wildcard mm/virtual*.c mm/address_arena*.c mm/cells*.c)
VIRTUAL_BELOW   := $(wildcard mm/page_table*.c mm/cache_types*.c mm/range_tree*.c \
                   mm/frame_pool*.c mm/memory_map*.c tests/model/virtual_*.c) mm/access.c \
                   mm/sink.c mm/status.c mm/tlb.c tests/machine/memory.c tests/machine/mmu.c
VIRTUAL_OBJECTS := $(patsubst %.c,$(BUILD)/exhaustive_virtual/%.o,$(VIRTUAL_LED) $(VIRTUAL_BELOW) \
                   tests/exhaustive/virtual_exhaustive.c)

$(BUILD)/exhaustive_virtual_tests: $(VIRTUAL_OBJECTS)
	$(Q)$(CLANG) -fsanitize=undefined $^ -o $@

$(BUILD)/exhaustive_virtual/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out $(TINY),$(EXHAUSTIVE_FLAGS)) $(TINY_ARENA) -MMD -c $< -o $@

# Only the virtual allocator and its arena lead the fuzzer.
FUZZ_VIRTUAL_OBJECTS := $(patsubst %.c,$(BUILD)/fuzzed_virtual/%.o,$(VIRTUAL_LED)) \
                        $(patsubst %.c,$(BUILD)/exhaustive_virtual/%.o,$(VIRTUAL_BELOW) \
                        tests/fuzz/virtual_fuzz.c)

$(BUILD)/virtual_fuzz: $(FUZZ_VIRTUAL_OBJECTS)
	$(Q)$(CLANG) -fsanitize=undefined,fuzzer $^ -o $@

$(BUILD)/fuzzed_virtual/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out $(TINY),$(EXHAUSTIVE_FLAGS)) $(TINY_ARENA) \
	        -fsanitize=fuzzer-no-link -MMD -c $< -o $@

# ---- and the page tables, with 2, 4 and 8 entries a table ----

SPACE_TESTS   := $(patsubst %,$(BUILD)/space_tests_%,1 2 3)
SPACE_SOURCES := $(wildcard mm/page_table*.c mm/cache_types*.c mm/range_tree*.c mm/frame_pool*.c \
                 mm/memory_map*.c tests/model/space_*.c \
                 tests/exhaustive/space_*.c) mm/access.c mm/sink.c mm/status.c mm/tlb.c \
                 tests/harness/test.c tests/machine/memory.c tests/machine/mmu.c
SPACE_FLAGS   := $(COMMON) -Itests/machine -Imm/x86_64 -Imm -Itests -O2 -g -fsanitize=undefined \
                 -fno-sanitize-recover=all
SPACE_OBJECTS :=

define SPACE_RULES
SPACE_OBJECTS += $(patsubst %.c,$(BUILD)/space_$(1)/%.o,$(SPACE_SOURCES))

$(BUILD)/space_tests_$(1): $(patsubst %.c,$(BUILD)/space_$(1)/%.o,$(SPACE_SOURCES))
	$$(Q)$$(CLANG) -fsanitize=undefined $$^ -o $$@

$(BUILD)/space_$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$$(Q)$$(CLANG) $$(SPACE_FLAGS) -DPS_TABLE_INDEX_BITS=$(1)u -DMMU_INDEX_BITS=$(1)u -MMD -c $$< -o $$@
endef
$(foreach n,1 2 3,$(eval $(call SPACE_RULES,$(n))))

# ---- benchmarks: the library as it is shipped, against baselines, on simulated memory ----

BENCH_LIB     := $(patsubst %.c,$(BUILD)/bench/%.o,$(MM))
BENCH_SOURCES := $(filter-out %_test.c,$(wildcard tests/bench/*.c tests/bench/hw/*.c))
BENCH_OBJECTS := $(BENCH_LIB) $(patsubst %.c,$(BUILD)/bench/%.o,$(BENCH_SOURCES))
CHECK_SOURCES := $(wildcard tests/bench/baseline_*.c) tests/bench/bench.c tests/bench/frame_memory.c \
                 $(wildcard tests/harness/*.c) mm/sink.c mm/status.c
CHECK_OBJECTS := $(patsubst %.c,$(BUILD)/bench_check/%.o,$(CHECK_SOURCES))

bench: $(BUILD)/benchmarks ## how fast; B=frame_pool or B=B1 takes a part; also build/bench.jsonl
	@$< $(if $(B),--only $(B)) --json $(BUILD)/bench.jsonl

bench-check: $(BUILD)/bench_check_tests ## that the benchmarks' baselines are correct
	@$<

bench-instructions: $(BUILD)/benchmarks ## instructions per operation; needs valgrind
	@python3 tests/bench/instructions.py $< $(if $(B),--only $(B))

$(BUILD)/benchmarks: $(BENCH_OBJECTS)
	$(Q)$(GCC) -pthread $^ -o $@

$(BUILD)/bench_check_tests: $(CHECK_OBJECTS)
	$(Q)$(CLANG) -pthread $(SANITIZE) $^ -o $@

$(BUILD)/bench/mm/%.o: mm/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(GCC) -Itests/bench/hw $(LIB_FLAGS) $(LIB_OPT) -MMD -c $< -o $@

$(BUILD)/bench/tests/%.o: tests/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(GCC) -Itests/bench/hw $(COMMON) -Imm/x86_64 -Itests -O2 -g -MMD -c $< -o $@

$(BUILD)/bench_check/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) -Itests/bench/hw $(COMMON) -Imm/x86_64 -Imm -Itests -O1 -g $(SANITIZE) -MMD -c $< -o $@

# ---- upkeep ----

format: ## clang-format on every source
	clang-format -i $(shell git ls-files '*.c' '*.h' | grep -v '^efi/font\.')

clean: ## remove everything that was built
	rm -rf $(BUILD) esp/EFI/BOOT/BOOTX64.EFI

-include $(LIB_OBJECTS:.o=.d) $(HOST_OBJECTS:.o=.d) $(IMAGE_OBJECTS:.o=.d) \
         $(BENCH_OBJECTS:.o=.d) $(CHECK_OBJECTS:.o=.d) $(THREAD_OBJECTS:.o=.d) \
         $(STRESS_OBJECTS:.o=.d) $(COVERAGE_OBJECTS:.o=.d) $(COVERAGE_THREADS:.o=.d) \
         $(FUZZ_OBJECTS:.o=.d) $(EXHAUSTIVE_OBJECTS:.o=.d) $(TREE_OBJECTS:.o=.d) \
         $(ARENA_OBJECTS:.o=.d) $(VIRTUAL_OBJECTS:.o=.d) $(FUZZ_VIRTUAL_OBJECTS:.o=.d) \
         $(SPACE_OBJECTS:.o=.d) $(FUZZ_SPACE_OBJECTS:.o=.d) $(FUZZ_ARENA_OBJECTS:.o=.d)
