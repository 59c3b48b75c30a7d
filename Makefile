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

WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wvla -Wstrict-prototypes \
            -Wmissing-prototypes -Wundef -Wpointer-arith -Wwrite-strings -Wswitch-enum
COMMON   := -std=c17 $(WARNINGS) -Iinclude
MM       := $(wildcard mm/*.c)
HW       := $(wildcard mm/x86_64/*.c)

.PHONY: help run test bench bench-check bench-instructions lib image host usb debug screenshot mutants fuzz format clean \
        setup-run setup-test setup-usb setup-debug FORCE
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# ---- what to type ----

run: setup-run ## boot the image in QEMU and show its report
	@$(MAKE) image && python3 scripts/run.py

test: setup-test ## everything that must hold; the last line counts
	@$(MAKE) -j2 image lib host $(BUILD)/memory_map_fuzz
	@python3 scripts/test.py $(foreach part,lint host fuzz bench scripts boot audit mutants,\
	        "$(part)=$(MAKE) -s test-$(part)")

usb: setup-usb ## build/pagestage.img, to be written to a stick
	@$(MAKE) image && python3 scripts/usb.py

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

test-fuzz: $(BUILD)/memory_map_fuzz
	@python3 scripts/replay.py memory_map

test-bench: bench-check

test-scripts: image
	@python3 tests/boot/test_scripts.py

test-boot: image
	@python3 tests/boot/matrix.py $(CASES)

test-audit: image
	@python3 tests/boot/audit.py $(CASES)

test-mutants: mutants

mutants: ## seeded defects: each must make a part of the tests fail
	@python3 tests/mutants/run.py

fuzz: $(BUILD)/memory_map_fuzz ## two minutes of libFuzzer on the memory map
	@mkdir -p $(BUILD)/fuzz
	$(BUILD)/memory_map_fuzz -max_total_time=120 -max_len=1500 $(BUILD)/fuzz \
	        tests/fuzz/corpus/memory_map

# ---- the library, as a freestanding ELF archive ----

LIB_FLAGS := $(COMMON) -Imm/x86_64 -Imm -O2 -g -ffreestanding -fPIE -mno-red-zone \
             -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables
LIB_OBJECTS := $(patsubst %.c,$(BUILD)/lib/%.o,$(MM) $(HW))

lib: $(BUILD)/libpagestage.a ## build/libpagestage.a, the library for embedding

$(BUILD)/libpagestage.a: $(LIB_OBJECTS)
	$(Q)rm -f $@ && ar rcsD $@ $^

$(BUILD)/lib/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(GCC) $(LIB_FLAGS) -MMD -c $< -o $@

# ---- the image: the library compiled for speed, what is around it for size ----

IMAGE_FLAGS := --target=x86_64-unknown-windows-gnu $(COMMON) -Imm/x86_64 -Imm -Itests -Iefi \
               -isystem $(EFI_HEADERS) -isystem $(EFI_HEADERS)/x86_64 -DPS_VERSION='"$(VERSION)"' \
               -gdwarf-4 -ffreestanding -fshort-wchar -mno-red-zone -mgeneral-regs-only \
               -mno-stack-arg-probe -fno-stack-protector -fno-asynchronous-unwind-tables \
               -fsanitize=undefined -fsanitize-trap=undefined
IMAGE_SOURCES := $(MM) $(HW) $(wildcard efi/*.c efi/*.S tests/harness/*.c tests/suite/*.c)
IMAGE_OBJECTS := $(patsubst %,$(BUILD)/image/%.o,$(basename $(IMAGE_SOURCES)))
LINK_IMAGE = $(LLD_LINK) /subsystem:efi_application /entry:efi_main /nodefaultlib /base:0 \
             /dynamicbase /Brepro $(IMAGE_OBJECTS)
$(BUILD)/image/mm/%: IMAGE_FLAGS += -O2
$(BUILD)/image/efi/% $(BUILD)/image/tests/%: IMAGE_FLAGS += -Os

image: $(BUILD)/BOOTX64.EFI ## build/BOOTX64.EFI, the application; also put on the ESP folder

# Linked again with the names of the functions that the first link placed, once more with
# everything a debugger wants, and once, for a test, for an address above 4 GiB.
$(BUILD)/BOOTX64.EFI: $(BUILD)/image/symbol_table.o
	$(Q)$(LINK_IMAGE) $< /debug:dwarf /out:$(BUILD)/BOOTX64.debug
	$(Q)$(LINK_IMAGE) $< /base:0x140000000 /out:$(BUILD)/BOOTX64.high
	$(Q)$(LINK_IMAGE) $< /out:$@
	$(Q)mkdir -p esp/EFI/BOOT && cp $@ esp/EFI/BOOT/

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
HOST_EFI   := $(patsubst %,efi/%.c,config crc32 display display_memory display_tests exit_boot \
              font fw_cfg memory_strip report screen serial)
HOST_OBJECTS := $(patsubst %.c,$(BUILD)/host/%.o,$(MM) $(HOST_EFI) $(wildcard tests/*.c \
                tests/harness/*.c tests/machine/*.c tests/suite/*.c tests/unit/*.c))

host: $(BUILD)/host_tests ## the host's tests, without running them

$(BUILD)/host_tests: $(HOST_OBJECTS)
	$(Q)$(CLANG) $(SANITIZE) $^ -o $@

$(BUILD)/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(HOST_FLAGS) -MMD -c $< -o $@

$(BUILD)/memory_map_fuzz: tests/fuzz/memory_map_fuzz.c $(wildcard mm/memory_map*.[ch]) mm/sink.c \
                          mm/status.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(COMMON) -Imm -O1 -g $(SANITIZE) -fsanitize=fuzzer $(filter %.c,$^) -o $@

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
	$(Q)$(GCC) -Itests/bench/hw $(LIB_FLAGS) -MMD -c $< -o $@

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
         $(BENCH_OBJECTS:.o=.d) $(CHECK_OBJECTS:.o=.d)
