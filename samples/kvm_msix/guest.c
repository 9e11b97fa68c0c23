// SPDX-License-Identifier: GPL-2.0-only
/* A VM with one vCPU: see guest.h. Nothing here is about kvm_msix. */
#include <err.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define CODE_GPA	0x1000
#define CODE_SIZE	0x1000
#define APIC_SPIV	0xf0
#define APIC_IRR	0x200

static int do_ioctl(int fd, unsigned long request, void *arg, const char *name)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", name);
	return ret;
}

#define IOCTL(fd, request, arg) do_ioctl(fd, request, (void *)(arg), #request)

void guest_get_lapic(struct guest *g, struct kvm_lapic_state *lapic)
{
	IOCTL(g->vcpu, KVM_GET_LAPIC, lapic);
}

void guest_set_lapic(struct guest *g, struct kvm_lapic_state *lapic)
{
	IOCTL(g->vcpu, KVM_SET_LAPIC, lapic);
}

void guest_add_memory(struct guest *g, uint32_t slot, uint32_t gpa, void *mem, size_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)mem,
	};

	IOCTL(g->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

void guest_create(struct guest *g, int kvm_fd)
{
	const uint32_t spiv = 0x1ff;	/* enabled */
	struct kvm_lapic_state lapic;

	g->vm = IOCTL(kvm_fd, KVM_CREATE_VM, 0);
	IOCTL(g->vm, KVM_CREATE_IRQCHIP, 0);
	g->vcpu = IOCTL(g->vm, KVM_CREATE_VCPU, 0);
	g->run_size = IOCTL(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	g->code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->run == MAP_FAILED || g->code == MAP_FAILED)
		err(1, "mmap");
	guest_add_memory(g, 0, CODE_GPA, g->code, CODE_SIZE);

	guest_get_lapic(g, &lapic);
	memcpy(&lapic.regs[APIC_SPIV], &spiv, sizeof(spiv));
	guest_set_lapic(g, &lapic);
}

void guest_destroy(struct guest *g)
{
	munmap(g->run, g->run_size);
	munmap(g->code, CODE_SIZE);
	close(g->vcpu);
	close(g->vm);
}

void guest_store(struct guest *g, uint32_t gpa, uint32_t value)
{
	/* mov dword [offset], value; out 0x80, al, which exits to the VMM */
	uint8_t code[] = { 0x66, 0xc7, 0x06, 0, 0, 0, 0, 0, 0, 0xe6, 0x80 };
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	uint16_t offset = gpa & 0xf;
	struct kvm_sregs sregs;

	memcpy(&code[3], &offset, sizeof(offset));
	memcpy(&code[5], &value, sizeof(value));
	memcpy(g->code, code, sizeof(code));

	IOCTL(g->vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.base = gpa - offset;
	sregs.ds.selector = sregs.ds.base >> 4;
	IOCTL(g->vcpu, KVM_SET_SREGS, &sregs);
	IOCTL(g->vcpu, KVM_SET_REGS, &regs);
	IOCTL(g->vcpu, KVM_RUN, 0);
	if (g->run->exit_reason != KVM_EXIT_IO)
		errx(1, "the store to 0x%x exits to the VMM: reason %u", gpa, g->run->exit_reason);
}

bool guest_takes(struct guest *g, uint8_t vector)
{
	struct kvm_lapic_state lapic;
	uint8_t bit = 1 << vector % 8;
	char *irr;

	guest_get_lapic(g, &lapic);
	irr = &lapic.regs[APIC_IRR + vector / 32 * 16 + vector % 32 / 8];
	if (!(*irr & bit))
		return false;
	*irr &= ~bit;
	guest_set_lapic(g, &lapic);
	return true;
}

void expect(bool holds, const char *what)
{
	if (!holds)
		errx(1, "not so: %s", what);
	puts(what);
}
