/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * kvm_msix: MSI-X tables of passed-through devices, emulated in the kernel.
 *
 * /dev/kvm_msix answers KVM_MSIX_INFO and KVM_MSIX_CREATE. CREATE returns a
 * device fd: one MSI-X function (table, Pending Bit Array, Message Control) of
 * one VM. All other ioctls are the device fd's. Closing it is the only way to
 * destroy the function, and always succeeds. A mapping of the fd holds the
 * function as the fd does.
 */
#ifndef _UAPI_LINUX_KVM_MSIX_H
#define _UAPI_LINUX_KVM_MSIX_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KVM_MSIX_TYPE 0xBD

/**
 * DOC: General ioctl format
 *
 * Every ioctl takes a pointer to a struct that begins with its own size in
 * bytes, as the caller knows it. A struct only ever grows: what the kernel
 * knows beyond the caller's size is taken as zero, and what the caller has
 * beyond the kernel's must be zero. All flags and reserved fields the kernel
 * does not know must be zero. File descriptors are __s32, user pointers and
 * guest physical addresses __u64.
 *
 * Errors that every ioctl can return, and that change nothing:
 *  - ENOTTY: the ioctl number is unknown, or belongs to the other kind of fd.
 *  - EFAULT: the struct, or memory that it points to, cannot be accessed.
 *  - EINVAL: size is smaller than the struct's first published one, or a field
 *    has a value that cannot be.
 *  - E2BIG: size is larger than the kernel's, and the rest is not all zero; or
 *    size is larger than a page.
 *  - EOPNOTSUPP: an unknown flag is set, or a reserved field is not zero.
 *  - ENOMEM: out of memory.
 *  - EIO (device fd only): the caller does not live in the address space that
 *    created the VM, or the VM is dead. KVM's own fds answer the same. mmap()
 *    does not look: who has the fd can map it.
 */
enum {
	KVM_MSIX_CMD_BASE = 0x00,
	KVM_MSIX_CMD_INFO = KVM_MSIX_CMD_BASE,
	KVM_MSIX_CMD_CREATE,
	KVM_MSIX_CMD_LOCATE,
	KVM_MSIX_CMD_BIND,
	KVM_MSIX_CMD_CONTROL,
	KVM_MSIX_CMD_GET_STATE,
	KVM_MSIX_CMD_SET_STATE,
	KVM_MSIX_CMD_RESET,
	KVM_MSIX_CMD_SET_GSI_ROUTING,
};

/**
 * enum kvm_msix_capability - Bits of kvm_msix_info.capabilities
 * @KVM_MSIX_CAP_LAZY: KVM_MSIX_CREATE_LAZY can be used.
 * @KVM_MSIX_CAP_EXT_DEST_ID: KVM_MSIX_CREATE_EXT_DEST_ID can be used.
 * @KVM_MSIX_CAP_GSI: kvm_msix_vector.gsi and KVM_MSIX_SET_GSI_ROUTING can be
 *	used.
 * @KVM_MSIX_CAP_MMAP: KVM_MSIX_CREATE_MMAP can be used.
 * @KVM_MSIX_CAP_HOST_POSTS: Nothing that can be used, but a reason not to: the
 *	host can post interrupts (VT-d with APICv, AMD's IOMMU with AVIC). A device
 *	whose eventfds KVM_IRQFD has interrupts a running vCPU without an exit
 *	there; one whose eventfds are bound to vectors does not.
 */
enum kvm_msix_capability {
	KVM_MSIX_CAP_LAZY = 1 << 0,
	KVM_MSIX_CAP_EXT_DEST_ID = 1 << 1,
	KVM_MSIX_CAP_GSI = 1 << 2,
	KVM_MSIX_CAP_MMAP = 1 << 3,
	KVM_MSIX_CAP_HOST_POSTS = 1 << 4,
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
	__aligned_u64 capabilities;
	__u32 max_vectors;
	__u32 max_gsi;
};

#define KVM_MSIX_INFO _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_INFO)

/**
 * enum kvm_msix_create_flags - Flags of KVM_MSIX_CREATE
 * @KVM_MSIX_CREATE_LAZY: The VMM binds a vector only when the guest uses it.
 *	A write that unmasks an unbound vector is stored and then also handed
 *	to the VMM as the MMIO exit it would be without kvm_msix; the VMM binds
 *	the vector and lets the vCPU go on. Of a store wider than 8 bytes the
 *	VMM is then handed the rest as well, which has not been stored; it can
 *	do so by KVM_MSIX_SET_STATE. A read of the PBA that covers an
 *	unbound vector is handed to the VMM as well: only the VMM can ask the
 *	device whether that vector is pending. In a mapped table no access is
 *	handed over; see kvm_msix_create.unmask_eventfd.
 * @KVM_MSIX_CREATE_EXT_DEST_ID: The VMM offers KVM_FEATURE_MSI_EXT_DEST_ID to
 *	the guest: bits 11:5 of a message's address are bits 14:8 of the
 *	destination id. Needs KVM_CAP_X2APIC_API's 32-bit ids enabled.
 * @KVM_MSIX_CREATE_MMAP: The device fd can be mapped, so that the guest can have
 *	the pages of the table as memory: see struct kvm_msix_create.
 * @KVM_MSIX_CREATE_MMAP_PBA: The mapping has the PBA as well. Needs
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
 *	in the mapped table, while MSI-X is enabled. The VMM looks at all vectors
 *	then, by KVM_MSIX_GET_STATE: what that shows masked it will be told of
 *	again, what it unbinds unmasked it will not. The caller may close its fd.
 *	Else 0.
 *
 * With KVM_MSIX_CREATE_MMAP, mmap() of the fd with MAP_SHARED gives the pages
 * that the table is on, laid out as in the device: @table_offset + 16 *
 * @nr_vectors bytes, rounded up to whole pages; and with KVM_MSIX_CREATE_MMAP_PBA
 * whatever more @pba_offset + 8 bytes for each 64 vectors begun need. A VMM whose
 * device has the PBA on pages of its own gives it the next page of the mapping,
 * keeping its offset in the page. What is neither table nor PBA is memory without
 * a meaning.
 *
 * The VMM makes these pages guest memory by KVM_SET_USER_MEMORY_REGION. The guest
 * then accesses table and PBA without any exit, and an entry is read when its
 * vector has an event. A store that unmasks a pending vector, or an unbound one of
 * a KVM_MSIX_CREATE_LAZY function while MSI-X is enabled, is noticed by whomever
 * it is made, some microseconds after it, or, if other stores came before it, at
 * the latest when as much time again has passed since these (16 times as much for
 * an unbound vector), and never more than some 33 ms after it. (Not so a store
 * through a page that the VMM has had pinned for longer.) While the pages are no
 * guest memory, guest accesses trap where KVM_MSIX_LOCATE says that table and
 * PBA are.
 *
 * In a mapped PBA the bit of a vector is clear until the vector is bound, and what
 * the guest stores there has no effect. A function with a vector that has a GSI
 * cannot be mapped (mmap() fails with EBUSY), nor a mapped one have a GSI. mmap()
 * fails with EINVAL beyond the end of the pages and with MAP_PRIVATE.
 *
 * Create a function in its state after power-on: every entry masked and zero,
 * nothing pending, MSI-X disabled, located nowhere, no vector bound. It holds
 * the VM: the VM lives until the last function of it is closed.
 *
 * Return: a new device fd, close-on-exec.
 *  - EBADF: @vm_fd or @unmask_eventfd is not an open file.
 *  - EINVAL: @vm_fd is not a VM; the VM has no in-kernel irqchip; @nr_vectors
 *    is out of range; KVM_MSIX_CREATE_EXT_DEST_ID without 32-bit ids; an
 *    offset is misaligned, out of range, or not 0 without its flag; the PBA
 *    overlaps the table or begins beyond the page that follows the table;
 *    @unmask_eventfd is no eventfd, or not 0 without its flags.
 *  - EOPNOTSUPP: KVM_MSIX_CREATE_MMAP without KVM_MSIX_CAP_MMAP.
 *  - EIO: the VM is another address space's, or dead.
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
};

#define KVM_MSIX_CREATE _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_CREATE)

/**
 * enum kvm_msix_locate_flags - Flags of KVM_MSIX_LOCATE
 * @KVM_MSIX_LOCATE_TABLE: The table answers at table_gpa.
 * @KVM_MSIX_LOCATE_PBA: The PBA answers at pba_gpa.
 */
enum kvm_msix_locate_flags {
	KVM_MSIX_LOCATE_TABLE = 1 << 0,
	KVM_MSIX_LOCATE_PBA = 1 << 1,
};

/**
 * struct kvm_msix_locate - ioctl(device fd, KVM_MSIX_LOCATE)
 * @size: sizeof(struct kvm_msix_locate)
 * @flags: enum kvm_msix_locate_flags
 * @table_gpa: Guest physical address of the table, a multiple of 8.
 * @pba_gpa: Guest physical address of the PBA, a multiple of 8.
 *
 * Say where table and PBA are, both at once: what has no flag is nowhere (its
 * address must be 0), as while the BAR is unset or memory decode off. The
 * table takes 16 bytes a vector, the PBA 8 bytes for each 64 vectors begun. An
 * address given up stops answering before a new one starts, and no access to
 * it is under way when the ioctl returns. After an error the old addresses
 * still answer; a VMM whose guest has left them says nowhere next.
 *
 * Where the VMM has made the mapping of the fd guest memory, KVM does not ask
 * here. The addresses answer beneath, for when that memory goes.
 *
 * Return: 0.
 *  - EINVAL: misaligned; the range wraps; table and PBA overlap; an address
 *    without its flag.
 *  - EEXIST: something else in the VM answers MMIO there: another function, an
 *    ioeventfd, an in-kernel device.
 *  - ENOSPC: the VM has too many in-kernel MMIO devices.
 */
struct kvm_msix_locate {
	__u32 size;
	__u32 flags;
	__aligned_u64 table_gpa;
	__aligned_u64 pba_gpa;
};

#define KVM_MSIX_LOCATE _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_LOCATE)

/**
 * struct kvm_msix_vector - What one vector is bound to
 * @eventfd: An eventfd whose every signal is an event of this vector, or -1.
 *	The kernel consumes the signals. The caller may close its fd.
 * @gsi: A GSI whose route is this vector's message, or -1. While the vector
 *	may send, KVM's routing table has exactly that route for the GSI, else
 *	none. Do not give KVM_IRQFD an eventfd that VFIO signals for such a
 *	GSI on a host with posted interrupts: KVM leaves the interrupt posted
 *	when the route goes, so a mask would have no effect. BIND the eventfd.
 */
struct kvm_msix_vector {
	__s32 eventfd;
	__s32 gsi;
};

/**
 * struct kvm_msix_bind - ioctl(device fd, KVM_MSIX_BIND)
 * @size: sizeof(struct kvm_msix_bind)
 * @flags: Must be 0.
 * @first: First vector.
 * @count: Number of vectors, at least 1.
 * @vectors: User pointer to struct kvm_msix_vector[@count].
 *
 * Bind vectors @first to @first + @count - 1, all or none, in place of what
 * each was bound to; neither eventfd nor GSI unbinds. An eventfd that was
 * signalled before is an event now. An event that is never consumed (because
 * it came after the vector was unbound) stays in the eventfd.
 *
 * An event through the eventfd is latched as pending while the vector may not
 * send. An injection through the GSI (KVM_IRQFD, KVM_IRQ_LINE) at such a time
 * is not latched but lost: the GSI has no route then.
 *
 * Return: 0.
 *  - EINVAL: the range is empty or not within the table; an fd is not an
 *    eventfd; a GSI is negative (but not -1), above kvm_msix_info.max_gsi, or
 *    a pin of a userspace I/O APIC.
 *  - EBADF: an fd is not an open file.
 *  - EBUSY: an eventfd is another vector's or a KVM irqfd's; a GSI is another
 *    vector's, or is to be one of a mapped function.
 *  - EEXIST: a GSI has a route of the VMM's.
 */
struct kvm_msix_bind {
	__u32 size;
	__u32 flags;
	__u32 first;
	__u32 count;
	__aligned_u64 vectors;
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
 * later message of the function exists.
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
 * @nr_vectors: Must be what KVM_MSIX_CREATE was given.
 * @control: MSI-X Enable and Function Mask, as in struct kvm_msix_control.
 *	Filled in by GET_STATE.
 * @table: User pointer to 16 * @nr_vectors bytes: the table as the guest reads
 *	it.
 * @pba: User pointer to 8 bytes for each 64 vectors begun: the PBA as the
 *	guest reads it. Bits beyond the last vector must be 0.
 *
 * All that a guest can see of the function, to save and restore it. Where it
 * is located and what its vectors are bound to is the VMM's, and stays as it
 * is. To lose and to double nothing, stop the vCPUs and the device, then
 * GET_STATE, then unbind; on the other side CREATE, SET_STATE, LOCATE, BIND.
 * SET_STATE may deliver: a vector that is pending in the new state and may send.
 *
 * Return: 0.
 *  - EINVAL: @nr_vectors differs; a PBA bit is set beyond the last vector;
 *    @control has a bit other than the two.
 */
struct kvm_msix_state {
	__u32 size;
	__u32 flags;
	__u32 nr_vectors;
	__u32 control;
	__aligned_u64 table;
	__aligned_u64 pba;
};

#define KVM_MSIX_GET_STATE _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_GET_STATE)
#define KVM_MSIX_SET_STATE _IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_SET_STATE)

/**
 * struct kvm_msix_reset - ioctl(device fd, KVM_MSIX_RESET)
 * @size: sizeof(struct kvm_msix_reset)
 * @flags: Must be 0.
 *
 * Table, PBA and Message Control as after power-on. Location and bindings stay.
 * No message of the old state is sent after the ioctl returned.
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
 * step. KVM_SET_GSI_ROUTING itself would take those away, each until its
 * vector's next change. Any device fd of the VM serves.
 *
 * Return: 0.
 *  - EINVAL: @nr is too large, or KVM does not take an entry.
 *  - EEXIST: an entry names a GSI that is a vector's.
 */
struct kvm_msix_gsi_routing {
	__u32 size;
	__u32 flags;
	__u32 nr;
	__u32 __reserved;
	__aligned_u64 entries;
};

#define KVM_MSIX_SET_GSI_ROUTING \
	_IO(KVM_MSIX_TYPE, KVM_MSIX_CMD_SET_GSI_ROUTING)

#endif /* _UAPI_LINUX_KVM_MSIX_H */
