// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's private functions on a kernel that does not export them, found by name
 * when the module loads. A build within a kernel tree links to them and leaves
 * this file out.
 *
 * Always true here:
 *  - They are called by static_call only. With kernel IBT a function that the
 *    kernel never calls through a pointer has lost its ENDBR at boot; an
 *    indirect call to it is a panic, but only on a CPU that has IBT. A static
 *    call is a direct one.
 *  - Found once, they stay: the module imports kvm_get_kvm(), which pins
 *    kvm.ko for as long as this module is loaded.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/utsname.h>

#include "hostsyms.h"

#ifndef CONFIG_KPROBES
#error "kvm_msix finds KVM's functions by kprobes: this kernel has no CONFIG_KPROBES"
#endif
#if !IS_MODULE(CONFIG_KVM)
#error "kvm_msix finds KVM's functions in kvm.ko: this kernel has no CONFIG_KVM=m"
#endif

#define DEFINE_HOST_CALL(name)	\
	DEFINE_STATIC_CALL_NULL(kvm_msix_host_##name, name)

DEFINE_HOST_CALL(file_is_kvm);
DEFINE_HOST_CALL(kvm_io_bus_register_dev);
DEFINE_HOST_CALL(kvm_io_bus_unregister_dev);
DEFINE_HOST_CALL(kvm_arch_set_irq_inatomic);
DEFINE_HOST_CALL(kvm_irq_routing_update);
DEFINE_HOST_CALL(kvm_set_irq_routing);
DEFINE_HOST_CALL(kvm_set_msi);

typeof(kvm_set_msi) *kvm_msix_set_msi;

static bool untested;
module_param(untested, bool, 0444);
MODULE_PARM_DESC(untested,
		 "Load into a kernel of a newer series than those that were tested");

/*
 * A kprobe knows the address of any function by its name, disabled it changes
 * nothing. Where the function begins with ENDBR the probe sits behind it;
 * "name+0x4/0x..." says so.
 */
static void *address_of(const char *name)
{
	struct kprobe probe = {
		.symbol_name = name,
		.flags = KPROBE_FLAG_DISABLED,
	};
	char text[KSYM_SYMBOL_LEN];
	unsigned long address, offset;
	int err;

	err = register_kprobe(&probe);
	if (err) {
		pr_err("cannot find %s in this kernel (%d): KVM is too old or too new for this module, or kprobes are not available\n",
		       name, err);
		return NULL;
	}
	address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);

	sprint_symbol(text, address);
	if (sscanf(strchrnul(text, '+'), "+0x%lx/", &offset) != 1) {
		pr_err("cannot find where %s begins in this kernel: it has no kallsyms\n", name);
		return NULL;
	}
	return (void *)(address - offset);
}

/* Find a function and point its static call there. */
#define FIND_HOST_CALL(name)						\
({									\
	typeof(name) *found = address_of("kvm:" #name);			\
									\
	if (found)							\
		static_call_update(kvm_msix_host_##name, found);	\
	found;								\
})

/**
 * kvm_msix_hostsyms_init - Find everything, before anything is called
 *
 * Names are all that can be checked here: that a function still takes the same
 * arguments the compiler knows, that it does the same only a test can tell.
 *
 * Return: 0; after a line in the log: -EOPNOTSUPP in a kernel that nobody has
 * tested, -ENOENT if something is missing.
 */
int kvm_msix_hostsyms_init(void)
{
	if (!KVM_MSIX_IS_TESTED && !untested) {
		pr_err("not tested with Linux %s, only up to %s: get a newer kvm_msix, or try it with untested=1\n",
		       init_utsname()->release, KVM_MSIX_NEWEST_TESTED);
		return -EOPNOTSUPP;
	}

	kvm_msix_set_msi = FIND_HOST_CALL(kvm_set_msi);

	if (!kvm_msix_set_msi ||
	    !FIND_HOST_CALL(file_is_kvm) ||
	    !FIND_HOST_CALL(kvm_io_bus_register_dev) ||
	    !FIND_HOST_CALL(kvm_io_bus_unregister_dev) ||
	    !FIND_HOST_CALL(kvm_arch_set_irq_inatomic) ||
	    !FIND_HOST_CALL(kvm_irq_routing_update) ||
	    !FIND_HOST_CALL(kvm_set_irq_routing))
		return -ENOENT;
	return 0;
}
