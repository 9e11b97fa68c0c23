/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * kvm_msix: MSI-X tables of passed-through devices, emulated in the kernel.
 *
 * /dev/kvm_msix answers KVM_MSIX_INFO and KVM_MSIX_CREATE. CREATE returns a
 * device fd: one MSI-X function (table, Pending Bit Array, Message Control) of
 * one VM. All other ioctls belong to the device fd. Closing the device fd is
 * the only way to destroy the function, and always succeeds. A mapping of the
 * fd keeps the function alive as the fd does.
 */
#ifndef _UAPI_LINUX_KVM_MSIX_H
#define _UAPI_LINUX_KVM_MSIX_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KVM_MSIX_TYPE 0xBD

/**
 * DOC: General ioctl format
 *
 * Every ioctl takes a pointer to a struct that begins with the struct's size in
 * bytes, as the caller knows the struct. A struct only ever grows: fields that
 * the kernel knows beyond the caller's size are taken as zero, and bytes that
 * the caller has beyond the kernel's size must be zero. Flags that the kernel
 * does not know and reserved fields must be zero. File descriptors are __s32,
 * user pointers and guest physical addresses __u64. Each __u64 lies at a
 * multiple of 8, and the size of each struct is a multiple of 8, so a struct is
 * the same for 32-bit callers, however it grows.
 *
 * Errors that every ioctl can return, and that change nothing:
 *  - ENOTTY: the ioctl number is unknown, or belongs to the other kind of fd.
 *  - EFAULT: the struct, or memory that it points to, cannot be accessed.
 *  - EINVAL: size is smaller than the struct's first published size, or a field
 *    has an invalid value.
 *  - E2BIG: size is larger than the kernel's, and the rest is not all zero; or
 *    size is larger than a page.
 *  - EOPNOTSUPP: an unknown flag is set, or a reserved field is not zero.
 *  - ENOMEM: out of memory.
 *  - EIO (device fd only): the caller's address space is not the one that
 *    created the VM, or the VM is dead, as for KVM's own fds. mmap() does not
 *    check this: every holder of the fd can map the pages.
 */
enum {
	KVM_MSIX_CMD_BASE = 0x00,
	KVM_MSIX_CMD_INFO = KVM_MSIX_CMD_BASE,
	KVM_MSIX_CMD_CREATE,
	KVM_MSIX_CMD_SET_ADDR,
	KVM_MSIX_CMD_BIND,
	KVM_MSIX_CMD_CONTROL,
	KVM_MSIX_CMD_GET_STATE,
	KVM_MSIX_CMD_SET_STATE,
	KVM_MSIX_CMD_RESET,
	KVM_MSIX_CMD_SET_GSI_ROUTING,
	KVM_MSIX_CMD_GET_STATS_FD,
};

/**
 * enum kvm_msix_capability - Bits of kvm_msix_info.capabilities
 * @KVM_MSIX_CAP_LAZY: KVM_MSIX_CREATE_LAZY can be used.
 * @KVM_MSIX_CAP_EXT_DEST_ID: KVM_MSIX_CREATE_EXT_DEST_ID can be used.
 * @KVM_MSIX_CAP_GSI: kvm_msix_binding.gsi and KVM_MSIX_SET_GSI_ROUTING can be
 *	used.
 * @KVM_MSIX_CAP_MMAP: KVM_MSIX_CREATE_MMAP can be used.
 * @KVM_MSIX_CAP_HOST_POSTS: The host can post interrupts (VT-d with APICv,
 *	AMD's IOMMU with AVIC): a device whose eventfds are given to KVM_IRQFD
 *	interrupts a running vCPU without an exit. No feature to use, but a
 *	reason not to use kvm_msix unless KVM_MSIX_CAP_POSTED is set, too.
 * @KVM_MSIX_CAP_POSTED: The host can post interrupts, and posts those of a
 *	vector whose eventfd VFIO signals, while the vector may send and its
 *	entry does not change. The VMM need not ask for posting.
 * @KVM_MSIX_CAP_STATS: KVM_MSIX_GET_STATS_FD can be used.
 * @KVM_MSIX_CAP_BIND_ADD: KVM_MSIX_BIND_ADD and KVM_MSIX_BIND_REMOVE can be
 *	used: a vector can have several eventfds.
 */
enum kvm_msix_capability {
	KVM_MSIX_CAP_LAZY = 1 << 0,
	KVM_MSIX_CAP_EXT_DEST_ID = 1 << 1,
	KVM_MSIX_CAP_GSI = 1 << 2,
	KVM_MSIX_CAP_MMAP = 1 << 3,
	KVM_MSIX_CAP_HOST_POSTS = 1 << 4,
	KVM_MSIX_CAP_POSTED = 1 << 5,
	KVM_MSIX_CAP_STATS = 1 << 6,
	KVM_MSIX_CAP_BIND_ADD = 1 << 7,
};

/**
 * struct kvm_msix_info - ioctl(/dev/kvm_msix, KVM_MSIX_INFO)
 * @size: sizeof(struct kvm_msix_info)
 * @flags: Must be 0.
 * @capabilities: Out: what this module can do, enum kvm_msix_capability.
 * @max_vectors: Out: the largest nr_vectors that KVM_MSIX_CREATE takes.
 * @max_gsi: Out: the largest GSI that KVM_MSIX_BIND takes.
 *
 * Discovery: a VMM asks for capabilities, never for a version.
 */
struct kvm_msix_info {
	__u32 size;
	__u32 flags;
	__u64 capabilities;
	__u32 max_vectors;
	__u32 max_gsi;
};

#define KVM_MSIX_INFO _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_INFO)

/**
 * enum kvm_msix_create_flags - Flags of KVM_MSIX_CREATE
 * @KVM_MSIX_CREATE_LAZY: The VMM binds a vector only when the guest uses the
 *	vector. A write that unmasks an unbound vector is stored and then also
 *	handed to the VMM, as the MMIO exit that it would be without kvm_msix;
 *	the VMM binds the vector and lets the vCPU go on. If the guest's store
 *	is wider than 8 bytes, the VMM is handed the rest of the store, too,
 *	which has not been stored; the VMM can store the rest by
 *	KVM_MSIX_SET_STATE. A read of the PBA that covers an unbound vector is
 *	also handed to the VMM: only the VMM can ask the device whether that
 *	vector is pending. In a mapped table no access is handed to the VMM; see
 *	kvm_msix_create.unmask_eventfd.
 * @KVM_MSIX_CREATE_EXT_DEST_ID: The VMM offers KVM_FEATURE_MSI_EXT_DEST_ID to
 *	the guest: bits 11:5 of a message's address are bits 14:8 of the
 *	destination id. Needs KVM_CAP_X2APIC_API's 32-bit ids enabled.
 * @KVM_MSIX_CREATE_MMAP: The device fd can be mapped, so that the guest can
 *	have the pages of the table as memory: see struct kvm_msix_create.
 * @KVM_MSIX_CREATE_MMAP_PBA: The mapping includes the PBA. Needs
 *	KVM_MSIX_CREATE_MMAP.
 */
enum kvm_msix_create_flags {
	KVM_MSIX_CREATE_LAZY = 1 << 0,
	KVM_MSIX_CREATE_EXT_DEST_ID = 1 << 1,
	KVM_MSIX_CREATE_MMAP = 1 << 2,
	KVM_MSIX_CREATE_MMAP_PBA = 1 << 3,
};

/**
 * struct kvm_msix_create - ioctl(/dev/kvm_msix, KVM_MSIX_CREATE)
 * @size: sizeof(struct kvm_msix_create)
 * @flags: enum kvm_msix_create_flags
 * @vm_fd: The VM, as KVM_CREATE_VM returned it.
 * @nr_vectors: Number of table entries, 1 to 2048.
 * @table_offset: With KVM_MSIX_CREATE_MMAP: where on its first page the table
 *	begins, a multiple of 16 below 4096. Else 0.
 * @pba_offset: With KVM_MSIX_CREATE_MMAP_PBA: where in the mapping the PBA
 *	begins, a multiple of 8: on the table's pages, or on the page that
 *	follows them. Else 0.
 * @unmask_eventfd: With both KVM_MSIX_CREATE_LAZY and KVM_MSIX_CREATE_MMAP: an
 *	eventfd that is signalled after the guest has unmasked an unbound vector
 *	in the mapped table, while MSI-X is enabled. The VMM then looks at all
 *	vectors, by KVM_MSIX_GET_STATE. If GET_STATE shows a vector masked, the
 *	next unmask of the vector is signalled again; if the VMM unbinds a
 *	vector that is unmasked, that unmask is not signalled. The caller may
 *	close its fd. Else 0.
 * @__reserved: Must be 0.
 *
 * With KVM_MSIX_CREATE_MMAP, mmap() of the fd with MAP_SHARED maps the pages of
 * the table, laid out as in the device: @table_offset + 16 * @nr_vectors bytes,
 * rounded up to whole pages. With KVM_MSIX_CREATE_MMAP_PBA the mapping extends
 * to @pba_offset + 8 bytes for each 64 vectors begun, if that is more. If the
 * device has the PBA on pages of its own, the VMM puts the PBA on the next page
 * of the mapping, at the PBA's offset in its page. Bytes that are neither table
 * nor PBA are memory without a meaning.
 *
 * The VMM makes these pages guest memory by KVM_SET_USER_MEMORY_REGION. The
 * guest then accesses table and PBA without any exit, and an entry is read when
 * its vector has an event. Whether the guest or a process makes the store, the
 * kernel notices each store that unmasks a pending vector, or, in a
 * KVM_MSIX_CREATE_LAZY function while MSI-X is enabled, an unbound vector. That
 * takes some microseconds, or, if other stores came before, at most as long
 * again as the time since those stores (16 times as long for an unbound
 * vector), and never more than some 33 ms. (The exception is a store by a
 * system call of the VMM that keeps a page for longer without pinning the
 * page.) While the pages are not guest memory, guest accesses at the addresses
 * set by KVM_MSIX_SET_ADDR trap.
 *
 * In a mapped PBA the bit of a vector is clear until the vector is bound, and a
 * guest's store to the PBA has no effect. A function with a vector that has a
 * GSI cannot be mapped (mmap() fails with EBUSY), nor can a mapped function
 * have a GSI. mmap() fails with EINVAL beyond the end of the pages and with
 * MAP_PRIVATE.
 *
 * Create a function in its state after power-on: every entry masked and zero,
 * nothing pending, MSI-X disabled, no address set, no vector bound. The
 * function keeps the VM alive: the VM lives until its last function is closed.
 *
 * Return: a new device fd, close-on-exec.
 *  - EBADF: @vm_fd or @unmask_eventfd is not an open file.
 *  - EINVAL: @vm_fd is not a VM; the VM has no in-kernel irqchip; @nr_vectors
 *    is out of range; KVM_MSIX_CREATE_EXT_DEST_ID without 32-bit ids; an offset
 *    is misaligned, out of range, or not 0 without its flag; the PBA overlaps
 *    the table or begins beyond the page that follows the table;
 *    @unmask_eventfd is not an eventfd, or not 0 without its flags.
 *  - EOPNOTSUPP: KVM_MSIX_CREATE_MMAP without KVM_MSIX_CAP_MMAP.
 *  - EIO: another address space created the VM, or the VM is dead.
 *  - EMFILE, ENFILE: no more file descriptors.
 */
struct kvm_msix_create {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 nr_vectors;
	__u32 table_offset;
	__u32 pba_offset;
	__s32 unmask_eventfd;
	__u32 __reserved;
};

#define KVM_MSIX_CREATE _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_CREATE)

/**
 * enum kvm_msix_addr_flags - Flags of KVM_MSIX_SET_ADDR
 * @KVM_MSIX_ADDR_TABLE: The table answers at table_gpa.
 * @KVM_MSIX_ADDR_PBA: The PBA answers at pba_gpa.
 */
enum kvm_msix_addr_flags {
	KVM_MSIX_ADDR_TABLE = 1 << 0,
	KVM_MSIX_ADDR_PBA = 1 << 1,
};

/**
 * struct kvm_msix_addr - ioctl(device fd, KVM_MSIX_SET_ADDR)
 * @size: sizeof(struct kvm_msix_addr)
 * @flags: enum kvm_msix_addr_flags
 * @table_gpa: Guest physical address of the table, a multiple of 8.
 * @pba_gpa: Guest physical address of the PBA, a multiple of 8.
 *
 * Set the addresses of table and PBA, both at once. Without its flag, table or
 * PBA answers nowhere and its address must be 0: use that while the BAR is
 * unset or memory decode is off. The table takes 16 bytes a vector, the PBA 8
 * bytes for each 64 vectors begun. An old address stops answering before a new
 * address starts, and no access to an old address is under way when the ioctl
 * returns. After an error the old addresses still answer; if the guest has
 * moved away from them, call KVM_MSIX_SET_ADDR again, without flags.
 *
 * While a memory slot with the mapping of the fd covers an address, guest
 * accesses go to that memory. The address stays set, and answers again once the
 * slot is removed.
 *
 * Return: 0.
 *  - EINVAL: an address is misaligned, or not 0 without its flag; a range
 *    wraps; table and PBA overlap.
 *  - EEXIST: something else in the VM answers MMIO there: another function, an
 *    ioeventfd, an in-kernel device.
 *  - ENOSPC: the VM has too many in-kernel MMIO devices.
 */
struct kvm_msix_addr {
	__u32 size;
	__u32 flags;
	__u64 table_gpa;
	__u64 pba_gpa;
};

#define KVM_MSIX_SET_ADDR _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_SET_ADDR)

/**
 * struct kvm_msix_binding - What one vector is bound to
 * @eventfd: An eventfd whose every signal is an event of this vector, or -1.
 *	The kernel consumes the signals. The caller may close its fd.
 * @gsi: A GSI whose route is this vector's message, or -1. While the vector may
 *	send, KVM's routing table has exactly that route for the GSI, else none.
 *	On a host with posted interrupts, do not give an eventfd that VFIO
 *	signals to KVM_IRQFD for such a GSI: KVM leaves the interrupt posted
 *	when the route is removed, so a mask would have no effect. BIND the
 *	eventfd instead.
 *
 * An element of the array kvm_msix_bind.bindings. Its size is fixed: it has no
 * field for its size, and never grows.
 */
struct kvm_msix_binding {
	__s32 eventfd;
	__s32 gsi;
};

/**
 * enum kvm_msix_bind_flags - Flags of KVM_MSIX_BIND, one of them at most
 * @KVM_MSIX_BIND_ADD: Bind each eventfd to its vector beside the eventfds and
 *	the GSI that the vector has. To bind an eventfd that the vector has
 *	already changes nothing.
 * @KVM_MSIX_BIND_REMOVE: Unbind each eventfd from its vector, which keeps its
 *	other eventfds and its GSI.
 *
 * With either flag, kvm_msix_binding.gsi must be -1, and a vector whose
 * kvm_msix_binding.eventfd is -1 stays as it is.
 */
enum kvm_msix_bind_flags {
	KVM_MSIX_BIND_ADD = 1 << 0,
	KVM_MSIX_BIND_REMOVE = 1 << 1,
};

/**
 * struct kvm_msix_bind - ioctl(device fd, KVM_MSIX_BIND)
 * @size: sizeof(struct kvm_msix_bind)
 * @flags: enum kvm_msix_bind_flags
 * @first: First vector.
 * @count: Number of vectors, at least 1.
 * @bindings: User pointer to struct kvm_msix_binding[@count].
 *
 * Bind vectors @first to @first + @count - 1, all or none. Without a flag, each
 * new binding replaces the vector's old binding; with neither eventfd nor GSI
 * the vector is unbound. If the eventfd was signalled before BIND, the vector
 * has an event at BIND. A signal that is never consumed (because it came after
 * the eventfd was unbound) stays in the eventfd.
 *
 * A vector has several eventfds if several sources share it, such as queues of
 * a device. A signal of any of them is an event of the vector: while the vector
 * may send, each is a message; while the vector may not send, all of them make
 * one pending bit, and so one message later. Neither the bit nor
 * KVM_MSIX_GET_STATE says from which eventfd an event came. The vector is bound
 * as long as it has an eventfd or a GSI. It is not posted while it has several
 * eventfds.
 *
 * While the vector may not send, an event through the eventfd is latched as
 * pending, but an injection through the GSI (KVM_IRQFD, KVM_IRQ_LINE) is lost:
 * the GSI has no route then.
 *
 * Return: 0.
 *  - EINVAL: the range is empty or not within the table; an fd is not an
 *    eventfd; a GSI is negative (but not -1), above kvm_msix_info.max_gsi, a
 *    pin of a userspace I/O APIC, or given with a flag; both flags are set.
 *  - EBADF: an fd is not an open file.
 *  - ENOENT: KVM_MSIX_BIND_REMOVE of an eventfd that the vector does not have.
 *  - ENOSPC: the function would have more than twice kvm_msix_info.max_vectors
 *    eventfds, with those that the call replaces.
 *  - EBUSY: an eventfd belongs to another vector or a KVM irqfd; a GSI belongs
 *    to another vector, or is given while the function is mapped.
 *  - EEXIST: a GSI has a route that the VMM set.
 */
struct kvm_msix_bind {
	__u32 size;
	__u32 flags;
	__u32 first;
	__u32 count;
	__u64 bindings;
};

#define KVM_MSIX_BIND _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_BIND)

/**
 * struct kvm_msix_control - ioctl(device fd, KVM_MSIX_CONTROL)
 * @size: sizeof(struct kvm_msix_control)
 * @flags: Must be 0.
 * @control: Message Control as the guest wrote it, 16 bits. MSI-X Enable
 *	(bit 15) and Function Mask (bit 14) act, the others are ignored.
 * @__reserved: Must be 0.
 *
 * When the ioctl returns after Enable was cleared or Function Mask set, no
 * further message of the function is sent.
 *
 * Return: 0.
 *  - EINVAL: @control has more than 16 bits.
 */
struct kvm_msix_control {
	__u32 size;
	__u32 flags;
	__u32 control;
	__u32 __reserved;
};

#define KVM_MSIX_CONTROL _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_CONTROL)

/**
 * struct kvm_msix_state - ioctl(device fd, KVM_MSIX_GET_STATE / SET_STATE)
 * @size: sizeof(struct kvm_msix_state)
 * @flags: Must be 0.
 * @nr_vectors: Must be the number that KVM_MSIX_CREATE was given.
 * @control: MSI-X Enable and Function Mask, as in struct kvm_msix_control.
 *	Filled in by GET_STATE.
 * @table: User pointer to 16 * @nr_vectors bytes: the table as the guest reads
 *	it.
 * @pba: User pointer to 8 bytes for each 64 vectors begun: the PBA as the
 *	guest reads it. Bits beyond the last vector must be 0.
 *
 * All that a guest can see of the function, to save and restore. The addresses
 * of table and PBA and the bindings of the vectors belong to the VMM and do not
 * change. To neither lose nor duplicate an interrupt, stop the vCPUs and the
 * device, then GET_STATE, then save the local APICs, then unbind; on the other
 * side CREATE, restore the local APICs, SET_STATE, SET_ADDR, BIND. If a vector
 * is pending and may send, its message is sent: by GET_STATE, before it looks,
 * or by SET_STATE.
 *
 * Return: 0.
 *  - EINVAL: @nr_vectors differs; a PBA bit is set beyond the last vector;
 *    @control has a bit other than MSI-X Enable and Function Mask.
 */
struct kvm_msix_state {
	__u32 size;
	__u32 flags;
	__u32 nr_vectors;
	__u32 control;
	__u64 table;
	__u64 pba;
};

#define KVM_MSIX_GET_STATE _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_GET_STATE)
#define KVM_MSIX_SET_STATE _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_SET_STATE)

/**
 * struct kvm_msix_reset - ioctl(device fd, KVM_MSIX_RESET)
 * @size: sizeof(struct kvm_msix_reset)
 * @flags: Must be 0.
 *
 * Set table, PBA and Message Control to their state after power-on. Addresses
 * and bindings stay. When the ioctl returns, no further message of the old
 * state is sent.
 *
 * Return: 0.
 */
struct kvm_msix_reset {
	__u32 size;
	__u32 flags;
};

#define KVM_MSIX_RESET _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_RESET)

/**
 * struct kvm_msix_gsi_routing - ioctl(device fd, KVM_MSIX_SET_GSI_ROUTING)
 * @size: sizeof(struct kvm_msix_gsi_routing)
 * @flags: Must be 0.
 * @nr: Number of entries, 0 to 4096.
 * @__reserved: Must be 0.
 * @entries: User pointer to struct kvm_irq_routing_entry[@nr] (linux/kvm.h).
 *
 * KVM_SET_GSI_ROUTING for a VM that has functions with GSIs bound: sets the
 * whole table to @entries and the routes of all functions of the VM, in one
 * step. KVM_SET_GSI_ROUTING itself would remove the functions' routes, each
 * until its vector's next change. Any device fd of the VM can be used.
 *
 * Return: 0.
 *  - EINVAL: @nr is too large, or KVM refuses an entry.
 *  - EEXIST: an entry names a GSI that is bound to a vector.
 */
struct kvm_msix_gsi_routing {
	__u32 size;
	__u32 flags;
	__u32 nr;
	__u32 __reserved;
	__u64 entries;
};

#define KVM_MSIX_SET_GSI_ROUTING \
	_IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_SET_GSI_ROUTING)

/**
 * struct kvm_msix_stats_fd - ioctl(device fd, KVM_MSIX_GET_STATS_FD)
 * @size: sizeof(struct kvm_msix_stats_fd)
 * @flags: Must be 0.
 *
 * Get a read-only fd with the function's statistics, in the format of
 * KVM_GET_STATS_FD (linux/kvm.h): struct kvm_stats_header, the id string, the
 * descriptors, the data. The id is "kvm_msix-PID-NUMBER", as the function is
 * named in debugfs. Any process that has the fd may read it, by read() or
 * pread(). The fd does not keep the function alive: once the device fd is
 * closed, the stats fd reads the last values. It keeps the module loaded.
 *
 * A statistic of the function has one value, a statistic of its vectors has
 * nr_vectors values, one for each vector. Which statistics there are, and in
 * which order, may change; go by their names. Of the function:
 *  - reads, writes: accesses of the guest to table and PBA that the kernel
 *    answered
 *  - rejected: misaligned accesses
 *  - protected, faults: how often the pages of a mapped table were
 *    write-protected, and stores that faulted for that
 *  - told: how often unmask_eventfd was signalled
 *
 * Of each vector:
 *  - mask_changes: how often the guest changed the mask bit; not by stores to a
 *    mapped table
 *  - events: signals of the eventfd
 *  - latched: events that set the pending bit
 *  - coalesced: events that found the pending bit set
 *  - released: how often the pending bit was cleared to send the message
 *  - delivered: messages that a vCPU's APIC took. KVM does not tell whether the
 *    APIC merged a message with one that the vCPU had not taken yet.
 *  - dropped: messages that no APIC took; the sum of dropped_address (no MSI
 *    address), dropped_mode (a reserved delivery mode) and dropped_destination
 *    (no such APIC, or the APIC is switched off)
 *  - posts, unposts: how often the vector was posted, and remapped after that
 *  - posted, pending: 1 if the vector is, else 0
 *  - event_age: milliseconds since the last event, 0 if there was none
 *  - pending_age: milliseconds since the pending bit was set, 0 if it is clear
 *
 * events - latched - coalesced + released = delivered + dropped, unless an
 * event comes while the values are read. Messages that are posted, or injected
 * through a GSI, are not counted. Times are exact to a tick of the host.
 *
 * Return: a new fd, close-on-exec.
 *  - EMFILE, ENFILE: no more file descriptors.
 */
struct kvm_msix_stats_fd {
	__u32 size;
	__u32 flags;
};

#define KVM_MSIX_GET_STATS_FD _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_GET_STATS_FD)

#endif /* _UAPI_LINUX_KVM_MSIX_H */
