/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MSI-X state machine of one function: PCI Express Base Specification
 * 6.1.4 (operation) and 7.7.2 (structures). See core.c.
 */
#ifndef _KVM_MSIX_CORE_H
#define _KVM_MSIX_CORE_H

#include "core_types.h"

/* The 11 bits of Table Size in Message Control hold the number minus one. */
#define KVM_MSIX_MAX_VECTORS	(PCI_MSIX_FLAGS_QSIZE + 1)

/* The bits of Message Control that have an effect. */
#define KVM_MSIX_CONTROL_BITS	(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)

/**
 * struct kvm_msix_entry - One table entry as the guest sees it, little endian
 * @address: Message Address, Message Upper Address
 * @data: Message Data
 * @control: Vector Control
 * @qword: the entry as the two qwords in which it is read
 */
struct kvm_msix_entry {
	union {
		struct {
			u64 address;
			u32 data;
			u32 control;
		};
		u64 qword[2];
	};
};

/**
 * struct kvm_msix_core - The MSI-X state of one function
 * @nr: Number of vectors, 1 to KVM_MSIX_MAX_VECTORS; immutable
 * @control: Message Control, only KVM_MSIX_CONTROL_BITS; one writer at a time
 * @shared: @table, and possibly @pba, are mapped: the guest may store to them
 *	at any time; immutable
 * @table: @nr entries; changed by all but the guest under the vector's lock
 * @pba: The Pending Bit Array that the guest reads, a copy of @pending
 * @pending: Pending bits; bit v is changed under the lock of vector v
 */
struct kvm_msix_core {
	u32 nr;
	u16 control;
	bool shared;
	struct kvm_msix_entry *table;
	unsigned long *pba;
	unsigned long *pending;
};

/**
 * enum kvm_msix_effect - What the caller has to do after a change of a vector
 * @KVM_MSIX_MASK_CHANGED: The vector's mask bit has changed.
 * @KVM_MSIX_MESSAGE_CHANGED: The vector's address or data has changed.
 * @KVM_MSIX_SEND: The vector was pending and may send; its pending bit is now
 *	clear. Before dropping the vector's lock, the caller sends the message,
 *	from the copy of the entry that the decision was made on.
 */
enum kvm_msix_effect {
	KVM_MSIX_MASK_CHANGED = BIT(0),
	KVM_MSIX_MESSAGE_CHANGED = BIT(1),
	KVM_MSIX_SEND = BIT(2),
};

/**
 * enum kvm_msix_verdict - What becomes of an event
 * @KVM_MSIX_EVENT_SEND: The caller sends the message, as for KVM_MSIX_SEND.
 * @KVM_MSIX_EVENT_LATCHED: The vector may not send; its pending bit is now set.
 * @KVM_MSIX_EVENT_COALESCED: The vector's pending bit was already set.
 */
enum kvm_msix_verdict {
	KVM_MSIX_EVENT_SEND,
	KVM_MSIX_EVENT_LATCHED,
	KVM_MSIX_EVENT_COALESCED,
};

/**
 * kvm_msix_table_size - Size of the table that the guest can address
 * @nr: number of vectors, 1 to KVM_MSIX_MAX_VECTORS
 *
 * Return: the size in bytes.
 */
static inline u32 kvm_msix_table_size(u32 nr)
{
	return nr * PCI_MSIX_ENTRY_SIZE;
}

/**
 * kvm_msix_pba_size - Size of the PBA that the guest can address
 * @nr: number of vectors, 1 to KVM_MSIX_MAX_VECTORS
 *
 * Return: the size in bytes, a multiple of 8.
 */
static inline u32 kvm_msix_pba_size(u32 nr)
{
	return (nr + 63) / 64 * 8;
}

void kvm_msix_core_init(struct kvm_msix_core *core);
bool kvm_msix_access_ok(u32 size, u32 offset, unsigned int len);
u64 kvm_msix_table_read(const struct kvm_msix_core *core, u32 offset,
			unsigned int len);
u64 kvm_msix_pba_read(const struct kvm_msix_core *core, u32 offset,
		      unsigned int len);
u32 kvm_msix_vector_at(const struct kvm_msix_core *core, u32 offset);
unsigned int kvm_msix_table_write(struct kvm_msix_core *core, u32 offset,
				  unsigned int len, u64 val,
				  struct kvm_msix_entry *entry);
enum kvm_msix_verdict kvm_msix_latch(struct kvm_msix_core *core, u32 v);
unsigned int kvm_msix_release_pending(struct kvm_msix_core *core, u32 v,
				      const struct kvm_msix_entry *entry);
void kvm_msix_set_control(struct kvm_msix_core *core, u16 control);
void kvm_msix_set_entry(struct kvm_msix_core *core, u32 v,
			struct kvm_msix_entry entry, bool pending);
void kvm_msix_reset_entry(struct kvm_msix_core *core, u32 v);

/**
 * kvm_msix_snapshot - Load an entry of a shared table
 * @entry: the entry, aligned to 16 bytes and in writable memory
 *
 * CMPXCHG16B may write as well, but never changes memory if both its expected
 * and its new value are 0.
 *
 * Return: all 16 bytes as they were at one moment.
 */
static inline struct kvm_msix_entry
kvm_msix_snapshot(struct kvm_msix_entry *entry)
{
	struct kvm_msix_entry seen = {};

	asm volatile("lock cmpxchg16b %0"
		     : "+m" (*entry), "+a" (seen.qword[0]), "+d" (seen.qword[1])
		     : "b" (0ULL), "c" (0ULL)
		     : "cc");
	return seen;
}

/**
 * kvm_msix_get_entry - Copy an entry
 * @core: the function
 * @v: the vector, below @core->nr
 *
 * The copy is whole (no half-written message) if taken under the lock of @v, or
 * if the table is shared. Otherwise, only each of its two qwords is whole.
 *
 * Return: the copy; the entry itself may have changed since.
 */
static inline struct kvm_msix_entry
kvm_msix_get_entry(const struct kvm_msix_core *core, u32 v)
{
	struct kvm_msix_entry *entry = &core->table[v];

	if (core->shared)
		return kvm_msix_snapshot(entry);
	return (struct kvm_msix_entry) {
		.qword = { READ_ONCE(entry->qword[0]),
			   READ_ONCE(entry->qword[1]) },
	};
}

/**
 * kvm_msix_masked - Test the mask bit of a vector
 * @entry: a copy of its entry
 *
 * Return: whether the mask bit of Vector Control is set (7.7.2.7); Function
 * Mask does not matter.
 */
static inline bool kvm_msix_masked(const struct kvm_msix_entry *entry)
{
	return entry->control & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/**
 * kvm_msix_pending - Test the pending bit of a vector
 * @core: the function
 * @v: the vector, below @core->nr
 *
 * Context: any; the bit can change unless the lock of @v is held.
 * Return: whether the pending bit is set.
 */
static inline bool kvm_msix_pending(const struct kvm_msix_core *core, u32 v)
{
	return test_bit(v, core->pending);
}

/**
 * kvm_msix_may_send - Test whether a vector may send its message
 * @core: the function
 * @entry: a copy of the vector's entry
 *
 * Return: whether MSI-X Enable is set, and Function Mask and the vector's mask
 * bit are clear (7.7.2.2, 6.1.4.5).
 */
static inline bool kvm_msix_may_send(const struct kvm_msix_core *core,
				     const struct kvm_msix_entry *entry)
{
	return READ_ONCE(core->control) == PCI_MSIX_FLAGS_ENABLE &&
	       !kvm_msix_masked(entry);
}

/**
 * kvm_msix_decide_event - Decide what becomes of an event
 * @core: the function
 * @v: the vector, below @core->nr, that the device wants to send
 * @entry: a copy of its entry, taken under the lock, from which to send
 *
 * Context: the lock of @v.
 * Return: what becomes of the event.
 */
static inline enum kvm_msix_verdict
kvm_msix_decide_event(struct kvm_msix_core *core, u32 v,
		      const struct kvm_msix_entry *entry)
{
	if (kvm_msix_may_send(core, entry))
		return KVM_MSIX_EVENT_SEND;
	return kvm_msix_latch(core, v);
}

#endif /* _KVM_MSIX_CORE_H */
