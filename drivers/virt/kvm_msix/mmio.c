// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's accesses, through KVM's MMIO bus.
 *
 * Table and PBA each answer in a region of exactly their size, so that other
 * registers on the same page still reach the VMM. A region never moves:
 * SET_ADDR registers a new region inactive, deactivates and removes the old
 * region, then activates the new region. Where the VMM has mapped table or PBA
 * into the guest, the memslot hides the region, which stays registered and
 * answers once the memslot is deleted.
 *
 * Context of the four access functions: the vCPU's thread in a reader of
 * kvm->srcu (see the lock order in kvm_msix.h). KVM's bus calls a function only
 * for accesses that lie within the region. If the function returns -EOPNOTSUPP,
 * the access goes on to the VMM.
 */
#include <linux/kernel.h>
#include <linux/kvm_msix.h>
#include <linux/slab.h>
#include <kvm/iodev.h>

#include "hostsyms.h"
#include "kvm_msix.h"
#include "trace.h"

/**
 * struct kvm_msix_region - The guest physical range where table or PBA answers
 * @io: the region's device on KVM's bus
 * @dev: the device
 * @gpa: first byte
 * @size: number of bytes
 * @pba: the PBA answers here, not the table
 * @live: the region answers; changed under dev->lock
 */
struct kvm_msix_region {
	struct kvm_io_device io;
	struct kvm_msix_device *dev;
	gpa_t gpa;
	u32 size;
	bool pba;
	bool live;
};

static struct kvm_msix_region *mmio_to_region(struct kvm_io_device *io)
{
	return container_of(io, struct kvm_msix_region, io);
}

/*
 * 6.1.4.2: misaligned accesses are undefined. Here, they have no effect. @rw is
 * READ or WRITE.
 */
static noinline int mmio_reject(struct kvm_msix_region *region, int rw,
				u32 offset, int len)
{
	this_cpu_inc(region->dev->stats->rejected);
	trace_kvm_msix_access(region->dev->id, region->pba, rw, offset, len, 0,
			      true);
	return 0;
}

/*
 * KVM's buffer for an access may be misaligned. The most common lengths are
 * spelt out, as a memcpy() of variable length is a function call.
 */
static __always_inline u64 mmio_get_value(const void *val, int len)
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

static __always_inline void mmio_put_value(void *val, int len, u64 value)
{
	if (len == 4)
		memcpy(val, &value, 4);
	else if (len == 8)
		memcpy(val, &value, 8);
	else
		memcpy(val, &value, len);
}

static int mmio_reject_read(struct kvm_msix_region *region, u32 offset, int len,
			    void *val)
{
	memset(val, 0xff, len);
	return mmio_reject(region, READ, offset, len);
}

static __always_inline int mmio_answer(struct kvm_msix_region *region,
				       u32 offset, int len, void *val,
				       u64 value)
{
	mmio_put_value(val, len, value);
	this_cpu_inc(region->dev->stats->reads);
	trace_kvm_msix_access(region->dev->id, region->pba, READ, offset, len,
			      value, false);
	return 0;
}

static int mmio_read_table(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
			   gpa_t addr, int len, void *val)
{
	struct kvm_msix_region *region = mmio_to_region(io);
	u32 offset = addr - region->gpa;

	if (!READ_ONCE(region->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(region->size, offset, len)))
		return mmio_reject_read(region, offset, len, val);

	return mmio_answer(region, offset, len, val,
			   kvm_msix_table_read(&region->dev->core, offset, len));
}

static void mmio_note_effects(struct kvm_msix_vec *vec,
			      const struct kvm_msix_entry *entry,
			      unsigned int effects)
{
	struct kvm_msix_device *dev = vec->dev;
	u32 v = vec->index;

	if (effects & KVM_MSIX_MASK_CHANGED) {
		kvm_msix_count(vec->stats.mask_changes);
		if (trace_kvm_msix_mask_enabled())
			trace_kvm_msix_mask(dev->id, v, kvm_msix_masked(entry),
					    effects & KVM_MSIX_SEND ||
					    kvm_msix_pending(&dev->core, v));
	}
	if (effects & KVM_MSIX_MESSAGE_CHANGED)
		trace_kvm_msix_message(dev->id, v, entry->address, entry->data,
				       0);
}

/* Does the access exit to the VMM too? See KVM_MSIX_CREATE_LAZY. */
static __always_inline bool mmio_wants_vmm(struct kvm_msix_device *dev, u32 v)
{
	return dev->flags & KVM_MSIX_CREATE_LAZY && !test_bit(v, dev->bound);
}

static int mmio_write_table(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
			    gpa_t addr, int len, const void *val)
{
	struct kvm_msix_region *region = mmio_to_region(io);
	struct kvm_msix_device *dev = region->dev;
	u32 offset = addr - region->gpa;
	struct kvm_msix_entry entry;
	struct kvm_msix_vec *vec;
	unsigned int effects;
	bool to_vmm;
	u64 value;
	u32 v;

	if (!READ_ONCE(region->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(region->size, offset, len)))
		return mmio_reject(region, WRITE, offset, len);

	value = mmio_get_value(val, len);
	this_cpu_inc(dev->stats->writes);
	trace_kvm_msix_access(dev->id, region->pba, WRITE, offset, len, value,
			      false);

	v = kvm_msix_vector_at(&dev->core, offset);
	vec = &dev->vecs[v];
	spin_lock_irq(&vec->lock);
	effects = kvm_msix_table_write(&dev->core, offset, len, value, &entry);
	mmio_note_effects(vec, &entry, effects);
	if (effects)
		kvm_msix_post_changed_locked(vec);
	to_vmm = effects & KVM_MSIX_MASK_CHANGED && mmio_wants_vmm(dev, v) &&
		 !kvm_msix_masked(&entry);
	if (effects & KVM_MSIX_SEND)
		kvm_msix_send_pending_locked(vec, &entry);
	spin_unlock_irq(&vec->lock);

	kvm_msix_settle(vec);
	if (effects)
		kvm_msix_post_stop(vec, KVM_MSIX_UNPOSTED_WRITE);
	if (effects && READ_ONCE(vec->gsi) != KVM_MSIX_NO_GSI)
		kvm_msix_gsi_sync(dev, v, 1);
	return to_vmm ? -EOPNOTSUPP : 0;
}

static int mmio_read_pba(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
			 gpa_t addr, int len, void *val)
{
	struct kvm_msix_region *region = mmio_to_region(io);
	struct kvm_msix_device *dev = region->dev;
	u32 offset = addr - region->gpa;
	u32 v, end;

	if (!READ_ONCE(region->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(region->size, offset, len)))
		return mmio_reject_read(region, offset, len, val);
	if (dev->flags & KVM_MSIX_CREATE_LAZY) {
		offset = array_index_nospec(offset, region->size);
		end = min((offset + len) * 8, dev->core.nr);
		for (v = offset * 8; v < end; v++)
			if (mmio_wants_vmm(dev, v))
				return -EOPNOTSUPP;
	}

	return mmio_answer(region, offset, len, val,
			   kvm_msix_pba_read(&dev->core, offset, len));
}

/* 7.7.2.9: software must not write to the PBA. Such a write is ignored. */
static int mmio_write_pba(struct kvm_vcpu *vcpu, struct kvm_io_device *io,
			  gpa_t addr, int len, const void *val)
{
	struct kvm_msix_region *region = mmio_to_region(io);
	u32 offset = addr - region->gpa;

	if (!READ_ONCE(region->live))
		return -EOPNOTSUPP;
	if (unlikely(!kvm_msix_access_ok(region->size, offset, len)))
		return mmio_reject(region, WRITE, offset, len);
	this_cpu_inc(region->dev->stats->writes);
	trace_kvm_msix_access(region->dev->id, region->pba, WRITE, offset, len,
			      mmio_get_value(val, len), false);
	return 0;
}

/*
 * No .destructor: KVM calls .destructor on unregister only from 6.5 on.
 * mmio_remove_region() frees the region on all kernels.
 */
static const struct kvm_io_device_ops mmio_table_ops = {
	.read = mmio_read_table,
	.write = mmio_write_table,
};

static const struct kvm_io_device_ops mmio_pba_ops = {
	.read = mmio_read_pba,
	.write = mmio_write_pba,
};

static bool mmio_overlaps(gpa_t a, u32 a_size, gpa_t b, u32 b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

/* Does anything but this device answer in the range? */
static bool mmio_occupied(struct kvm_msix_device *dev, gpa_t gpa, u32 size)
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
		/* An ioeventfd of length 0 matches accesses of any length. */
		if (mmio_overlaps(gpa, size, range->addr, max(range->len, 1)))
			return true;
	}
	return false;
}

/* Register a region that does not answer yet. */
static struct kvm_msix_region *
mmio_add_region(struct kvm_msix_device *dev, gpa_t gpa, u32 size,
		const struct kvm_io_device_ops *ops)
{
	struct kvm_msix_region *region;
	int err;

	if (mmio_occupied(dev, gpa, size))
		return ERR_PTR(-EEXIST);

	region = kzalloc(sizeof(*region), KVM_MSIX_GFP);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->dev = dev;
	region->gpa = gpa;
	region->size = size;
	region->pba = ops == &mmio_pba_ops;
	kvm_iodevice_init(&region->io, ops);
	err = host_call(kvm_io_bus_register_dev)(dev->kvm, KVM_MMIO_BUS, gpa,
						 size, &region->io);
	if (err) {
		kfree(region);
		return ERR_PTR(err);
	}
	return region;
}

/* kvm_io_bus_unregister_dev() waits for accesses in progress. */
static void mmio_remove_region(struct kvm_msix_region *region)
{
	host_call(kvm_io_bus_unregister_dev)(region->dev->kvm, KVM_MMIO_BUS,
					     &region->io);
	kfree(region);
}

static void mmio_set_live(struct kvm_msix_region *region, bool live)
{
	if (!region || region->live == live)
		return;
	WRITE_ONCE(region->live, live);
	trace_kvm_msix_addr(region->dev->id, region->pba, region->gpa,
			    region->size, live);
}

/*
 * Return: the old region if its address stays, else a new region, which does
 * not answer yet, or ERR_PTR; NULL if table or PBA is to answer nowhere.
 */
static struct kvm_msix_region *
mmio_next_region(struct kvm_msix_device *dev, struct kvm_msix_region *old,
		 bool present, gpa_t gpa, u32 size,
		 const struct kvm_io_device_ops *ops)
{
	if (!present)
		return NULL;
	if (old && old->gpa == gpa)
		return old;
	return mmio_add_region(dev, gpa, size, ops);
}

/*
 * Do all that can fail first. Then deactivate and remove the old regions, and
 * activate the new regions.
 */
static int mmio_replace_regions(struct kvm_msix_device *dev,
				const struct kvm_msix_addr *addr)
{
	struct kvm_msix_region *old_table = dev->table, *old_pba = dev->pba;
	struct kvm_msix_region *table, *pba;

	table = mmio_next_region(dev, old_table,
				 addr->flags & KVM_MSIX_ADDR_TABLE,
				 addr->table_gpa,
				 kvm_msix_table_size(dev->core.nr),
				 &mmio_table_ops);
	if (IS_ERR(table))
		return PTR_ERR(table);
	pba = mmio_next_region(dev, old_pba, addr->flags & KVM_MSIX_ADDR_PBA,
			       addr->pba_gpa, kvm_msix_pba_size(dev->core.nr),
			       &mmio_pba_ops);
	if (IS_ERR(pba)) {
		if (table && table != old_table)
			mmio_remove_region(table);
		return PTR_ERR(pba);
	}

	if (old_table != table)
		mmio_set_live(old_table, false);
	if (old_pba != pba)
		mmio_set_live(old_pba, false);
	if (old_table && old_table != table)
		mmio_remove_region(old_table);
	if (old_pba && old_pba != pba)
		mmio_remove_region(old_pba);
	mmio_set_live(table, true);
	mmio_set_live(pba, true);
	dev->table = table;
	dev->pba = pba;
	return 0;
}

static bool mmio_range_ok(gpa_t gpa, u32 size)
{
	return IS_ALIGNED(gpa, 8) && gpa <= U64_MAX - size;
}

/**
 * kvm_msix_set_addr - Set the addresses where table and PBA answer
 * @dev: the device
 * @addr: the ioctl's argument, flags checked
 *
 * Context: dev->lock; waits for kvm->srcu.
 * Return: 0 or an errno that struct kvm_msix_addr documents.
 */
int kvm_msix_set_addr(struct kvm_msix_device *dev,
		      const struct kvm_msix_addr *addr)
{
	bool table = addr->flags & KVM_MSIX_ADDR_TABLE;
	bool pba = addr->flags & KVM_MSIX_ADDR_PBA;
	u32 table_size = kvm_msix_table_size(dev->core.nr);
	u32 pba_size = kvm_msix_pba_size(dev->core.nr);
	int err;

	lockdep_assert_held(&dev->lock);

	if ((!table && addr->table_gpa) || (!pba && addr->pba_gpa) ||
	    !mmio_range_ok(addr->table_gpa, table_size) ||
	    !mmio_range_ok(addr->pba_gpa, pba_size))
		return -EINVAL;
	if (table && pba && mmio_overlaps(addr->table_gpa, table_size,
					  addr->pba_gpa, pba_size))
		return -EINVAL;

	mutex_lock(&dev->kvm->slots_lock);
	err = mmio_replace_regions(dev, addr);
	mutex_unlock(&dev->kvm->slots_lock);
	return err;
}

/**
 * kvm_msix_clear_addr - Have table and PBA answer nowhere
 * @dev: the device
 *
 * Cannot fail, as no region is added.
 *
 * Context: as kvm_msix_set_addr().
 */
void kvm_msix_clear_addr(struct kvm_msix_device *dev)
{
	static const struct kvm_msix_addr nowhere;

	kvm_msix_set_addr(dev, &nowhere);
}
