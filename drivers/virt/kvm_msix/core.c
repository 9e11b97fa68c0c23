// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MSI-X state machine: table, Pending Bit Array, Message Control.
 *
 * It knows no KVM, no eventfd and no lock, allocates nothing and prints
 * nothing: it answers with what the caller has to do (enum kvm_msix_effect,
 * enum kvm_msix_verdict). The numbers in the comments are clauses of the PCI
 * Express Base Specification, Revision 6.
 *
 * Always true here:
 *  - A vector sends only while MSI-X Enable is set, Function Mask clear and its
 *    own mask bit clear. Whoever makes the last of the three true takes the
 *    pending bit out and sends.
 *  - The caller holds the vector's lock in every function that takes a vector
 *    and can change it. After a change of Message Control it visits each
 *    vector once, under its lock, with kvm_msix_release_pending(): then no
 *    vector has seen the old value after the last visit.
 *    An event in between may be sent before one that is still pending: two
 *    events, two messages.
 *  - The guest chooses offset and value. Offsets are checked by
 *    kvm_msix_access_ok() before anything else sees them.
 *  - A shared table is not believed to be the same when looked at twice. What is
 *    decided and what is sent come from one copy of an entry, and what the
 *    guest does to its picture of the PBA is nobody's business.
 */
#include "core.h"

/* The mask bit, in the qword that Vector Control is the upper half of. */
#define CONTROL_MASK_BIT	((u64)PCI_MSIX_ENTRY_CTRL_MASKBIT << 32)

/**
 * kvm_msix_core_init - A function in its state after power-on
 * @core: what to set up: nr is 1 to KVM_MSIX_MAX_VECTORS; shared; table, pba and
 *	pending are zeroed memory, kvm_msix_table_size() and twice
 *	kvm_msix_pba_size() bytes, aligned to 8, a shared table to 16
 *
 * 7.7.2.7: mask bits are set after reset.
 */
void kvm_msix_core_init(struct kvm_msix_core *core)
{
	u32 v;

	BUILD_BUG_ON(sizeof(struct kvm_msix_entry) != PCI_MSIX_ENTRY_SIZE);

	core->control = 0;
	for (v = 0; v < core->nr; v++)
		kvm_msix_reset_entry(core, v);
}

/**
 * kvm_msix_access_ok - May the guest access these bytes of a structure?
 * @size: the structure's size in bytes
 * @offset: first byte
 * @len: number of bytes
 *
 * 6.1.4.2 has software use naturally aligned dwords and qwords only. Aligned
 * bytes and words are let through as well: they harm nothing.
 *
 * Return: whether it may.
 */
bool kvm_msix_access_ok(u32 size, u32 offset, unsigned int len)
{
	if (len != 1 && len != 2 && len != 4 && len != 8)
		return false;
	return !(offset & (len - 1)) && len <= size && offset <= size - len;
}

/* One load of @len bytes, which are aligned and lie within one qword. */
static u64 load(const void *from, unsigned int len)
{
	switch (len) {
	case 1:
		return READ_ONCE(*(const u8 *)from);
	case 2:
		return READ_ONCE(*(const u16 *)from);
	case 4:
		return READ_ONCE(*(const u32 *)from);
	default:
		return READ_ONCE(*(const u64 *)from);
	}
}

/* One store, likewise: an 8-byte write is one step for every reader. */
static void store(void *to, unsigned int len, u64 val)
{
	switch (len) {
	case 1:
		WRITE_ONCE(*(u8 *)to, val);
		break;
	case 2:
		WRITE_ONCE(*(u16 *)to, val);
		break;
	case 4:
		WRITE_ONCE(*(u32 *)to, val);
		break;
	default:
		WRITE_ONCE(*(u64 *)to, val);
		break;
	}
}

/**
 * kvm_msix_table_read - The guest reads the table
 * @core: the function
 * @offset: first byte
 * @len: number of bytes; kvm_msix_access_ok() with the table's size
 *
 * Needs no lock: one aligned load.
 *
 * Return: the @len bytes.
 */
u64 kvm_msix_table_read(const struct kvm_msix_core *core, u32 offset,
			unsigned int len)
{
	offset = array_index_nospec(offset, kvm_msix_table_size(core->nr));
	return load((const u8 *)core->table + offset, len);
}

/**
 * kvm_msix_pba_read - The guest reads the Pending Bit Array
 * @core: the function
 * @offset: first byte
 * @len: number of bytes; kvm_msix_access_ok() with the PBA's size
 *
 * Needs no lock: one aligned load.
 *
 * Return: the @len bytes.
 */
u64 kvm_msix_pba_read(const struct kvm_msix_core *core, u32 offset,
		      unsigned int len)
{
	offset = array_index_nospec(offset, kvm_msix_pba_size(core->nr));
	return load((const u8 *)core->pba + offset, len);
}

/**
 * kvm_msix_vector_at - The vector whose entry holds a byte of the table
 * @core: the function
 * @offset: the byte, within the table
 *
 * Return: the vector, below @core->nr, also under speculation.
 */
u32 kvm_msix_vector_at(const struct kvm_msix_core *core, u32 offset)
{
	return array_index_nospec(offset / PCI_MSIX_ENTRY_SIZE, core->nr);
}

/**
 * kvm_msix_table_write - The guest writes to the table
 * @core: the function
 * @offset: first byte
 * @len: number of bytes; kvm_msix_access_ok() with the table's size
 * @val: the @len bytes
 * @entry: out: the vector's entry after that
 *
 * Context: the lock of vector kvm_msix_vector_at(@offset).
 * Return: enum kvm_msix_effect
 *
 * What is written is kept whole, reserved bits too (7.7.2.7 has software
 * preserve them); only the mask bit of Vector Control acts. 6.1.4.2: a message
 * changed while the vector is unmasked may be taken either way; here it holds
 * for every later event.
 */
unsigned int kvm_msix_table_write(struct kvm_msix_core *core, u32 offset,
				  unsigned int len, u64 val,
				  struct kvm_msix_entry *entry)
{
	u32 v = kvm_msix_vector_at(core, offset);
	u32 in_entry = offset % PCI_MSIX_ENTRY_SIZE;
	u32 i = in_entry / 8;
	unsigned int effects = 0;
	u64 changed = READ_ONCE(core->table[v].qword[i]);

	store((u8 *)&core->table[v] + in_entry, len, val);
	*entry = kvm_msix_get_entry(core, v);
	changed ^= entry->qword[i];

	if (in_entry < PCI_MSIX_ENTRY_DATA) {
		if (changed)
			effects |= KVM_MSIX_MESSAGE_CHANGED;
	} else {
		if ((u32)changed)
			effects |= KVM_MSIX_MESSAGE_CHANGED;
		if (changed & CONTROL_MASK_BIT)
			effects |= KVM_MSIX_MASK_CHANGED;
	}
	return effects | kvm_msix_release_pending(core, v, entry);
}

/**
 * kvm_msix_latch - An event of a vector that may not send
 * @core: the function
 * @v: the vector, below @core->nr
 *
 * 6.1.4.5: while a vector is masked the function must not send its message and
 * must set its pending bit.
 *
 * Context: the lock of @v.
 * Return: KVM_MSIX_EVENT_LATCHED or KVM_MSIX_EVENT_COALESCED
 */
enum kvm_msix_verdict kvm_msix_latch(struct kvm_msix_core *core, u32 v)
{
	if (test_and_set_bit(v, core->pending))
		return KVM_MSIX_EVENT_COALESCED;
	set_bit(v, core->pba);
	return KVM_MSIX_EVENT_LATCHED;
}

/**
 * kvm_msix_release_pending - Let go of a pending message if it may be sent
 * @core: the function
 * @v: the vector, below @core->nr
 * @entry: a copy of its entry, taken under the lock
 *
 * 6.1.4.5: when software unmasks a vector whose pending bit is set, the
 * function must send the message and clear the bit.
 *
 * Context: the lock of @v.
 * Return: KVM_MSIX_SEND or 0
 */
unsigned int kvm_msix_release_pending(struct kvm_msix_core *core, u32 v,
				      const struct kvm_msix_entry *entry)
{
	if (!test_bit(v, core->pending) || !kvm_msix_may_send(core, entry))
		return 0;
	clear_bit(v, core->pending);
	clear_bit(v, core->pba);
	return KVM_MSIX_SEND;
}

/**
 * kvm_msix_set_control - Software writes Message Control
 * @core: the function
 * @control: the register; KVM_MSIX_CONTROL_BITS are kept
 *
 * The caller then visits each vector with kvm_msix_release_pending().
 *
 * Context: one caller at a time.
 */
void kvm_msix_set_control(struct kvm_msix_core *core, u16 control)
{
	WRITE_ONCE(core->control, control & KVM_MSIX_CONTROL_BITS);
}

/**
 * kvm_msix_set_entry - Set an entry and its pending bit
 * @core: the function
 * @v: the vector, below @core->nr
 * @entry: the entry
 * @pending: the pending bit
 *
 * Context: the lock of @v, and the function disabled: nothing is sent here.
 */
void kvm_msix_set_entry(struct kvm_msix_core *core, u32 v,
			struct kvm_msix_entry entry, bool pending)
{
	WRITE_ONCE(core->table[v].qword[0], entry.qword[0]);
	WRITE_ONCE(core->table[v].qword[1], entry.qword[1]);
	if (pending) {
		set_bit(v, core->pending);
		set_bit(v, core->pba);
	} else {
		clear_bit(v, core->pending);
		clear_bit(v, core->pba);
	}
}

/* An entry after power-on. Context: as kvm_msix_set_entry(). */
void kvm_msix_reset_entry(struct kvm_msix_core *core, u32 v)
{
	static const struct kvm_msix_entry masked = {
		.control = PCI_MSIX_ENTRY_CTRL_MASKBIT,
	};

	kvm_msix_set_entry(core, v, masked, false);
}
