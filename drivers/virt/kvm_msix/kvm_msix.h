/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects of the module, who owns them and what protects them.
 *
 *   struct kvm_msix_device  one MSI-X function; owned by its device fd
 *   struct kvm_msix_vec     one vector of it; part of the device
 *   struct kvm_msix_hook    the vector's grip on an eventfd (deliver.c)
 *   struct kvm_msix_window  a range of guest physical memory (mmio.c)
 *   struct kvm_msix_watch   notices stores to a mapped table (watch.c)
 *   struct kvm_msix_vm      what the devices of one VM share (route.c)
 *
 * Lock order, outermost first:
 *
 *   dev->lock                    ioctls of one device
 *     kvm->slots_lock            windows on KVM's MMIO bus (waits for kvm->srcu)
 *     dev->deferred_lock         messages for which KVM visits each vCPU
 *       vec->lock
 *     vm->lock                   GSI ownership, routes
 *       kvm->irq_lock            KVM's routing table
 *         vec->lock
 *     eventfd's wqh.lock         irqs off
 *       vec->lock                irqs off; the message is injected under it
 *         watch->lock            irqs off; state and timer of the watch
 *   mmap_lock                    a store to a mapped page faults
 *     lock of the table's page   until the page is writable
 *       watch->lock
 *       i_mmap_rwsem             protecting the pages, without mmap_lock
 *         kvm->mmu_lock          KVM's MMU notifier
 *
 * A guest's access runs in the vCPU's thread, inside a reader of kvm->srcu. It
 * takes vec->lock, and afterwards, one after the other, dev->deferred_lock if a
 * message was deferred and vm->lock if the vector has a GSI; never
 * dev->lock or slots_lock, whose holders wait for kvm->srcu. A store to a mapped
 * page faults in such a reader as well. Nobody waits for kvm->srcu with vm->lock,
 * irq_lock or a page's lock held.
 */
#ifndef _KVM_MSIX_H
#define _KVM_MSIX_H

#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "core.h"

struct dentry;
struct eventfd_ctx;
struct file;
struct inode;
struct kvm_msix_hook;
struct kvm_msix_locate;
struct kvm_msix_state;
struct kvm_msix_vector;
struct kvm_msix_vm;
struct kvm_msix_window;
struct vm_area_struct;

#define KVM_MSIX_NO_GSI		(-1)

/* Charged to the caller. Where there is none, its errno is the message. */
#define KVM_MSIX_GFP		(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/**
 * struct kvm_msix_stats - Counters of one CPU, for debugfs
 * @reads: guest reads of table and PBA that were answered
 * @writes: guest writes, likewise; writes to the PBA are counted and ignored
 * @rejected: misaligned accesses
 * @mask_changes: changes of a vector's mask bit by the guest
 * @events: signals of bound eventfds; each is in one of the next three or sent
 * @latched: events that set a pending bit
 * @coalesced: events that found their pending bit set
 * @kicks: pending bits taken out because their vector may send again
 * @delivered: messages that KVM took
 * @dropped: messages that nobody can take: no MSI address, a reserved delivery
 *	mode, no such destination
 * @protected: how often the pages of a mapped table were write-protected
 * @faults: stores to these pages that faulted for it
 * @told: how often the VMM was told that unbound vectors are unmasked
 *
 * events - latched - coalesced + kicks = delivered + dropped
 */
struct kvm_msix_stats {
	u64 reads;
	u64 writes;
	u64 rejected;
	u64 mask_changes;
	u64 events;
	u64 latched;
	u64 coalesced;
	u64 kicks;
	u64 delivered;
	u64 dropped;
	u64 protected;
	u64 faults;
	u64 told;
};

/**
 * struct kvm_msix_message - A vector's message as KVM's code wants it
 * @address: the entry's address that it was made from
 * @data: the entry's data, likewise
 * @x2apic_format: the VM's, likewise
 * @valid: somebody can take it
 * @route: for KVM, if @valid
 */
struct kvm_msix_message {
	u64 address;
	u32 data;
	bool x2apic_format;
	bool valid;
	struct kvm_kernel_irq_routing_entry route;
};

/**
 * enum kvm_msix_deferred - Messages that take too long for an event's context
 * @KVM_MSIX_DEFERRED: the vector is pending for that reason
 * @KVM_MSIX_IN_FLIGHT: a message is being injected, under dev->deferred_lock
 */
enum kvm_msix_deferred {
	KVM_MSIX_DEFERRED = BIT(0),
	KVM_MSIX_IN_FLIGHT = BIT(1),
};

/**
 * struct kvm_msix_vec - One vector
 * @lock: protects the vector's entry and pending bit in the core, and is held
 *	while its message is injected: who has taken it after masking knows that
 *	no message is on its way
 * @index: the vector's number; immutable
 * @dev: the device; immutable
 * @hook: the bound eventfd or NULL; protected by dev->lock
 * @gsi: the bound GSI or KVM_MSIX_NO_GSI; protected by vm->lock, and read
 *	without it to see whether there is work
 * @next_gsi: what a bind under way makes of @gsi; protected by vm->lock
 * @deferred: enum kvm_msix_deferred; protected by @lock, read without to see
 *	whether there is something to settle
 * @message: as it was when it was last needed; protected by @lock
 */
struct kvm_msix_vec {
	spinlock_t lock;	/* entry, pending bit, injection, message */
	u32 index;
	struct kvm_msix_device *dev;
	struct kvm_msix_hook *hook;
	int gsi;
	int next_gsi;
	unsigned int deferred;
	struct kvm_msix_message message;
};

/**
 * enum kvm_msix_watch_state - What becomes of a store to a mapped table
 * @KVM_MSIX_WATCH_OPEN: it goes unseen
 * @KVM_MSIX_WATCH_PROTECTED: it faults, and so is announced
 * @KVM_MSIX_WATCH_LOOKING: it goes unseen, and a timer looks at the entries
 */
enum kvm_msix_watch_state {
	KVM_MSIX_WATCH_OPEN,
	KVM_MSIX_WATCH_PROTECTED,
	KVM_MSIX_WATCH_LOOKING,
};

/**
 * struct kvm_msix_watch - Notices stores to a mapped table; see watch.c
 * @lock: protects @state, @delay, @last_look and the start of @timer
 * @state: see there
 * @delay: in ns, from the timer's last look to its next one; 0: there is none
 * @last_look: in ns, the delay that is not exceeded
 * @timer: looks at pending vectors, in softirq context
 * @work: protects the pages; looks at pending and unbound vectors
 * @unmask_eventfd: tells the VMM of unbound vectors, or NULL; immutable
 * @told: bit v: the VMM was told that vector v is unmasked; with @unmask_eventfd
 */
struct kvm_msix_watch {
	spinlock_t lock;	/* state, delay, last_look, timer */
	enum kvm_msix_watch_state state;
	u64 delay;
	u64 last_look;
	struct hrtimer timer;
	struct work_struct work;
	struct eventfd_ctx *unmask_eventfd;
	unsigned long *told;
};

/**
 * struct kvm_msix_device - One MSI-X function
 * @lock: serialises the ioctls
 * @core: the state machine; see struct kvm_msix_vec and core.h
 * @kvm: the VM, kept alive by @vm_file; immutable
 * @vm_file: the VM's file; holding it pins the vendor module too; immutable
 * @vm: shared with the VM's other devices; immutable
 * @flags: enum kvm_msix_create_flags; immutable
 * @id: the device's number in tracepoints and debugfs; immutable
 * @deferred_lock: held while a deferred message is injected
 * @settle_work: sends deferred messages
 * @bound: bit v: vector v has an eventfd or a GSI; protected by dev->lock, read
 *	without
 * @nr_bound: number of bits in @bound; likewise
 * @table: where the table answers, or NULL; protected by dev->lock
 * @pba: where the PBA answers, or NULL; protected by dev->lock
 * @stats: counters
 * @debugfs: the device's directory
 * @storage: the core's memory: whole pages with the table, which can be mapped,
 *	then the PBA if it is not on these, and the pending bits
 * @map_pages: number of pages that can be mapped, 0 if none; immutable
 * @table_pages: number of these that the table is on; immutable
 * @mapped: number of VMAs; less than 0: number of GSIs. There are not both.
 * @inode: what the mappings belong to, if @map_pages; immutable
 * @watch: of a device with @map_pages
 * @vecs: core.nr vectors
 */
struct kvm_msix_device {
	struct mutex lock;	/* serialises the ioctls */
	struct kvm_msix_core core;
	struct kvm *kvm;
	struct file *vm_file;
	struct kvm_msix_vm *vm;
	u32 flags;
	int id;
	struct mutex deferred_lock;	/* deferred messages, one at a time */
	struct work_struct settle_work;
	unsigned long *bound;
	u32 nr_bound;
	struct kvm_msix_window *table;
	struct kvm_msix_window *pba;
	struct kvm_msix_stats __percpu *stats;
	struct dentry *debugfs;
	void *storage;
	u32 map_pages;
	u32 table_pages;
	atomic_t mapped;
	struct inode *inode;
	struct kvm_msix_watch watch;
	struct kvm_msix_vec *vecs;
};

/* device.c */
int kvm_msix_device_create(void *ctx, void *arg);

/* mmio.c */
int kvm_msix_locate(struct kvm_msix_device *dev,
		    const struct kvm_msix_locate *where);
void kvm_msix_locate_nowhere(struct kvm_msix_device *dev);

/* deliver.c */
void kvm_msix_kick_locked(struct kvm_msix_vec *vec,
			  const struct kvm_msix_entry *entry);
void kvm_msix_release_locked(struct kvm_msix_vec *vec);
void kvm_msix_settle_deferred(struct kvm_msix_vec *vec);
void kvm_msix_settle_later(struct kvm_msix_vec *vec);
void kvm_msix_settle_work(struct work_struct *work);
const struct kvm_kernel_irq_routing_entry *
kvm_msix_message(struct kvm_msix_vec *vec);
struct kvm_msix_hook *kvm_msix_hook(struct kvm_msix_vec *vec, int fd);
void kvm_msix_hook_start(struct kvm_msix_hook *hook);
void kvm_msix_unhook(struct kvm_msix_hook *hook);

/**
 * kvm_msix_settle - Complete a change of a vector
 * @vec: the vector, whose entry or pending bit was changed, or of whose function
 *	Message Control was
 *
 * When this returns, no message from before the change is in flight, and what
 * the change released has been sent.
 *
 * Context: may sleep; takes dev->deferred_lock.
 */
static inline void kvm_msix_settle(struct kvm_msix_vec *vec)
{
	if (unlikely(READ_ONCE(vec->deferred)))
		kvm_msix_settle_deferred(vec);
}

/* map.c */
bool kvm_msix_can_mmap(void);
int kvm_msix_map_init(struct kvm_msix_device *dev);
void kvm_msix_map_end(struct kvm_msix_device *dev);
void kvm_msix_map_protect(struct kvm_msix_device *dev);
int kvm_msix_mmap(struct file *file, struct vm_area_struct *vma);

/* watch.c */
int kvm_msix_watch_init(struct kvm_msix_device *dev,
			struct eventfd_ctx *unmask_eventfd);
void kvm_msix_watch_end(struct kvm_msix_device *dev);
bool kvm_msix_watch_latched(struct kvm_msix_vec *vec);
void kvm_msix_watch_store(struct kvm_msix_device *dev);
void kvm_msix_watch_forget(struct kvm_msix_vec *vec);
void kvm_msix_watch_unbind(struct kvm_msix_vec *vec);
void kvm_msix_watch_update(struct kvm_msix_device *dev);

/* bind.c */
int kvm_msix_bind(struct kvm_msix_device *dev, u32 first, u32 count,
		  const struct kvm_msix_vector *vectors);
void kvm_msix_unbind_all(struct kvm_msix_device *dev);

/* state.c */
void kvm_msix_control(struct kvm_msix_device *dev, u16 control);
void kvm_msix_reset(struct kvm_msix_device *dev);
int kvm_msix_get_state(struct kvm_msix_device *dev,
		       struct kvm_msix_state *state);
int kvm_msix_set_state(struct kvm_msix_device *dev,
		       const struct kvm_msix_state *state);

/* route.c */
struct kvm_msix_vm *kvm_msix_vm_get(struct kvm *kvm);
void kvm_msix_vm_put(struct kvm_msix_vm *vm);
int kvm_msix_gsi_reserve(struct kvm_msix_vec *vec, int gsi);
void kvm_msix_gsi_commit(struct kvm_msix_device *dev, u32 first, u32 count);
void kvm_msix_gsi_cancel(struct kvm_msix_vec *vec);
void kvm_msix_route_sync(struct kvm_msix_device *dev, u32 first, u32 count);
int kvm_msix_set_gsi_routing(struct kvm_msix_device *dev,
			     struct kvm_irq_routing_entry *entries, u32 nr);

/* debugfs.c */
void kvm_msix_debugfs_init(void);
void kvm_msix_debugfs_exit(void);
void kvm_msix_debugfs_add(struct kvm_msix_device *dev);
void kvm_msix_debugfs_remove(struct kvm_msix_device *dev);

#endif /* _KVM_MSIX_H */
