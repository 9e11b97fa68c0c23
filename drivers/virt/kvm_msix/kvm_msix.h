/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects of the module, who owns them and what protects them.
 *
 *   struct kvm_msix_device  one MSI-X function; owned by its device fd
 *   struct kvm_msix_vec     one vector of the function; part of the device
 *   struct kvm_msix_waiter  takes the signals of a vector's eventfd (deliver.c)
 *   struct kvm_msix_region  a range on KVM's MMIO bus (mmio.c)
 *   struct kvm_msix_watch   notices stores to a mapped table (watch.c)
 *   struct kvm_msix_vm      what the devices of one VM share (gsi.c)
 *
 * Lock order, outermost first:
 *
 *   dev->lock                    ioctls of one device
 *     kvm->slots_lock            regions on KVM's MMIO bus (waits for kvm->srcu)
 *     dev->deferred_lock         messages for which KVM visits each vCPU
 *       vec->lock
 *     vm->lock                   GSI ownership, routes
 *       kvm->irq_lock            KVM's routing table
 *         vec->lock
 *     eventfd's wqh.lock         irqs off
 *       vec->lock                irqs off; the message is injected under it
 *         watch->lock            irqs off; state and timer of the watch
 *     irqbypass's lock           a consumer or a producer comes or goes
 *       post->lock
 *   mmap_lock                    a store to a mapped page faults
 *     lock of the table's page   until the page is writable
 *       watch->lock
 *       post->lock               vectors are posted and remapped
 *         watch->lock
 *         vec->lock
 *         kvm->irq_lock          KVM's routing table lends a GSI
 *           kvm->irqfds.lock     irqs off; the switch
 *       i_mmap_rwsem             protecting the pages, without mmap_lock
 *         kvm->mmu_lock          KVM's MMU notifier
 *
 * Interrupts are off wherever vec->lock or watch->lock is held, except on
 * PREEMPT_RT: the handler of the device's interrupt signals the eventfd, and so
 * takes wqh.lock, vec->lock and watch->lock in hardirq context.
 *
 * A guest's access runs in the vCPU's thread, inside a reader of kvm->srcu. The
 * access takes vec->lock, and afterwards, one after the other,
 * dev->deferred_lock if a message was deferred, post->lock if the vector was
 * posted and vm->lock if the vector has a GSI; never dev->lock or slots_lock,
 * whose holders wait for kvm->srcu. A store to a mapped page faults in such a
 * reader as well. A holder of vm->lock, irq_lock, post->lock or a page's lock
 * never waits for kvm->srcu, nor does a holder of post->lock wait for
 * kvm->irq_srcu: KVM_IRQFD takes irqbypass's lock in a reader of kvm->irq_srcu.
 */
#ifndef _KVM_MSIX_H
#define _KVM_MSIX_H

#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "core.h"

struct dentry;
struct eventfd_ctx;
struct file;
struct inode;
struct kvm_msix_addr;
struct kvm_msix_binding;
struct kvm_msix_post;
struct kvm_msix_post_vec;
struct kvm_msix_region;
struct seq_file;
struct vm_area_struct;

#define KVM_MSIX_NO_GSI		(-1)

/* Room for each vector's eventfd while a bind replaces them all. */
#define KVM_MSIX_MAX_WAITERS	(2 * KVM_MSIX_MAX_VECTORS)

/* Accounted to the caller's memcg. No warning on failure: -ENOMEM is enough. */
#define KVM_MSIX_GFP		(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/**
 * struct kvm_msix_stats - Counters of one CPU, for what belongs to no vector
 * @reads: guest reads of table and PBA that were answered
 * @writes: guest writes to table and PBA; those to the PBA have no effect
 * @rejected: misaligned accesses
 * @protected: how often the pages of a mapped table were write-protected
 * @faults: stores that faulted because these pages were write-protected
 * @told: how often the VMM was told that unbound vectors are unmasked
 */
struct kvm_msix_stats {
	u64 reads;
	u64 writes;
	u64 rejected;
	u64 protected;
	u64 faults;
	u64 told;
};

/**
 * enum kvm_msix_drop - Why no local APIC takes a message
 * @KVM_MSIX_DROP_ADDRESS: Its address is no MSI address; the first, as a zeroed
 *	struct kvm_msix_message has address 0.
 * @KVM_MSIX_DROP_MODE: Its delivery mode is reserved.
 * @KVM_MSIX_DROP_DESTINATION: No APIC has its destination, or the APIC is off.
 * @KVM_MSIX_NR_DROPS: The number of reasons.
 * @KVM_MSIX_TAKEN: There is no reason: the message is well-formed.
 */
enum kvm_msix_drop {
	KVM_MSIX_DROP_ADDRESS,
	KVM_MSIX_DROP_MODE,
	KVM_MSIX_DROP_DESTINATION,
	KVM_MSIX_NR_DROPS,
	KVM_MSIX_TAKEN = KVM_MSIX_NR_DROPS,
};

/**
 * struct kvm_msix_vec_stats - Counters of one vector
 * @events: signals of the bound eventfd; each is sent, latched or coalesced
 * @latched: events that set the pending bit
 * @coalesced: events that found the pending bit set
 * @released: how often the pending bit was cleared because the vector may send
 * @delivered: messages that a vCPU's local APIC took; KVM does not tell whether
 *	the APIC merged a message with an earlier one
 * @dropped: messages that no local APIC took, by enum kvm_msix_drop
 * @mask_changes: changes of the mask bit by the guest
 * @posts: how often the vector was posted
 * @unposts: how often the vector was remapped after that
 * @last_event: when the last of @events came, in jiffies
 * @pending_since: when the pending bit was last set, in jiffies
 *
 * Whenever the vector's lock is free, events - latched - coalesced + released =
 * delivered + the sum of dropped.
 */
struct kvm_msix_vec_stats {
	u64 events;
	u64 latched;
	u64 coalesced;
	u64 released;
	u64 delivered;
	u64 dropped[KVM_MSIX_NR_DROPS];
	u64 mask_changes;
	u64 posts;
	u64 unposts;
	unsigned long last_event;
	unsigned long pending_since;
};

/*
 * Count in struct kvm_msix_vec_stats, under the lock that protects the counter.
 * Readers may look without the lock: one aligned instruction changes a counter.
 */
#define kvm_msix_count(counter)	data_race((counter)++)

/**
 * struct kvm_msix_message - A vector's message in the form that KVM takes
 * @address: address of the entry that @route was built from
 * @data: data of the entry that @route was built from
 * @x2apic_format: value of kvm->arch.x2apic_format that @route was built with
 * @drop: why no local APIC can take @address and @data, or KVM_MSIX_TAKEN
 * @route: the message for KVM, if @drop is KVM_MSIX_TAKEN
 */
struct kvm_msix_message {
	u64 address;
	u32 data;
	bool x2apic_format;
	u8 drop;
	struct kvm_kernel_irq_routing_entry route;
};

/**
 * enum kvm_msix_deferred - Messages that take too long for an event's context
 * @KVM_MSIX_DEFERRED: the vector is pending because its message was deferred
 * @KVM_MSIX_IN_FLIGHT: a message is being injected, under dev->deferred_lock
 */
enum kvm_msix_deferred {
	KVM_MSIX_DEFERRED = BIT(0),
	KVM_MSIX_IN_FLIGHT = BIT(1),
};

/**
 * struct kvm_msix_waiter - A vector's place on an eventfd's wait queue
 * @wait: what is queued; its function is called for each signal
 * @wqh: the eventfd's wait queue
 * @eventfd: keeps the eventfd alive, even after its last fd is closed
 * @file: the eventfd's file, from kvm_msix_waiter_reserve() to
 *	kvm_msix_waiter_start()
 * @vec: the vector
 * @node: on @vec->waiters, once started
 * @live: signals are consumed as events; protected by @wqh->lock
 */
struct kvm_msix_waiter {
	wait_queue_entry_t wait;
	wait_queue_head_t *wqh;
	struct eventfd_ctx *eventfd;
	struct file *file;
	struct kvm_msix_vec *vec;
	struct hlist_node node;
	bool live;
};

/**
 * struct kvm_msix_vec - One vector
 * @lock: protects the vector's entry and pending bit in the core, and is held
 *	while its message is injected: taking it after masking guarantees that
 *	no message is in flight
 * @index: the vector's number; immutable
 * @dev: the device; immutable
 * @waiters: struct kvm_msix_waiter of each bound eventfd; protected by
 *	dev->lock
 * @next_waiter: while a bind is under way, the waiter on the eventfd that the
 *	bind names; protected by dev->lock
 * @gsi: the bound GSI or KVM_MSIX_NO_GSI; protected by vm->lock, and read
 *	without vm->lock to see whether there is work
 * @next_gsi: the value that a bind under way will give @gsi; protected by
 *	vm->lock
 * @deferred: enum kvm_msix_deferred; protected by @lock, read without to see
 *	whether there is something to settle
 * @posted: the IOMMU posts the vector's messages, or is about to; protected by
 *	post->lock, read without after a change of the entry, to see whether the
 *	vector must be remapped
 * @message: the message when last needed, kept for reuse; protected by @lock
 * @stats: counters; protected by @lock, posts and unposts by post->lock, all
 *	read without
 * @post: set by the first bind of an eventfd if the host can post, then
 *	immutable
 */
struct kvm_msix_vec {
	spinlock_t lock;	/* entry, pending bit, injection, message, stats */
	u32 index;
	struct kvm_msix_device *dev;
	struct hlist_head waiters;
	struct kvm_msix_waiter *next_waiter;
	int gsi;
	int next_gsi;
	unsigned int deferred;
	bool posted;
	struct kvm_msix_message message;
	struct kvm_msix_vec_stats stats;
	struct kvm_msix_post_vec *post;
};

/**
 * enum kvm_msix_watch_state - How the module notices a store to a mapped table
 * @KVM_MSIX_WATCH_OPEN: the store goes unseen
 * @KVM_MSIX_WATCH_LOOKING: the store goes unseen; a timer looks at the entries
 * @KVM_MSIX_WATCH_PROTECTED: the store faults, and so is announced, unless a
 *	system call that began earlier makes the store
 * @KVM_MSIX_WATCH_SEALED: the store faults, whatever makes it
 */
enum kvm_msix_watch_state {
	KVM_MSIX_WATCH_OPEN,
	KVM_MSIX_WATCH_LOOKING,
	KVM_MSIX_WATCH_PROTECTED,
	KVM_MSIX_WATCH_SEALED,
};

/**
 * struct kvm_msix_watch - Notices stores to a mapped table; see watch.c
 * @lock: protects @state, @wanted, @delay, @last_look and the start of @timer
 * @state: see enum kvm_msix_watch_state
 * @wanted: posting wants the pages protected; cleared by @work
 * @delay: in ns, from the timer's last look to its next look; 0: none follows
 * @last_look: in ns, the @delay after which no look follows
 * @timer: looks at pending vectors, in softirq context
 * @work: protects the pages; looks at pending and unbound vectors
 * @protected_at: when @work last protected the pages, in jiffies; used by @work
 *	only
 * @unmask_eventfd: tells the VMM of unbound vectors, or NULL; immutable
 * @told: bit v: the VMM was told that vector v is unmasked; NULL without
 *	@unmask_eventfd
 */
struct kvm_msix_watch {
	spinlock_t lock;	/* all but work, unmask_eventfd, told */
	enum kvm_msix_watch_state state;
	bool wanted;
	u64 delay;
	u64 last_look;
	struct hrtimer timer;
	struct delayed_work work;
	unsigned long protected_at;
	struct eventfd_ctx *unmask_eventfd;
	unsigned long *told;
};

/**
 * struct kvm_msix_vm - What the devices of one VM share
 * @node: in vms; protected by vms_lock
 * @users: number of devices; protected by vms_lock
 * @kvm: the VM; holds a reference
 * @lock: protects ownership of GSIs and the module's changes of routes
 * @gsis: maps a GSI to the struct kvm_msix_vec that owns the GSI
 * @nr_frees: number of removed entries and tables that are not freed yet
 */
struct kvm_msix_vm {
	struct list_head node;
	unsigned int users;
	struct kvm *kvm;
	struct mutex lock;	/* gsis, the module's changes of routes */
	struct xarray gsis;
	atomic_t nr_frees;
};

/**
 * struct kvm_msix_device - One MSI-X function
 * @lock: serialises the ioctls
 * @core: the state machine; see struct kvm_msix_vec and core.h
 * @kvm: the VM, kept alive by @vm_file; immutable
 * @vm_file: the VM's file; holding it pins the vendor module too; immutable
 * @vm: shared with the VM's other devices; immutable
 * @flags: enum kvm_msix_create_flags; immutable
 * @refs: the device fd's and each stats fd's reference on this memory
 * @id: the device's number in tracepoints and debugfs; immutable
 * @pid: the process that created the device; immutable
 * @deferred_lock: held while a deferred message is injected
 * @settle_work: sends deferred messages
 * @nr_waiters: number of struct kvm_msix_waiter; protected by dev->lock
 * @bound: bit v: vector v has an eventfd or a GSI; protected by dev->lock, read
 *	without
 * @nr_bound: number of bits set in @bound; protected by dev->lock, read without
 * @table: where the table answers, or NULL; protected by dev->lock
 * @pba: where the PBA answers, or NULL; protected by dev->lock
 * @stats: counters of what belongs to no vector
 * @debugfs: the device's directory
 * @storage: the core's memory: whole pages with the table, which can be mapped,
 *	then the PBA if it is not on these pages, and the pending bits
 * @map_pages: number of pages that can be mapped, 0 if none; immutable
 * @table_pages: number of these pages that hold the table; immutable
 * @mapped: number of VMAs, or, if negative, of GSIs: a device never has both
 * @inode: the mappings' inode, if @map_pages; immutable
 * @watch: used if @map_pages
 * @post: posting, or NULL if the host cannot post; immutable
 * @vecs: core.nr vectors
 */
struct kvm_msix_device {
	struct mutex lock;	/* serialises the ioctls */
	struct kvm_msix_core core;
	struct kvm *kvm;
	struct file *vm_file;
	struct kvm_msix_vm *vm;
	u32 flags;
	refcount_t refs;
	int id;
	pid_t pid;
	struct mutex deferred_lock;	/* deferred messages, one at a time */
	struct work_struct settle_work;
	u32 nr_waiters;
	unsigned long *bound;
	u32 nr_bound;
	struct kvm_msix_region *table;
	struct kvm_msix_region *pba;
	struct kvm_msix_stats __percpu *stats;
	struct dentry *debugfs;
	void *storage;
	u32 map_pages;
	u32 table_pages;
	atomic_t mapped;
	struct inode *inode;
	struct kvm_msix_watch watch;
	struct kvm_msix_post *post;
	struct kvm_msix_vec *vecs;
};

/* device.c */
int kvm_msix_device_create(void *ctx, void *arg);
void kvm_msix_device_put(struct kvm_msix_device *dev);

/* mmio.c */
int kvm_msix_set_addr(struct kvm_msix_device *dev,
		      const struct kvm_msix_addr *addr);
void kvm_msix_clear_addr(struct kvm_msix_device *dev);

/* message.c */
void kvm_msix_message_remake_locked(struct kvm_msix_vec *vec, u64 address,
				    u32 data, bool x2apic_format);
const struct kvm_kernel_irq_routing_entry *
kvm_msix_sendable_locked(struct kvm_msix_vec *vec);

/**
 * kvm_msix_message_locked - Get the message of a vector's entry
 * @vec: the vector
 * @entry: a copy of its entry
 *
 * The message is rebuilt only if the entry or the VM's x2apic_format has
 * changed: most messages are sent many times before that.
 *
 * Context: @vec->lock.
 * Return: the message, valid while the lock is held.
 */
static __always_inline struct kvm_msix_message *
kvm_msix_message_locked(struct kvm_msix_vec *vec,
			const struct kvm_msix_entry *entry)
{
	struct kvm_msix_message *m = &vec->message;
	bool x2apic_format = READ_ONCE(vec->dev->kvm->arch.x2apic_format);

	if (unlikely(m->address != entry->address || m->data != entry->data ||
		     m->x2apic_format != x2apic_format))
		kvm_msix_message_remake_locked(vec, entry->address, entry->data,
					       x2apic_format);
	return m;
}

/* deliver.c */
void kvm_msix_send_pending_locked(struct kvm_msix_vec *vec,
				  const struct kvm_msix_entry *entry);
void kvm_msix_release_locked(struct kvm_msix_vec *vec);
void kvm_msix_settle_deferred(struct kvm_msix_vec *vec);
void kvm_msix_settle_later(struct kvm_msix_vec *vec);
void kvm_msix_settle_work(struct work_struct *work);
struct kvm_msix_waiter *
kvm_msix_waiter_find(struct kvm_msix_vec *vec,
		     const struct eventfd_ctx *eventfd);
struct kvm_msix_waiter *kvm_msix_waiter_reserve(struct kvm_msix_vec *vec,
						int fd);
void kvm_msix_waiter_start(struct kvm_msix_waiter *waiter);
void kvm_msix_waiter_release(struct kvm_msix_waiter *waiter);

/**
 * kvm_msix_settle - Complete a change of a vector
 * @vec: the vector whose entry or pending bit, or whose function's Message
 *	Control, was changed
 *
 * When this returns, no message from before the change is in flight, and a
 * message that the change released has been sent.
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
bool kvm_msix_map_pinned(const struct kvm_msix_device *dev);
int kvm_msix_mmap(struct file *file, struct vm_area_struct *vma);

/* watch.c */
int kvm_msix_watch_init(struct kvm_msix_device *dev,
			struct eventfd_ctx *unmask_eventfd);
void kvm_msix_watch_end(struct kvm_msix_device *dev);
bool kvm_msix_watch_pending_locked(struct kvm_msix_vec *vec);
void kvm_msix_watch_store(struct kvm_msix_device *dev);
int kvm_msix_watch_announces(struct kvm_msix_device *dev);
void kvm_msix_watch_forget(struct kvm_msix_vec *vec);
void kvm_msix_watch_unbind(struct kvm_msix_vec *vec);
void kvm_msix_watch_update(struct kvm_msix_device *dev);

/**
 * enum kvm_msix_posting - Why a vector is posted or remapped
 * @KVM_MSIX_POSTED: The vector has had events, and its entry does not change.
 * @KVM_MSIX_UNPOSTED_WRITE: The guest changes the vector's entry.
 * @KVM_MSIX_UNPOSTED_STORE: The guest stores to the function's mapped table.
 * @KVM_MSIX_UNPOSTED_CONTROL: Message Control or the function's state is set.
 * @KVM_MSIX_UNPOSTED_PRODUCER: The eventfd or the device's interrupt goes.
 * @KVM_MSIX_UNPOSTED_REFUSED: KVM has not posted the vector.
 */
enum kvm_msix_posting {
	KVM_MSIX_POSTED,
	KVM_MSIX_UNPOSTED_WRITE,
	KVM_MSIX_UNPOSTED_STORE,
	KVM_MSIX_UNPOSTED_CONTROL,
	KVM_MSIX_UNPOSTED_PRODUCER,
	KVM_MSIX_UNPOSTED_REFUSED,
};

/* post.c */
bool kvm_msix_host_posts(void);
bool kvm_msix_can_post(void);
int kvm_msix_post_init(struct kvm_msix_device *dev);
void kvm_msix_post_end(struct kvm_msix_device *dev);
int kvm_msix_post_reserve(struct kvm_msix_vec *vec);
void kvm_msix_post_bind(struct kvm_msix_vec *vec, struct eventfd_ctx *eventfd);
void kvm_msix_post_unbind(struct kvm_msix_vec *vec);
void kvm_msix_post_note_change_locked(struct kvm_msix_vec *vec);
void kvm_msix_post_note_event_locked(struct kvm_msix_vec *vec);
void kvm_msix_post_stop_posted(struct kvm_msix_vec *vec,
			       enum kvm_msix_posting why);
void kvm_msix_post_stop_all(struct kvm_msix_device *dev,
			    enum kvm_msix_posting why);

/**
 * kvm_msix_post_changed_locked - Note a change of the vector's entry
 * @vec: the vector
 *
 * Context: @vec->lock.
 */
static inline void kvm_msix_post_changed_locked(struct kvm_msix_vec *vec)
{
	if (unlikely(READ_ONCE(vec->post)))
		kvm_msix_post_note_change_locked(vec);
}

/**
 * kvm_msix_post_sent_locked - Note that an event's message was sent
 * @vec: the vector
 *
 * Context: @vec->lock, irqs off.
 */
static inline void kvm_msix_post_sent_locked(struct kvm_msix_vec *vec)
{
	if (unlikely(READ_ONCE(vec->post)))
		kvm_msix_post_note_event_locked(vec);
}

/**
 * kvm_msix_post_stop - Remap a vector whose entry has changed
 * @vec: the vector
 * @why: why the vector is remapped, KVM_MSIX_UNPOSTED_*
 *
 * When this returns, no message from before the change will be posted.
 *
 * Context: may sleep; called after the change was made under vec->lock.
 */
static inline void kvm_msix_post_stop(struct kvm_msix_vec *vec,
				      enum kvm_msix_posting why)
{
	if (unlikely(READ_ONCE(vec->posted)))
		kvm_msix_post_stop_posted(vec, why);
}

/* bind.c */
int kvm_msix_bind_vectors(struct kvm_msix_device *dev, u32 first, u32 count,
			  const struct kvm_msix_binding *bindings, u32 flags);
void kvm_msix_unbind_all(struct kvm_msix_device *dev);

/**
 * struct kvm_msix_image - What GET_STATE and SET_STATE copy
 * @table: one entry for each vector
 * @pba: whole 64-bit words
 * @table_size: size of @table in bytes
 * @pba_size: size of @pba in bytes
 * @control: Message Control, only KVM_MSIX_CONTROL_BITS
 */
struct kvm_msix_image {
	struct kvm_msix_entry *table;
	unsigned long *pba;
	u32 table_size;
	u32 pba_size;
	u16 control;
};

/* state.c */
void kvm_msix_write_control(struct kvm_msix_device *dev, u16 control);
void kvm_msix_reset_state(struct kvm_msix_device *dev);
void kvm_msix_save(struct kvm_msix_device *dev, struct kvm_msix_image *image);
void kvm_msix_restore(struct kvm_msix_device *dev,
		      const struct kvm_msix_image *image);

/* gsi.c */
struct kvm_msix_vm *kvm_msix_vm_get(struct kvm *kvm);
void kvm_msix_vm_put(struct kvm_msix_vm *vm);
int kvm_msix_gsi_reserve(struct kvm_msix_vec *vec, int gsi);
void kvm_msix_gsi_commit(struct kvm_msix_device *dev, u32 first, u32 count);
void kvm_msix_gsi_cancel(struct kvm_msix_vec *vec);
void kvm_msix_gsi_sync(struct kvm_msix_device *dev, u32 first, u32 count);
int kvm_msix_set_gsi_routing(struct kvm_msix_device *dev,
			     struct kvm_irq_routing_entry *entries, u32 nr);

/* route.c */
void kvm_msix_route_limit_frees(struct kvm_msix_vm *vm);
void kvm_msix_route_finish_frees(struct kvm_msix_vm *vm);
bool kvm_msix_route_set(struct kvm_msix_vm *vm, int gsi,
			const struct kvm_kernel_irq_routing_entry *want);
int kvm_msix_route_make_room(struct kvm *kvm, int gsi);
int kvm_msix_route_set_table(struct kvm *kvm,
			     const struct kvm_irq_routing_entry *entries,
			     u32 nr, u32 nr_gsis);
int kvm_msix_route_borrow(struct kvm_msix_vm *vm,
			  const struct kvm_kernel_irq_routing_entry *message);
void kvm_msix_route_return(struct kvm_msix_vm *vm, int gsi);

/* stats.c */
int kvm_msix_get_stats_fd(struct kvm_msix_device *dev);
void kvm_msix_stats_show(struct seq_file *m, struct kvm_msix_device *dev);
void kvm_msix_vec_stats_show(struct seq_file *m, struct kvm_msix_vec *vec);

/* debugfs.c */
void kvm_msix_debugfs_init(void);
void kvm_msix_debugfs_exit(void);
void kvm_msix_debugfs_add(struct kvm_msix_device *dev);
void kvm_msix_debugfs_remove(struct kvm_msix_device *dev);

#endif /* _KVM_MSIX_H */
