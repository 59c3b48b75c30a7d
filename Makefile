# Pagestage. `make help` lists every target.

CLANG      ?= clang
LLD_LINK   ?= lld-link
CROSS_CC   ?= gcc
BUILD      ?= build
EFI_HEADERS ?= /usr/include/efi

WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wvla -Wstrict-prototypes \
            -Wmissing-prototypes -Wundef -Wpointer-arith -Wwrite-strings -Wswitch-enum
COMMON   := -std=c17 $(WARNINGS) -Iinclude

# ---- the library, as a freestanding ELF archive ----

MM := $(wildcard mm/*.c)
HW := $(wildcard mm/x86_64/*.c)

LIB_FLAGS := $(COMMON) -Imm/x86_64 -Imm -O2 -g -ffreestanding -fPIE -mno-red-zone \
             -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables
LIB_OBJECTS := $(patsubst %.c,$(BUILD)/lib/%.o,$(MM) $(HW))

# ---- the host's tests: the same sources on a simulated machine ----

HOST_FLAGS := $(COMMON) -Itests/machine -Imm/x86_64 -Imm -Itests -O1 -g -fno-omit-frame-pointer
SANITIZE   := -fsanitize=address,undefined,integer -fno-sanitize=unsigned-shift-base \
              -fno-sanitize-recover=all
HOST_TESTS := $(wildcard tests/harness/*.c tests/machine/*.c tests/suite/*.c tests/unit/*.c)
HOST_OBJECTS := $(patsubst %.c,$(BUILD)/host/%.o,$(MM) $(HOST_TESTS))

.PHONY: help lib host clean
.DELETE_ON_ERROR:

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

lib: $(BUILD)/libpagestage.a ## the library for embedding

$(BUILD)/libpagestage.a: $(LIB_OBJECTS)
	rm -f $@ && ar rcsD $@ $^

$(BUILD)/lib/%.o: %.c
	@mkdir -p $(@D)
	$(CROSS_CC) $(LIB_FLAGS) -MMD -c $< -o $@

host: $(BUILD)/host/tests ## build the host's tests

$(BUILD)/host/tests: $(HOST_OBJECTS)
	$(CLANG) $(SANITIZE) $^ -o $@

$(BUILD)/host/%.o: %.c
	@mkdir -p $(@D)
	$(CLANG) $(HOST_FLAGS) $(SANITIZE) -MMD -c $< -o $@

clean: ## remove everything that was built
	rm -rf $(BUILD) esp/EFI/BOOT/*.EFI

-include $(LIB_OBJECTS:.o=.d) $(HOST_OBJECTS:.o=.d)
