/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MSI-X state machine of one function: PCI Express Base Specification
 * 6.1.4 (operation) and 7.7.2 (structures). See core.c.
 */
#ifndef _KVM_MSIX_CORE_H
#define _KVM_MSIX_CORE_H

#include "core_types.h"

/* Table Size in Message Control has 11 bits and holds the number less one. */
#define KVM_MSIX_MAX_VECTORS	(PCI_MSIX_FLAGS_QSIZE + 1)

/* The bits of Message Control that act. */
#define KVM_MSIX_CONTROL_BITS	(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)

/**
 * struct kvm_msix_entry - One table entry as the guest sees it, little endian
 * @address: Message Address, Message Upper Address
 * @data: Message Data
 * @control: Vector Control
 * @qword: the same in the two steps in which it is read
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
 * struct kvm_msix_core - One function
 * @nr: Number of vectors, 1 to KVM_MSIX_MAX_VECTORS; immutable
 * @control: Message Control, KVM_MSIX_CONTROL_BITS of it; one writer at a time
 * @shared: @table, and maybe @pba, are memory of the guest's: it may write
 *	there at any time; immutable
 * @table: @nr entries; changed by others than the guest under the vector's lock
 * @pba: What the guest reads as its Pending Bit Array: a picture of @pending
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
 * enum kvm_msix_effect - What a change of a vector asks of the caller
 * @KVM_MSIX_MASK_CHANGED: The vector's mask bit has changed.
 * @KVM_MSIX_MESSAGE_CHANGED: The vector's address or data has changed.
 * @KVM_MSIX_SEND: The vector was pending and may send; the pending bit is
 *	cleared. The caller sends the message, from the copy of the entry that
 *	this was decided by, before it drops the vector's lock.
 */
enum kvm_msix_effect {
	KVM_MSIX_MASK_CHANGED = BIT(0),
	KVM_MSIX_MESSAGE_CHANGED = BIT(1),
	KVM_MSIX_SEND = BIT(2),
};

/**
 * enum kvm_msix_verdict - What becomes of an event
 * @KVM_MSIX_EVENT_SEND: The caller sends the message, likewise.
 * @KVM_MSIX_EVENT_LATCHED: The vector may not send; it is pending now.
 * @KVM_MSIX_EVENT_COALESCED: It was pending already.
 */
enum kvm_msix_verdict {
	KVM_MSIX_EVENT_SEND,
	KVM_MSIX_EVENT_LATCHED,
	KVM_MSIX_EVENT_COALESCED,
};

/* Bytes that a guest can address. */
static inline u32 kvm_msix_table_size(u32 nr)
{
	return nr * PCI_MSIX_ENTRY_SIZE;
}

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

/*
 * All 16 bytes as they were at one moment. That is what this instruction is for
 * here: it may also write, but only what is there.
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
 * kvm_msix_get_entry - A copy of an entry
 * @core: the function
 * @v: the vector, below @core->nr
 *
 * It is whole (nobody's half written message) under the lock of @v, and without
 * it if the table is shared; else each of its two qwords is.
 *
 * Return: the copy. What is true of it may not be true of the entry any more.
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

/* 7.7.2.7: the mask bit of a vector's own Vector Control. */
static inline bool kvm_msix_masked(const struct kvm_msix_entry *entry)
{
	return entry->control & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

static inline bool kvm_msix_pending(const struct kvm_msix_core *core, u32 v)
{
	return test_bit(v, core->pending);
}

/* 7.7.2.2, 6.1.4.5: enabled, and masked neither as a whole nor alone. */
static inline bool kvm_msix_may_send(const struct kvm_msix_core *core,
				     const struct kvm_msix_entry *entry)
{
	return READ_ONCE(core->control) == PCI_MSIX_FLAGS_ENABLE &&
	       !kvm_msix_masked(entry);
}

/**
 * kvm_msix_event - The device wants to send vector @v
 * @core: the function
 * @v: the vector, below @core->nr
 * @entry: a copy of its entry, taken under the lock; to send from
 *
 * Context: the lock of @v.
 * Return: what becomes of it.
 */
static inline enum kvm_msix_verdict
kvm_msix_event(struct kvm_msix_core *core, u32 v,
	       const struct kvm_msix_entry *entry)
{
	if (kvm_msix_may_send(core, entry))
		return KVM_MSIX_EVENT_SEND;
	return kvm_msix_latch(core, v);
}

#endif /* _KVM_MSIX_CORE_H */
