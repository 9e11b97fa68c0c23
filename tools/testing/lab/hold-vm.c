// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hold VMs with vCPUs that never run, until killed; say so once they are there.
 *
 * With the first VM, the last, and a vCPU's APIC or the lack of one, KVM patches
 * the kernel's text (static keys: preempt_notifier_key in the scheduler,
 * apic_sw_disabled, apic_hw_disabled, kvm_has_noapic_vcpu). Tests make VMs by the
 * hundred. QEMU 7.2's multi-threaded TCG may keep a translation of the breakpoint
 * that such a patch begins with; then each CPU traps there for ever. While this
 * runs, nothing is patched.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0), no_apic = ioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_sregs sregs;
	int vcpu;

	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) || ioctl(vm, KVM_CREATE_VCPU, 0) < 0 ||
	    no_apic < 0 || ioctl(no_apic, KVM_CREATE_VCPU, 0) < 0) {
		perror("hold-vm");
		return 1;
	}
	/* One with its APIC disabled in IA32_APIC_BASE. */
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 1);
	if (vcpu < 0 || ioctl(vcpu, KVM_GET_SREGS, &sregs)) {
		perror("hold-vm");
		return 1;
	}
	sregs.apic_base &= ~0x800ull;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs)) {
		perror("hold-vm");
		return 1;
	}
	puts("holding");
	fflush(stdout);
	for (;;)
		pause();
}
