/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's side of irqbypass, for an irqfd of this module, not of KVM.
 *
 * KVM posts the message in the irqfd's irq_entry. Older kernels
 * (KVM_MSIX_POST_BY_GSI) post the message that KVM's routing table has for the
 * irqfd's GSI at the time of the call and no later; if the GSI has no message,
 * the call neither starts nor stops posting. On these kernels a GSI is borrowed
 * for the call, and irq_entry keeps the message for the call that stops
 * posting.
 *
 * Context of linking, unlinking, posting and stopping: may sleep; the caller
 * makes one call at a time for an irqfd.
 */
#ifndef _KVM_MSIX_COMPAT_IRQ_BYPASS_H
#define _KVM_MSIX_COMPAT_IRQ_BYPASS_H

#include <linux/irqbypass.h>
#include <linux/kvm_host.h>
#include <linux/kvm_irqfd.h>

#include "../hostsyms.h"
#include "../kvm_msix.h"

#ifdef KVM_MSIX_POST_BY_GSI

/**
 * kvm_msix_bypass_register - Register the consumer of an irqfd's eventfd
 * @irqfd: the irqfd, with the eventfd and the consumer's functions set
 *
 * Undone by irq_bypass_unregister_consumer().
 *
 * Context: may sleep; takes irqbypass's lock.
 * Return: 0; -EBUSY: the eventfd has a consumer; another negative errno if
 * irqbypass cannot connect consumer and producer.
 */
static inline int kvm_msix_bypass_register(struct kvm_kernel_irqfd *irqfd)
{
	irqfd->consumer.token = irqfd->eventfd;
	return irq_bypass_register_consumer(&irqfd->consumer);
}

/**
 * kvm_msix_bypass_link - Tell KVM of the producer of an irqfd's eventfd
 * @irqfd: the irqfd
 * @producer: the producer
 *
 * Does not start posting.
 */
static inline void kvm_msix_bypass_link(struct kvm_kernel_irqfd *irqfd,
					struct irq_bypass_producer *producer)
{
	kvm_arch_start_assignment(irqfd->kvm);
	irqfd->producer = producer;
}

/**
 * kvm_msix_bypass_unlink - Undo kvm_msix_bypass_link()
 * @irqfd: the irqfd, whose vector is not posted
 */
static inline void kvm_msix_bypass_unlink(struct kvm_kernel_irqfd *irqfd)
{
	irqfd->producer = NULL;
	kvm_arch_end_assignment(irqfd->kvm);
}

/* Post the message in the irqfd, or stop posting. Return: 0 or an errno. */
static inline int kvm_msix_bypass_update(struct kvm_msix_vm *vm,
					 struct kvm_kernel_irqfd *irqfd,
					 bool post)
{
	struct kvm *kvm = irqfd->kvm;
	int gsi, err;

	gsi = kvm_msix_route_borrow(vm, &irqfd->irq_entry);
	spin_lock_irq(&kvm->irqfds.lock);
	err = host_call(kvm_arch_update_irqfd_routing)(kvm,
						       irqfd->producer->irq,
						       gsi, post);
	spin_unlock_irq(&kvm->irqfds.lock);
	kvm_msix_route_return(vm, gsi);
	return err;
}

/**
 * kvm_msix_bypass_post - Have KVM post a vector
 * @vm: the VM
 * @irqfd: the vector's irqfd, linked
 * @message: the vector's message
 *
 * Return: 0, or a negative errno if KVM does not post the message.
 */
static inline int
kvm_msix_bypass_post(struct kvm_msix_vm *vm, struct kvm_kernel_irqfd *irqfd,
		     const struct kvm_kernel_irq_routing_entry *message)
{
	irqfd->irq_entry = *message;
	return kvm_msix_bypass_update(vm, irqfd, true);
}

/**
 * kvm_msix_bypass_stop - Have KVM remap a posted vector
 * @vm: the VM
 * @irqfd: the vector's irqfd, posted
 *
 * When this returns, no further message is posted.
 *
 * Return: 0 or a negative errno.
 */
static inline int kvm_msix_bypass_stop(struct kvm_msix_vm *vm,
				       struct kvm_kernel_irqfd *irqfd)
{
	return kvm_msix_bypass_update(vm, irqfd, false);
}

#else /* !KVM_MSIX_POST_BY_GSI: the same functions for newer kernels */

static inline int kvm_msix_bypass_register(struct kvm_kernel_irqfd *irqfd)
{
	return irq_bypass_register_consumer(&irqfd->consumer, irqfd->eventfd);
}

/* Linking does not start posting: irq_entry has no type. */
static inline void kvm_msix_bypass_link(struct kvm_kernel_irqfd *irqfd,
					struct irq_bypass_producer *producer)
{
	host_call(kvm_arch_irq_bypass_add_producer)(&irqfd->consumer, producer);
}

/* The caller has stopped posting. */
static inline void kvm_msix_bypass_unlink(struct kvm_kernel_irqfd *irqfd)
{
	host_call(kvm_arch_irq_bypass_del_producer)(&irqfd->consumer,
						    irqfd->producer);
}

static inline int
kvm_msix_bypass_post(struct kvm_msix_vm *vm, struct kvm_kernel_irqfd *irqfd,
		     const struct kvm_kernel_irq_routing_entry *message)
{
	struct kvm_kernel_irq_routing_entry old = irqfd->irq_entry;
	struct kvm *kvm = irqfd->kvm;

	spin_lock_irq(&kvm->irqfds.lock);
	write_seqcount_begin(&irqfd->irq_entry_sc);
	irqfd->irq_entry = *message;
	write_seqcount_end(&irqfd->irq_entry_sc);
	host_call(kvm_arch_update_irqfd_routing)(irqfd, &old, &irqfd->irq_entry);
	spin_unlock_irq(&kvm->irqfds.lock);
	return 0;
}

static inline int kvm_msix_bypass_stop(struct kvm_msix_vm *vm,
				       struct kvm_kernel_irqfd *irqfd)
{
	static const struct kvm_kernel_irq_routing_entry none;

	return kvm_msix_bypass_post(vm, irqfd, &none);
}

#endif /* !KVM_MSIX_POST_BY_GSI */

#endif /* _KVM_MSIX_COMPAT_IRQ_BYPASS_H */
