# SPDX-License-Identifier: GPL-2.0-only
#
# make               build the module for the running kernel (or KDIR=...)
# sudo make install  install it; see README.md for the rest, or "make help"

VERSION := $(shell cat VERSION)
KDIR    ?= /lib/modules/$(shell uname -r)/build
KVER    ?= $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	   $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
BUILD   := build/$(KVER)
SUBDIR  := drivers/virt/kvm_msix
SOURCES := $(wildcard $(SUBDIR)/*.[ch] $(SUBDIR)/Makefile include/uapi/linux/*.h)

# The object files of one kernel are not those of another: each has a copy of
# the sources of its own under build/.
COPIES  := $(SOURCES:%=$(BUILD)/%)
KBUILD  := $(MAKE) -C $(KDIR) M=$(CURDIR)/$(BUILD)/$(SUBDIR) \
	   KVM_MSIX_VERSION=$(VERSION)

all: module

module: $(COPIES) check-kdir
	$(KBUILD) modules

$(BUILD)/%: %
	@mkdir -p $(@D)
	@cp -p $< $@

check-kdir:
	@test -e $(KDIR)/Makefile || { \
	echo "No kernel headers at $(KDIR)." \
	     "Install linux-headers-$$(uname -r), or say KDIR=..." >&2; exit 1; }

clean:
	rm -rf build

.PHONY: all module check-kdir clean
