# SPDX-License-Identifier: GPL-2.0-only

define HELP
The module:
  make                 build it for the running kernel, or for KDIR=..., and
                       the tool kvm-msix(8)
  sudo make install    install both and the udev rule; then: modprobe kvm_msix
  sudo make dkms       install it by DKMS, so that it follows kernel updates
  make overlay TREE=.. add it to a kernel source tree, as a patch would

In an emulated machine, on Debian 12 (as root, who can install packages):
  make demo            a guest with an NVMe disk, its table in QEMU and in the
                       kernel, compared
  make check           all tests; PART=... only some, see tools/testing/check
  make bench           what an access, an interrupt, an ioctl costs, counted
  make bench-check     fail if one costs more than it did, or than promised
  make check-kvm       KVM's own selftests, without and with the module
  make check-debug     the kselftests in kernels that look for mistakes
  make stress          races, scale and kills in their long form, on both kernels
  make conformance     what a guest sees, point by point, with the table in the
                       device, in QEMU, in the kernel and in guest memory
  make fuzz            random operations for SECONDS=600, against a model;
                       says what code they reached
  make qemu            build QEMU with kvm_msix, and say where it is
  make setup           only install the packages that these need

  make clean           what was built here; downloads and builds that can be
                       used again are in $${KVM_MSIX_CACHE:-~/.cache/kvm_msix}
endef

VERSION := $(shell cat VERSION)
KDIR    ?= /lib/modules/$(shell uname -r)/build
KVER    := $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	   $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
BUILD   := build/$(KVER)
SUBDIR  := drivers/virt/kvm_msix
SOURCES := $(wildcard $(SUBDIR)/*.[ch] $(SUBDIR)/compat/*.h $(SUBDIR)/Makefile include/uapi/linux/*.h)

# The object files of one kernel are not those of another: each has a copy of
# the sources of its own under build/.
COPIES  := $(SOURCES:%=$(BUILD)/%)
# kbuild does not expect company in a directory.
KBUILD  := flock $(BUILD) $(MAKE) -C $(KDIR) M=$(CURDIR)/$(BUILD)/$(SUBDIR) \
	   KVM_MSIX_VERSION=$(VERSION)

all: module tool

module: check-kdir $(COPIES)
	$(KBUILD) modules

$(BUILD)/%: %
	@mkdir -p $(@D)
	@cp -p $< $@.$$$$ && mv $@.$$$$ $@

tool:
	@$(MAKE) -s -C tools/kvm_msix

check-kdir:
	@test -n "$(KVER)" || { \
	echo "No kernel headers at $(KDIR)." \
	     "Install linux-headers-$$(uname -r), or say KDIR=..." >&2; exit 1; }

install: module tool
	$(KBUILD) modules_install
	/sbin/depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(KVER)
	install -D -m 644 packaging/60-kvm_msix.rules \
		$(DESTDIR)/usr/lib/udev/rules.d/60-kvm_msix.rules
	$(MAKE) -C tools/kvm_msix install

dkms:
	packaging/dkms-install

overlay:
	packaging/overlay $(TREE)

setup:
	@tools/testing/lab/setup

demo: setup
	@tools/testing/e2e/demo

check: setup
	@tools/testing/check $(PART)

bench: setup
	@tools/testing/bench/bench --vmm

bench-check: setup
	@tools/testing/bench/bench --check

check-kvm: setup
	@tools/testing/check-kvm

check-debug: setup
	@tools/testing/debug/bait
	@tools/testing/debug/check

stress: setup
	@tools/testing/stress

conformance: setup
	@tools/testing/conformance/conformance

fuzz: setup
	@tools/testing/fuzz $(SECONDS) $(SEED)

qemu: setup
	@integrations/qemu/build

clean:
	rm -rf build
	@$(MAKE) -s -C tools/testing/kvm_msix clean

export HELP
help:
	@echo "$$HELP"

.PHONY: all module tool check-kdir install dkms overlay setup demo check \
	bench bench-check check-kvm check-debug stress conformance fuzz qemu clean \
	help
