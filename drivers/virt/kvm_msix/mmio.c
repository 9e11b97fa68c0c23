// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's accesses, by KVM's MMIO bus.
 *
 * Table and PBA each answer in a window of exactly their size, so that other
 * registers on the same page still reach the VMM. A window never moves: LOCATE
 * makes a new one, still mute, beside the old, and lets it speak when the old
 * one has fallen silent. Where the VMM has made table or PBA guest memory, the
 * window is there beneath: it answers when the memory goes.
 *
 * Context of the four access functions: the vCPU's thread in a reader of
 * kvm->srcu (see the lock order in kvm_msix.h). The access lies within the
 * window: KVM's bus looks for nothing else. -EOPNOTSUPP means "not mine": the
 * access goes on to the VMM.
 */
#include <linux/kvm_msix.h>
#include <linux/slab.h>
#include <kvm/iodev.h>

#include "hostsyms.h"
#include "kvm_msix.h"
#include "trace.h"

/**
 * struct kvm_msix_window - Where table or PBA answers
 * @io: KVM's view
 * @dev: the device
 * @gpa: first byte
 * @size: number of bytes
 * @live: answers; changed under dev->lock
 */
struct kvm_msix_window {
	struct kvm_io_device io;
	struct kvm_msix_device *dev;
	gpa_t gpa;
	u32 size;
	bool live;
};

static struct kvm_msix_window *to_window(struct kvm_io_device *io)
{
	return container_of(io, struct kvm_msix_window, io);
}

/* 6.1.4.2: anything but an aligned access has undefined results. Here: none. */
static noinline int reject(struct kvm_msix_window *w, bool pba, bool write,
			   u32 offset, int len)
{
	this_cpu_inc(w->dev->stats->rejected);
	trace_kvm_msix_access(w->dev->id, pba, write, offset, len, 0, true);
	return 0;
}

/*
 * KVM's buffer for an access need not be aligned. These are its commonest
 * lengths spelt out: a copy of variable length is a call.
 */
static __always_inline u64 get_value(const void *val, int len)
{
	u64 value = 0;

	if (len == 4)
		memcpy(&value, val, 4);
	else if (len == 8)
		memcpy(&value, val, 8);
	else
		memcpy(&value, val, len);
	return value;
}

static __always_inline void put_value(void *val, int len, u64 value)
{
	if (len == 4)
		memcpy(val, &value, 4);
	else if (len == 8)
		memcpy(val, &value, 8);
	else
		memcpy(val, &value, len);
}

static int read_table(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
		      gpa_t addr, int len, void *val)
{
	struct kvm_msix_window *w = to_window(io);
	struct kvm_msix_device *dev = w->dev;
	u32 offset = addr - w->gpa;
	u64 value;

	if (!READ_ONCE(w->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(w->size, offset, len))) {
		memset(val, 0xff, len);
		return reject(w, false, false, offset, len);
	}

	value = kvm_msix_table_read(&dev->core, offset, len);
	put_value(val, len, value);
	this_cpu_inc(dev->stats->reads);
	trace_kvm_msix_access(dev->id, false, false, offset, len, value, false);
	return 0;
}

static void note_effects(struct kvm_msix_device *dev, u32 v,
			 const struct kvm_msix_entry *entry,
			 unsigned int effects)
{
	if (effects & KVM_MSIX_MASK_CHANGED) {
		this_cpu_inc(dev->stats->mask_changes);
		if (trace_kvm_msix_mask_enabled())
			trace_kvm_msix_mask(dev->id, v, kvm_msix_masked(entry),
					    effects & KVM_MSIX_SEND ||
					    kvm_msix_pending(&dev->core, v));
	}
	if (effects & KVM_MSIX_MESSAGE_CHANGED)
		trace_kvm_msix_message(dev->id, v, entry->address, entry->data,
				       0);
}

/* A vector for the VMM to bind, or to speak for: see KVM_MSIX_CREATE_LAZY. */
static __always_inline bool wants_vmm(struct kvm_msix_device *dev, u32 v)
{
	return dev->flags & KVM_MSIX_CREATE_LAZY && !test_bit(v, dev->bound);
}

static int write_table(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
		       gpa_t addr, int len, const void *val)
{
	struct kvm_msix_window *w = to_window(io);
	struct kvm_msix_device *dev = w->dev;
	u32 offset = addr - w->gpa;
	struct kvm_msix_entry entry;
	struct kvm_msix_vec *vec;
	unsigned int effects;
	bool to_vmm;
	u64 value;
	u32 v;

	if (!READ_ONCE(w->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(w->size, offset, len)))
		return reject(w, false, true, offset, len);

	value = get_value(val, len);
	this_cpu_inc(dev->stats->writes);
	trace_kvm_msix_access(dev->id, false, true, offset, len, value, false);

	v = kvm_msix_vector_at(&dev->core, offset);
	vec = &dev->vecs[v];
	spin_lock_irq(&vec->lock);
	effects = kvm_msix_table_write(&dev->core, offset, len, value, &entry);
	note_effects(dev, v, &entry, effects);
	to_vmm = effects & KVM_MSIX_MASK_CHANGED && wants_vmm(dev, v) &&
		 !kvm_msix_masked(&entry);
	if (effects & KVM_MSIX_SEND)
		kvm_msix_kick_locked(vec, &entry);
	spin_unlock_irq(&vec->lock);

	kvm_msix_settle(vec);
	if (effects && READ_ONCE(vec->gsi) != KVM_MSIX_NO_GSI)
		kvm_msix_route_sync(dev, v, 1);
	return to_vmm ? -EOPNOTSUPP : 0;
}

static int read_pba(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
		    gpa_t addr, int len, void *val)
{
	struct kvm_msix_window *w = to_window(io);
	struct kvm_msix_device *dev = w->dev;
	u32 offset = addr - w->gpa;
	u64 value;
	u32 v, end;

	if (!READ_ONCE(w->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(w->size, offset, len))) {
		memset(val, 0xff, len);
		return reject(w, true, false, offset, len);
	}
	if (dev->flags & KVM_MSIX_CREATE_LAZY) {
		offset = array_index_nospec(offset, w->size);
		end = min((offset + len) * 8, dev->core.nr);
		for (v = offset * 8; v < end; v++)
			if (wants_vmm(dev, v))
				return -EOPNOTSUPP;
	}

	value = kvm_msix_pba_read(&dev->core, offset, len);
	put_value(val, len, value);
	this_cpu_inc(dev->stats->reads);
	trace_kvm_msix_access(dev->id, true, false, offset, len, value, false);
	return 0;
}

/* 7.7.2.9: software must not write to the PBA; if it does, nothing happens. */
static int write_pba(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
		     gpa_t addr, int len, const void *val)
{
	struct kvm_msix_window *w = to_window(io);
	u32 offset = addr - w->gpa;

	if (!READ_ONCE(w->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(w->size, offset, len)))
		return reject(w, true, true, offset, len);
	this_cpu_inc(w->dev->stats->writes);
	trace_kvm_msix_access(w->dev->id, true, true, offset, len,
			      get_value(val, len), false);
	return 0;
}

/* No destructor: KVM before 6.5 leaves it to who unregisters, later ones not. */
static const struct kvm_io_device_ops table_ops = {
	.read = read_table,
	.write = write_table,
};

static const struct kvm_io_device_ops pba_ops = {
	.read = read_pba,
	.write = write_pba,
};

static bool overlaps(gpa_t a, u32 a_size, gpa_t b, u32 b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

/* Does something that is not ours answer there? */
static bool occupied(struct kvm_msix_device *dev, gpa_t gpa, u32 size)
{
	const struct kvm_io_bus *bus = kvm_get_bus(dev->kvm, KVM_MMIO_BUS);
	const struct kvm_io_range *range;
	int i;

	lockdep_assert_held(&dev->kvm->slots_lock);

	for (i = 0; bus && i < bus->dev_count; i++) {
		range = &bus->range[i];
		if ((dev->table && range->dev == &dev->table->io) ||
		    (dev->pba && range->dev == &dev->pba->io))
			continue;
		/* An ioeventfd of length 0 takes accesses of any length. */
		if (overlaps(gpa, size, range->addr, max(range->len, 1)))
			return true;
	}
	return false;
}

/* A window that does not answer yet. */
static struct kvm_msix_window *open_window(struct kvm_msix_device *dev,
					   gpa_t gpa, u32 size,
					   const struct kvm_io_device_ops *ops)
{
	struct kvm_msix_window *w;
	int err;

	if (occupied(dev, gpa, size))
		return ERR_PTR(-EEXIST);

	w = kzalloc(sizeof(*w), KVM_MSIX_GFP);
	if (!w)
		return ERR_PTR(-ENOMEM);
	w->dev = dev;
	w->gpa = gpa;
	w->size = size;
	kvm_iodevice_init(&w->io, ops);
	err = host_call(kvm_io_bus_register_dev)(dev->kvm, KVM_MMIO_BUS, gpa,
						 size, &w->io);
	if (err) {
		kfree(w);
		return ERR_PTR(err);
	}
	return w;
}

/* KVM waits for the accesses under way. */
static void close_window(struct kvm_msix_window *w)
{
	host_call(kvm_io_bus_unregister_dev)(w->dev->kvm, KVM_MMIO_BUS, &w->io);
	kfree(w);
}

static void set_live(struct kvm_msix_window *w, bool pba, bool live)
{
	if (!w || w->live == live)
		return;
	WRITE_ONCE(w->live, live);
	trace_kvm_msix_locate(w->dev->id, pba, w->gpa, w->size, live);
}

/* The old window where it stays, a new one, or none. */
static struct kvm_msix_window *next_window(struct kvm_msix_device *dev,
					   struct kvm_msix_window *old,
					   bool present, gpa_t gpa, u32 size,
					   const struct kvm_io_device_ops *ops)
{
	if (!present)
		return NULL;
	if (old && old->gpa == gpa)
		return old;
	return open_window(dev, gpa, size, ops);
}

/* All that can fail comes first; then the old windows go and the new speak. */
static int replace_windows(struct kvm_msix_device *dev,
			   const struct kvm_msix_locate *where)
{
	struct kvm_msix_window *old_table = dev->table, *old_pba = dev->pba;
	struct kvm_msix_window *table, *pba;

	table = next_window(dev, old_table,
			    where->flags & KVM_MSIX_LOCATE_TABLE,
			    where->table_gpa, kvm_msix_table_size(dev->core.nr),
			    &table_ops);
	if (IS_ERR(table))
		return PTR_ERR(table);
	pba = next_window(dev, old_pba, where->flags & KVM_MSIX_LOCATE_PBA,
			  where->pba_gpa, kvm_msix_pba_size(dev->core.nr),
			  &pba_ops);
	if (IS_ERR(pba)) {
		if (table && table != old_table)
			close_window(table);
		return PTR_ERR(pba);
	}

	if (old_table != table)
		set_live(old_table, false, false);
	if (old_pba != pba)
		set_live(old_pba, true, false);
	if (old_table && old_table != table)
		close_window(old_table);
	if (old_pba && old_pba != pba)
		close_window(old_pba);
	set_live(table, false, true);
	set_live(pba, true, true);
	dev->table = table;
	dev->pba = pba;
	return 0;
}

static bool range_ok(gpa_t gpa, u32 size)
{
	return IS_ALIGNED(gpa, 8) && gpa <= U64_MAX - size;
}

/**
 * kvm_msix_locate - Say where table and PBA answer
 * @dev: the device
 * @where: the ioctl's argument, flags checked
 *
 * Context: dev->lock; waits for kvm->srcu.
 * Return: 0 or what struct kvm_msix_locate documents.
 */
int kvm_msix_locate(struct kvm_msix_device *dev,
		    const struct kvm_msix_locate *where)
{
	bool table = where->flags & KVM_MSIX_LOCATE_TABLE;
	bool pba = where->flags & KVM_MSIX_LOCATE_PBA;
	u32 table_size = kvm_msix_table_size(dev->core.nr);
	u32 pba_size = kvm_msix_pba_size(dev->core.nr);
	int err;

	lockdep_assert_held(&dev->lock);

	if ((!table && where->table_gpa) || (!pba && where->pba_gpa) ||
	    !range_ok(where->table_gpa, table_size) ||
	    !range_ok(where->pba_gpa, pba_size))
		return -EINVAL;
	if (table && pba && overlaps(where->table_gpa, table_size,
				     where->pba_gpa, pba_size))
		return -EINVAL;

	mutex_lock(&dev->kvm->slots_lock);
	err = replace_windows(dev, where);
	mutex_unlock(&dev->kvm->slots_lock);
	return err;
}

/* Cannot fail: opens no window. Context: as kvm_msix_locate(). */
void kvm_msix_locate_nowhere(struct kvm_msix_device *dev)
{
	static const struct kvm_msix_locate nowhere;

	kvm_msix_locate(dev, &nowhere);
}
