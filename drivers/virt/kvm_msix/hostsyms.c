// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's private functions, for kernels that do not export them: found by name
 * when the module loads. A build in a kernel tree links to the functions and
 * leaves this file out.
 *
 * Always true here:
 *  - The functions are called by static_call only. With kernel IBT, a function
 *    that the kernel never calls through a pointer loses its ENDBR at boot; an
 *    indirect call to the function panics, but only on a CPU that has IBT. A
 *    static call is a direct call.
 *  - Once found, the functions stay where they are: the module imports
 *    kvm_get_kvm(), which pins kvm.ko for as long as this module is loaded.
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

#define HOST_CALL(name)	DEFINE_STATIC_CALL_NULL(kvm_msix_host_##name, name)
#include "hostsyms_list.h"

typeof(kvm_set_msi) *kvm_msix_set_msi;

static bool untested;
module_param(untested, bool, 0444);
MODULE_PARM_DESC(untested,
		 "Load into a kernel of a newer series than those that were tested");

/*
 * Find a function by name: register_kprobe() stores its address in the kprobe.
 * A disabled kprobe changes nothing. If the function begins with ENDBR, the
 * kprobe is placed behind ENDBR, as sprint_symbol() shows: "name+0x4/0x...".
 */
static void *hostsyms_address_of(const char *name)
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

/* Find a function and set the target of its static call. */
#define FIND_HOST_CALL(name)						\
({									\
	typeof(name) *found = hostsyms_address_of("kvm:" #name);	\
									\
	if (found)							\
		static_call_update(kvm_msix_host_##name, found);	\
	found;								\
})

/**
 * kvm_msix_hostsyms_init - Find all functions, before any is called
 *
 * Only names can be checked here. The compiler knows whether a function still
 * takes the same arguments; only a test can tell whether the function
 * does the same.
 *
 * Context: may sleep.
 * Return: 0; after a line in the log: -EOPNOTSUPP if this kernel's series was
 * not tested, -ENOENT if a function is missing.
 */
int kvm_msix_hostsyms_init(void)
{
	bool found = true;

	if (!KVM_MSIX_IS_TESTED && !untested) {
		pr_err("not tested with Linux %s, only up to %s: get a newer kvm_msix, or try it with untested=1\n",
		       init_utsname()->release, KVM_MSIX_NEWEST_TESTED);
		return -EOPNOTSUPP;
	}

#define HOST_CALL(name)	(found = found && FIND_HOST_CALL(name))
#include "hostsyms_list.h"
	if (!found)
		return -ENOENT;
	kvm_msix_set_msi = static_call_query(kvm_msix_host_kvm_set_msi);
	return 0;
}
