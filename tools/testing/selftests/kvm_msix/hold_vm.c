// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hold a VM with a vCPU that never runs, until killed; say so once it is there.
 *
 * With the first VM, the last, and a vCPU's APIC, KVM patches the kernel's text
 * (static keys: preempt_notifier_key in the scheduler, apic_sw_disabled). Tests
 * make VMs by the hundred. QEMU 7.2's multi-threaded TCG may keep a translation
 * of the breakpoint that such a patch begins with; then each CPU traps there
 * for ever. While this runs, nothing is patched.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) || ioctl(vm, KVM_CREATE_VCPU, 0) < 0) {
		perror("hold_vm");
		return 1;
	}
	puts("holding");
	fflush(stdout);
	for (;;)
		pause();
}
