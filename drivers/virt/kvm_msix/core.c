// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MSI-X state machine: table, Pending Bit Array, Message Control.
 *
 * The state machine knows no KVM, no eventfd and no lock, allocates nothing and
 * prints nothing: its functions return what the caller has to do (enum
 * kvm_msix_effect, enum kvm_msix_verdict). The numbers in the comments are
 * clauses of the PCI Express Base Specification, Revision 6.
 *
 * Always true here:
 *  - A vector sends only while MSI-X Enable is set, Function Mask clear and its
 *    own mask bit clear. Code that makes the last of the three true clears the
 *    pending bit and sends the message.
 *  - The caller holds the vector's lock in every function that takes a vector
 *    and can change it. After a change of Message Control, the caller visits
 *    each vector once, under its lock, with kvm_msix_release_pending(): after
 *    the last visit, no vector uses the old value.
 *    An event between the change and the visit of its vector may be sent before
 *    an event that is still pending: two events, two messages.
 *  - The guest chooses offset and value. kvm_msix_access_ok() checks an offset
 *    before anything else uses it.
 *  - The guest may change a shared table between two reads. Read an entry once,
 *    and decide and send from that copy. No decision uses the PBA that the
 *    guest sees, so what the guest stores there does no harm.
 */
#include "core.h"

/* The mask bit in qword[1] of an entry, whose upper half is Vector Control. */
#define CONTROL_MASK_BIT	((u64)PCI_MSIX_ENTRY_CTRL_MASKBIT << 32)

/**
 * kvm_msix_core_init - Initialize a function to its power-on state
 * @core: the function, with these set: nr, 1 to KVM_MSIX_MAX_VECTORS; shared;
 *	table, kvm_msix_table_size() bytes; pba and pending, kvm_msix_pba_size()
 *	bytes each. The memory is zeroed and aligned to 8, a shared table to 16.
 *
 * 7.7.2.7: mask bits are set after reset.
 *
 * Context: nothing else uses the function yet.
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
 * kvm_msix_access_ok - Check a guest's access to the table or the PBA
 * @size: size of the table or the PBA in bytes
 * @offset: first byte
 * @len: number of bytes
 *
 * 6.1.4.2 requires software to access naturally aligned dwords and qwords only.
 * Aligned bytes and words are accepted as well: they do no harm.
 *
 * Return: whether the guest may access these bytes.
 */
bool kvm_msix_access_ok(u32 size, u32 offset, unsigned int len)
{
	if (len != 1 && len != 2 && len != 4 && len != 8)
		return false;
	return !(offset & (len - 1)) && len <= size && offset <= size - len;
}

/* Load @len bytes, aligned and within one qword, in one access. */
static u64 core_load(const void *from, unsigned int len)
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

/* Store @len bytes, aligned, in one access: no reader sees half of a qword. */
static void core_store(void *to, unsigned int len, u64 val)
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
 * kvm_msix_table_read - Read from the table for the guest
 * @core: the function
 * @offset: first byte
 * @len: number of bytes; kvm_msix_access_ok() with the table's size
 *
 * Context: any. One aligned load needs no lock.
 * Return: the @len bytes.
 */
u64 kvm_msix_table_read(const struct kvm_msix_core *core, u32 offset,
			unsigned int len)
{
	offset = array_index_nospec(offset, kvm_msix_table_size(core->nr));
	return core_load((const u8 *)core->table + offset, len);
}

/**
 * kvm_msix_pba_read - Read from the Pending Bit Array for the guest
 * @core: the function
 * @offset: first byte
 * @len: number of bytes; kvm_msix_access_ok() with the PBA's size
 *
 * Context: any. One aligned load needs no lock.
 * Return: the @len bytes.
 */
u64 kvm_msix_pba_read(const struct kvm_msix_core *core, u32 offset,
		      unsigned int len)
{
	offset = array_index_nospec(offset, kvm_msix_pba_size(core->nr));
	return core_load((const u8 *)core->pba + offset, len);
}

/**
 * kvm_msix_vector_at - Find the vector whose entry holds a byte of the table
 * @core: the function
 * @offset: the byte, within the table
 *
 * Return: the vector, below @core->nr even under speculation.
 */
u32 kvm_msix_vector_at(const struct kvm_msix_core *core, u32 offset)
{
	return array_index_nospec(offset / PCI_MSIX_ENTRY_SIZE, core->nr);
}

/**
 * kvm_msix_table_write - Write to the table for the guest
 * @core: the function
 * @offset: first byte
 * @len: number of bytes; kvm_msix_access_ok() with the table's size
 * @val: the @len bytes
 * @entry: out: the vector's entry after the write
 *
 * Context: the lock of vector kvm_msix_vector_at(@offset).
 * Return: bits of enum kvm_msix_effect
 *
 * The entry keeps all bits written, reserved ones too (7.7.2.7 has software
 * preserve them); only the mask bit of Vector Control has an effect. 6.1.4.2: a
 * message changed while its vector is unmasked may be sent in its old or its
 * new form; here every later event sends the new one.
 */
unsigned int kvm_msix_table_write(struct kvm_msix_core *core, u32 offset,
				  unsigned int len, u64 val,
				  struct kvm_msix_entry *entry)
{
	u32 v = kvm_msix_vector_at(core, offset);
	u32 in_entry = offset % PCI_MSIX_ENTRY_SIZE;
	u32 i = in_entry / 8;
	u64 old = READ_ONCE(core->table[v].qword[i]);
	unsigned int effects = 0;
	u64 changed;

	core_store((u8 *)&core->table[v] + in_entry, len, val);
	*entry = kvm_msix_get_entry(core, v);
	changed = old ^ entry->qword[i];

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
 * kvm_msix_latch - Record an event of a vector that may not send
 * @core: the function
 * @v: the vector, below @core->nr
 *
 * 6.1.4.5: while a vector is masked, the function must not send its message and
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
 * kvm_msix_release_pending - Clear a pending bit if its message may be sent
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
 * kvm_msix_set_control - Set Message Control
 * @core: the function
 * @control: the register's new value, of which KVM_MSIX_CONTROL_BITS are kept
 *
 * The caller then calls kvm_msix_release_pending() for each vector.
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
 * Context: the lock of @v. The function is disabled: no message is sent here.
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

/**
 * kvm_msix_reset_entry - Set an entry to its power-on state
 * @core: the function
 * @v: the vector, below @core->nr
 *
 * Clears the vector's pending bit, too.
 *
 * Context: as kvm_msix_set_entry().
 */
void kvm_msix_reset_entry(struct kvm_msix_core *core, u32 v)
{
	static const struct kvm_msix_entry masked = {
		.control = PCI_MSIX_ENTRY_CTRL_MASKBIT,
	};

	kvm_msix_set_entry(core, v, masked, false);
}
