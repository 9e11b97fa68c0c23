# SPDX-License-Identifier: GPL-2.0-only

define HELP
The module:
  make                 build it and the tool kvm-msix(8), for the running kernel,
                       for KVER=... or for the headers at KDIR=...
  make deb             build Debian packages of both; the module's follows kernel
                       updates by DKMS
  sudo make install    install without packages; DESTDIR, PREFIX, KVER and KDIR
                       say where and for which kernel
  sudo make uninstall  take that away again, from every kernel
  make overlay TREE=.. add the module to a kernel source tree, as a patch would

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
PREFIX  ?= /usr/local
override DESTDIR := $(abspath $(DESTDIR))
KVER    ?= $(shell uname -r)
KDIR    ?= /lib/modules/$(KVER)/build
# The release of the kernel whose headers these are.
UTS     := $(KDIR)/include/generated/utsrelease.h
RELEASE := $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(UTS) 2>/dev/null)
BUILD   := build/$(RELEASE)
SUBDIR  := drivers/virt/kvm_msix
SOURCES := $(wildcard $(SUBDIR)/*.[ch] $(SUBDIR)/compat/*.h $(SUBDIR)/Makefile include/uapi/linux/*.h \
	   packaging/tested)

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
	@test -e "$(KDIR)" || { \
	echo "No kernel headers at $(KDIR). Install linux-headers-$(KVER)," \
	     "or say KVER=... or KDIR=..." >&2; exit 1; }
	@test -n "$(RELEASE)" || { \
	echo "$(UTS) is missing: this is no directory to build modules in." \
	     "Say KDIR=/lib/modules/VERSION/build, or KVER=VERSION." >&2; exit 1; }

# Below DESTDIR the files are on their way to another machine, or to a package.
check-root:
	@test -n "$(DESTDIR)" -o "$$(id -u)" = 0 || { \
	echo "Only root can do this: sudo make $(MAKECMDGOALS);" \
	     "or say DESTDIR=..." >&2; exit 1; }

# Two modules of one name: depmod would choose.
check-dkms:
	@test -n "$(DESTDIR)" -o -z "$(wildcard /usr/src/kvm_msix-*/dkms.conf)" || { \
	echo "DKMS has installed this module; take it away first:" \
	     "sudo apt purge kvm-msix-dkms" >&2; exit 1; }

# Distributions' headers have no key to sign with. depmod is for the live system:
# modules_install does not run it without a System.map, which headers lack.
SIGN_ALL := $(if $(wildcard $(KDIR)/certs/signing_key.pem),y)
DEPMOD   := $(if $(DESTDIR),true,/sbin/depmod)

install: check-root check-dkms module tool
	$(KBUILD) modules_install INSTALL_MOD_PATH=$(DESTDIR) \
		INSTALL_MOD_DIR=updates CONFIG_MODULE_SIG_ALL=$(SIGN_ALL) \
		DEPMOD=true
	$(DEPMOD) $(RELEASE)
	install -D -m 644 include/uapi/linux/kvm_msix.h \
		$(DESTDIR)$(PREFIX)/include/linux/kvm_msix.h
	install -D -m 644 packaging/60-kvm_msix.rules \
		$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-kvm_msix.rules
	install -D -m 644 packaging/modules-load.d/kvm_msix.conf \
		$(DESTDIR)$(PREFIX)/lib/modules-load.d/kvm_msix.conf
	$(MAKE) -C tools/kvm_msix install DESTDIR=$(DESTDIR)

# Kernels before 6.3 had modules in extra/, if nobody said updates/.
INSTALLED = $(wildcard $(addsuffix /kvm_msix.ko*,\
	    $(addprefix $(DESTDIR)/lib/modules/*/,updates extra)))

uninstall: check-root
	@for module in $(INSTALLED); do \
		kernel=$${module%/*/*}; \
		rm -v $$module && $(DEPMOD) $${kernel##*/}; \
	done
	rm -f $(DESTDIR)$(PREFIX)/include/linux/kvm_msix.h \
		$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-kvm_msix.rules \
		$(DESTDIR)$(PREFIX)/lib/modules-load.d/kvm_msix.conf
	$(MAKE) -C tools/kvm_msix uninstall DESTDIR=$(DESTDIR)

deb:
	@packaging/deb

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

.PHONY: all module tool check-kdir check-root check-dkms install uninstall deb \
	overlay setup demo check bench bench-check check-kvm check-debug stress \
	conformance fuzz qemu clean help
