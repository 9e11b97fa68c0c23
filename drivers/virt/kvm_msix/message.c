// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a vector's entry to the message that KVM takes, and which messages a
 * local APIC takes.
 */
#include <linux/kvm_msix.h>
#include <linux/msi.h>
#include <asm/apicdef.h>

#include "kvm_msix.h"

/* Intel SDM volume 3, "Message Address Register Format": bits 31:20. */
#define MSI_ADDRESS_BASE	0xfee00000
#define MSI_ADDRESS_BASE_MASK	0xfff00000
/* KVM_FEATURE_MSI_EXT_DEST_ID: bits 11:5 of the address are id bits 14:8. */
#define MSI_EXT_DEST_ID		GENMASK(11, 5)
#define MSI_EXT_DEST_ID_TO_HI	3	/* to bits 14:8 of the upper address */

/*
 * Build the route of @m from its address, data and x2apic_format. KVM takes any
 * address and any delivery mode, but no APIC receives what a device writes
 * outside the MSI address range.
 *
 * Return: why no APIC can receive the message, or KVM_MSIX_TAKEN.
 */
static enum kvm_msix_drop message_make_route(struct kvm_msix_message *m,
					     bool ext_dest_id)
{
	u32 lo = lower_32_bits(m->address);
	u32 hi = upper_32_bits(m->address);
	struct msi_msg msg;

	if ((lo & MSI_ADDRESS_BASE_MASK) != MSI_ADDRESS_BASE)
		return KVM_MSIX_DROP_ADDRESS;
	/* x2APIC format: bits 31:8 are those of the destination id. */
	if (hi & (m->x2apic_format ? GENMASK(7, 0) : U32_MAX))
		return KVM_MSIX_DROP_ADDRESS;
	if (ext_dest_id) {
		hi |= (lo & MSI_EXT_DEST_ID) << MSI_EXT_DEST_ID_TO_HI;
		lo &= ~MSI_EXT_DEST_ID;
	}

	msg.address_lo = lo;
	msg.address_hi = hi;
	msg.data = m->data;
	switch (msg.arch_data.delivery_mode << 8) {
	case APIC_DM_FIXED:
	case APIC_DM_SMI:
	case APIC_DM_NMI:
	case APIC_DM_INIT:
	case APIC_DM_EXTINT:
	case APIC_DM_LOWEST:
		break;
	default:
		return KVM_MSIX_DROP_MODE;
	}
	/*
	 * A broadcast in physical mode with lowest-priority delivery or the
	 * redirection hint: the SDM has no such message. KVM, too, makes such a
	 * message fixed, but prints a line each time.
	 */
	if (!hi && !msg.arch_addr_lo.dest_mode_logical &&
	    msg.arch_addr_lo.destid_0_7 == 0xff) {
		if (msg.arch_data.delivery_mode == APIC_DM_LOWEST >> 8)
			msg.arch_data.delivery_mode = APIC_DM_FIXED >> 8;
		msg.arch_addr_lo.redirect_hint = 0;
	}

	m->route.type = KVM_IRQ_ROUTING_MSI;
	m->route.msi.address_lo = msg.address_lo;
	m->route.msi.address_hi = hi;
	m->route.msi.data = msg.data;
	return KVM_MSIX_TAKEN;
}

/**
 * kvm_msix_message_remake_locked - See kvm_msix_message_locked()
 * @vec: the vector
 * @address: address of its entry
 * @data: data of its entry
 * @x2apic_format: value of kvm->arch.x2apic_format
 *
 * Context: @vec->lock.
 */
void kvm_msix_message_remake_locked(struct kvm_msix_vec *vec, u64 address,
				    u32 data, bool x2apic_format)
{
	struct kvm_msix_message *m = &vec->message;

	lockdep_assert_held(&vec->lock);

	m->address = address;
	m->data = data;
	m->x2apic_format = x2apic_format;
	m->drop = message_make_route(m, vec->dev->flags &
					KVM_MSIX_CREATE_EXT_DEST_ID);
}

/**
 * kvm_msix_sendable_locked - Get the message that a vector may send now
 * @vec: the vector
 *
 * Context: @vec->lock.
 * Return: a route with type and msi set, valid while the lock is held; NULL if
 * the vector may not send or no APIC can receive its message.
 */
const struct kvm_kernel_irq_routing_entry *
kvm_msix_sendable_locked(struct kvm_msix_vec *vec)
{
	const struct kvm_msix_core *core = &vec->dev->core;
	struct kvm_msix_message *m;
	struct kvm_msix_entry entry;

	lockdep_assert_held(&vec->lock);

	entry = kvm_msix_get_entry(core, vec->index);
	if (!kvm_msix_may_send(core, &entry))
		return NULL;
	m = kvm_msix_message_locked(vec, &entry);
	return m->drop == KVM_MSIX_TAKEN ? &m->route : NULL;
}
