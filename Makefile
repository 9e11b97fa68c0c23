# SPDX-License-Identifier: GPL-2.0-only

define HELP
The module:
  make                 build it and the tool kvm-msix(8), for the running kernel,
                       for KVER=... or for the headers at KDIR=...
  make deb             build Debian packages of both; the module's follows kernel
                       updates by DKMS
  sudo make install    install without packages; DESTDIR, PREFIX, KVER and KDIR
                       say where and for which kernel
  sudo make uninstall  remove what make install installed, for every kernel
  make overlay TREE=.. add the module to a kernel source tree, as a patch would
  make series TREE=... write the same as patches for git am, to
                       SERIES=build/series

In an emulated machine, on Debian 12 or, as root, on a later one:
  make demo            a guest with an NVMe disk, its table in QEMU and in the
                       kernel, compared
  make check           the tests, one kernel whole; PART=... only some, see
                       tools/testing/check
  make check-all       all tests on all kernels, and a table of them; RESUME=1
                       continues a run that has ended early
  make bench           what an access, an interrupt, an ioctl costs, counted
  make bench-check     fail if a cost is higher than recorded or than promised
  make check-kvm       KVM's own selftests, without and with the module
  make check-debug     the kselftests in kernels that look for mistakes
  make stress          races, scale and kills in their long form, on both kernels
  make conformance     what a guest sees, point by point, with the table in the
                       device, in QEMU, in the kernel and in guest memory
  make fuzz            random operations for SECONDS=600, against a model;
                       prints what code they reached
  make qemu            build a QEMU with kvm_msix that has what the lab needs, and
                       print its path; QEMU=7.2, 10.0 or 10.2 says which
  make qemu-deb        build Debian's packages of QEMU with kvm_msix, for use: this
                       machine's, or QEMU=7.2 of Debian 12, or QEMU=10.0 of 13
  make check-qemu-deb  install these packages, of QEMU=7.2 or of QEMU=10.0, in a
                       bare Debian, and try them
  make setup           only install the packages that the targets above need

  make clean           remove what was built in this tree. Downloads and builds
                       for later use are in $${KVM_MSIX_CACHE:-~/.cache/kvm_msix}
endef

VERSION := $(shell cat VERSION)
PREFIX  ?= /usr/local
override DESTDIR := $(abspath $(DESTDIR))
KVER    ?= $(shell uname -r)
KDIR    ?= /lib/modules/$(KVER)/build
# The release of the kernel that the headers at KDIR are for.
UTS     := $(KDIR)/include/generated/utsrelease.h
RELEASE := $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(UTS) 2>/dev/null)
BUILD   := build/$(RELEASE)
SUBDIR  := drivers/virt/kvm_msix
# Runs a command on a Debian that has all that the lab needs.
LAB     := tools/testing/lab/host
SOURCES := $(wildcard $(SUBDIR)/*.[ch] $(SUBDIR)/compat/*.h $(SUBDIR)/Makefile include/uapi/linux/*.h \
	   packaging/tested)

# Object files are for one kernel only: each kernel has its own copy of the
# sources under build/.
COPIES  := $(SOURCES:%=$(BUILD)/%)
# Two makes must not run kbuild in one directory at the same time.
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

# With DESTDIR, the files are for another machine or for a package.
check-root:
	@test -n "$(DESTDIR)" -o "$$(id -u)" = 0 || { \
	echo "Only root can do this: sudo make $(MAKECMDGOALS);" \
	     "or say DESTDIR=..." >&2; exit 1; }

# If there were two modules of this name, depmod would choose between them.
check-dkms:
	@test -n "$(DESTDIR)" -o -z "$(wildcard /usr/src/kvm_msix-*/dkms.conf)" || { \
	echo "DKMS has installed this module; take it away first:" \
	     "sudo apt purge kvm-msix-dkms" >&2; exit 1; }

# Sign only if there is a key: distributions' headers have none. Run depmod
# here, and for the live system only: modules_install does not run depmod
# without a System.map, which headers lack.
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

# Kernels before 6.3 install modules in extra/ by default, not in updates/.
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

series:
	packaging/series $(TREE) $(or $(SERIES),build/series)

setup:
	@$(LAB) true

demo:
	@$(LAB) tools/testing/e2e/demo

check:
	@$(LAB) tools/testing/check $(if $(FIT),--fit $(FIT)) $(PART)

check-all:
	@$(LAB) tools/testing/check $(if $(RESUME),--resume) --all

bench:
	@$(LAB) tools/testing/bench/bench --vmm

bench-check:
	@$(LAB) tools/testing/bench/bench --check

check-kvm:
	@$(LAB) tools/testing/check-kvm

check-debug:
	@$(LAB) tools/testing/debug/bait
	@$(LAB) tools/testing/debug/check

stress:
	@$(LAB) tools/testing/stress

conformance:
	@$(LAB) tools/testing/conformance/conformance

fuzz:
	@$(LAB) tools/testing/fuzz $(SECONDS) $(SEED)

SERIES_OF_QEMU := $(if $(QEMU),--series $(QEMU))

qemu:
	@$(LAB) integrations/qemu/build $(SERIES_OF_QEMU)

# Built for use, without $(LAB): the build does not need the lab's packages.
qemu-deb:
	@integrations/qemu/debian $(SERIES_OF_QEMU)

check-qemu-deb:
	@$(LAB) tools/testing/qemu-deb $(SERIES_OF_QEMU)

clean:
	rm -rf build
	@$(MAKE) -s -C tools/testing/kvm_msix clean

export HELP
help:
	@echo "$$HELP"

.PHONY: all module tool check-kdir check-root check-dkms install uninstall deb \
	overlay series setup demo check check-all bench bench-check check-kvm \
	check-debug stress conformance fuzz qemu qemu-deb check-qemu-deb clean help
