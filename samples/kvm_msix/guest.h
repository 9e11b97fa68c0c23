/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM with one vCPU, which stores when told to. The vCPU's interrupts are disabled,
 * so that messages stay in the local APIC, where the sample looks for them.
 */
#ifndef SAMPLES_KVM_MSIX_GUEST_H
#define SAMPLES_KVM_MSIX_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_lapic_state;
struct kvm_run;

struct guest {
	int vm;
	int vcpu;
	uint8_t *code;		/* memory at CODE_GPA */
	struct kvm_run *run;
	size_t run_size;
};

void guest_create(struct guest *g, int kvm_fd);
void guest_destroy(struct guest *g);

/* Make memory of the VMM memory of the guest. */
void guest_add_memory(struct guest *g, uint32_t slot, uint32_t gpa, void *mem, size_t size);

/* Have the guest store 4 bytes below 1 MB; the store must not exit to the VMM. */
void guest_store(struct guest *g, uint32_t gpa, uint32_t value);

/* Take the interrupt @vector out of the local APIC, if it is there. */
bool guest_takes(struct guest *g, uint8_t vector);
void guest_get_lapic(struct guest *g, struct kvm_lapic_state *lapic);
void guest_set_lapic(struct guest *g, struct kvm_lapic_state *lapic);

/* If @holds, print @what, else fail. */
void expect(bool holds, const char *what);

#endif /* SAMPLES_KVM_MSIX_GUEST_H */
