/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of the whole module: random operations on functions in VMs with
 * real vCPUs, each compared with what a model predicts (fuzz_test.c), and such
 * operations by many threads at once, which the kernel's own checks judge
 * (fuzz_threads.c).
 *
 * An operation is a number and a seed. Number, seed and earlier operations
 * determine what the operation does, so that a sequence of operations can be
 * repeated, stored, and changed in one place.
 */
#ifndef SELFTEST_KVM_MSIX_FUZZ_H
#define SELFTEST_KVM_MSIX_FUZZ_H

#include "kvm_msix_util.h"
#include "../../kvm_msix/model.h"

#define FUZZ_DEVS	3
#define FUZZ_EVENTS	6
#define FUZZ_GHOSTS	64
#define FUZZ_BELLS	3
#define FUZZ_GSIS	4096
#define FUZZ_AREAS	3
#define FUZZ_SLOTS	3
#define FUZZ_OPS	120
/* A vCPU that never runs. */
#define FUZZ_IDLE_CPU	9

struct rng {
	u64 state;
};

static inline u64 rnd(struct rng *r)
{
	return msix_random(&r->state);
}

static inline u32 pick(struct rng *r, u32 n)
{
	return rnd(r) % n;
}

static inline bool one_in(struct rng *r, u32 n)
{
	return !pick(r, n);
}

struct op {
	u32 kind;
	u32 seed;
};

struct sequence {
	u32 nr;
	struct op op[FUZZ_OPS];
};

/*
 * The guest: an interpreter of single accesses (fuzz_guest.c).
 */

enum guest_insn {
	INSN_NOP,
	INSN_READ,	/* mov, 1 to 8 bytes */
	INSN_WRITE,
	INSN_READ16,	/* movups */
	INSN_WRITE16,
	INSN_MOVS_TO,	/* rep movs */
	INSN_MOVS_FROM,
	INSN_STOS,
	INSN_OR,	/* read, modify, write */
	INSN_LOCK_OR,
	INSN_XCHG,
	INSN_PUSH,
	INSN_POP,
	NR_INSNS
};

struct access {
	enum guest_insn insn;
	u64 gpa;
	u32 width;
	u32 count;
	u64 val[2];
	u8 buf[256];
};

void fuzz_guest_code(void);
/* Make the access on the VM's current vCPU. A read stores to val or buf. */
void fuzz_guest_access(struct msix_vm *m, struct access *a);
/*
 * Make each byte harmless that may become part of a message's data: SMI, INIT
 * and vectors of exceptions would derail a running vCPU. Vector 0, which a reset
 * leaves in an entry, has a handler.
 */
u32 fuzz_tame_data(u32 data);
void fuzz_tame_access(struct access *a, u64 table, u32 size);
/* A random access to the region of @size bytes at @gpa, or near the region. */
void fuzz_draw_access(struct rng *r, struct access *a, u64 gpa, u32 size);
u32 fuzz_access_bytes(const struct access *a);

/*
 * ioctls, with their structs anywhere in memory (fuzz_ioctl.c).
 */

struct fuzz_cmd {
	unsigned long cmd;
	u32 size;
	u32 flags;	/* the known flags */
	u32 reserved;	/* offset of a reserved field, or 0 */
	bool on_node;	/* on /dev/kvm_msix, not on a device fd */
	bool out;
};

extern const struct fuzz_cmd fuzz_cmds[];
extern const u32 fuzz_nr_cmds;

void fuzz_ioctl_init(void);
/*
 * As ioctl(), with a copy of the struct: unaligned, at the end of a page, or
 * longer than needed. Returns an errno, and ioctl()'s result in *ret.
 */
int fuzz_ioctl(struct rng *r, int fd, unsigned long cmd, void *arg, u32 size, int *ret);
/* Break a rule of all ioctls. Returns the text of the rule, or NULL: no call. */
const char *fuzz_bad_ioctl(struct rng *r, int node, int dev);
/* An address where no byte, or only the first ones, can be read. */
void *fuzz_bad_pointer(struct rng *r, u32 size);
/* @size bytes that end where a page ends; @slot 0 or 1. */
void *fuzz_tight(u32 slot, u32 size);
/* A file descriptor that is no eventfd; *err is BIND's errno for it. */
int fuzz_bad_fd(struct rng *r, int *err);

/*
 * Coverage (fuzz_kcov.c): off without KCOV in kernel and module.
 */

void fuzz_kcov_init(void);
bool fuzz_kcov_on(void);
void fuzz_kcov_thread(void);
/* Record the blocks that the thread has reached; returns how many were new. */
u32 fuzz_kcov_collect(void);
u32 fuzz_kcov_total(void);

/*
 * Failures: @fmt and the operations that led to the failure are printed.
 */

void fuzz_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void __attribute__((noreturn, format(printf, 1, 2))) fuzz_fail(const char *fmt, ...);

#define EXPECT_SAME(what, model, kernel)						\
do {											\
	unsigned long long __model = (model), __kernel = (kernel);			\
											\
	if (__model != __kernel)							\
		fuzz_fail("%s: the model says %#llx, the kernel %#llx", what,		\
			  __model, __kernel);						\
} while (0)

/*
 * The world and its model; fuzz_ops.h has the operations on both.
 */

enum fuzz_stat {
	STAT_READS,
	STAT_WRITES,
	STAT_REJECTED,
	STAT_MASK_CHANGES,
	STAT_EVENTS,
	STAT_LATCHED,
	STAT_COALESCED,
	STAT_RELEASED,
	STAT_DELIVERED,
	STAT_DROPPED,
	STAT_PROTECTED,
	STAT_FAULTS,
	STAT_TOLD,
	NR_STATS
};

extern const char *const fuzz_stat_names[NR_STATS];

struct fuzz_dev;
struct fuzz_vm;

struct fuzz_vec {
	struct fuzz_dev *dev;
	u32 nr_events;
	int gsi;
};

/**
 * struct fuzz_event - An eventfd
 * @fd: -1: closed by the VMM
 * @semaphore: a read decrements the counter by one
 * @count: the counter
 * @vec: the vector that consumes the events, or NULL
 * @irqfd: else the GSI of KVM's irqfd that does, or -1
 */
struct fuzz_event {
	int fd;
	bool semaphore;
	u64 count;
	struct fuzz_vec *vec;
	int irqfd;
};

/* A pending vector that a write to memory unmasked; the kernel notices later. */
struct fuzz_late {
	bool is;
	bool unsure;	/* the message has changed since */
	u64 address;
	u32 data;
};

/* Has the VMM been told that an unbound vector is unmasked? */
enum fuzz_tell {
	UNTOLD,
	DUE,
	MAYBE_TOLD,
	TOLD,
};

/**
 * struct fuzz_dev - A function
 * @fd: the device fd, or -1
 * @pages: number of pages that can be mapped
 * @table_pages: number of pages that have a part of the table
 * @table_offset: offset of the table in @pages
 * @pba_offset: offset of the PBA in @pages, if the PBA is mapped
 * @rest: the pages but for the table: the guest-visible PBA, and memory
 * @no_gsi: never bind a GSI, which would keep the function from being mapped
 * @drawn: the guest-visible PBA was written in this operation
 * @late: by vector; empty between operations
 * @unmask_event: the unmask_eventfd, or -1
 * @tell: by vector
 * @may_tell: number of signals of @unmask_event that may come
 * @told: number of signals that have come
 * @unsure: messages that may have been delivered or dropped
 * @stats_fd: the function's counters in debugfs
 */
struct fuzz_dev {
	int fd;
	struct fuzz_vm *vm;
	u32 flags;
	u64 table;
	u64 pba;
	u32 pages;
	u32 table_pages;
	u32 table_offset;
	u32 pba_offset;
	u8 *rest;
	bool no_gsi;
	bool drawn;
	struct model m;
	struct fuzz_vec vec[MODEL_MAX_VECTORS];
	struct fuzz_late late[MODEL_MAX_VECTORS];
	u32 nr_late;
	int unmask_event;
	enum fuzz_tell tell[MODEL_MAX_VECTORS];
	u64 may_tell;
	u64 told;
	u64 stat[NR_STATS];
	u64 unsure;
	int id;
	int stats_fd;
};

enum fuzz_route_kind {
	ROUTE_NONE,
	ROUTE_CHIP,
	ROUTE_MSI,
};

struct fuzz_route {
	enum fuzz_route_kind kind;
	u64 address;
	u32 data;
};

/* An ioeventfd. */
struct fuzz_bell {
	struct fuzz_event *event;
	u64 gpa;
	u32 len;
};

/**
 * struct fuzz_area - Where a function can be mapped in this process
 * @mem: address
 * @dev: the function that is mapped, or NULL: a hole
 * @first: the first page of @dev that is mapped
 * @pages: the number of mapped pages
 * @writable: the mapping is writable
 */
struct fuzz_area {
	u8 *mem;
	struct fuzz_dev *dev;
	u32 first;
	u32 pages;
	bool writable;
};

/**
 * struct fuzz_slot - Guest memory: pages of an area, whatever is mapped there
 * @gpa: where the guest has the pages
 * @pages: number of pages; 0: no memory
 * @area: the area
 * @first: the page of the area at @gpa
 * @read_only: the guest's writes exit, and do not change memory
 * @log: KVM logs the pages that the guest writes to
 * @dirty: bit n: the guest has written to page n since the log was read
 */
struct fuzz_slot {
	u64 gpa;
	u32 pages;
	u32 area;
	u32 first;
	bool read_only;
	bool log;
	u32 dirty;
};

/**
 * struct fuzz_vm - A VM
 * @m: the VM with vCPUs, or NULL
 * @bare: else the VM without vCPUs
 * @fd: the VM's fd, or -1: closed by the VMM
 * @pins: number of GSIs that belong to a userspace I/O APIC
 * @nr_routes: size of KVM's routing table
 */
struct fuzz_vm {
	struct msix_vm *m;
	struct kvm_vm *bare;
	int fd;
	bool x2apic_format;
	u32 pins;
	u32 nr_routes;
	struct fuzz_route route[FUZZ_GSIS];
	struct fuzz_vec *owner[FUZZ_GSIS];
	struct fuzz_bell bell[FUZZ_BELLS];
	struct fuzz_slot slot[FUZZ_SLOTS];
	u64 irqs[2][256];
};

/**
 * struct world - All objects of one sequence
 * @vm: a VM with vCPUs, and a VM without
 * @ghost: eventfds that the VMM has closed and a vector may still have
 * @sent: messages sent in this operation, by vCPU and interrupt vector
 * @unsure: other messages may have been sent in this operation
 * @by_guest: the guest ran during the operation
 * @flush: the eventfd of a KVM irqfd that was signalled
 * @nr_exits: number of MMIO exits that are expected
 */
struct world {
	int node;
	bool can_map;
	bool irqfds_are_exclusive;
	struct fuzz_vm *vm[2];
	struct fuzz_dev *dev[FUZZ_DEVS];
	struct fuzz_event event[FUZZ_EVENTS];
	struct fuzz_event ghost[FUZZ_GHOSTS];
	u32 nr_ghosts;
	struct fuzz_area area[FUZZ_AREAS];
	u32 sent[2][256];
	bool unsure;
	bool by_guest;
	struct fuzz_event *flush;
	struct mmio_exit exit[64];
	u32 nr_exits;
};

/*
 * What operations should do (fuzz_expect.c).
 */

enum fuzz_message {
	MESSAGE_NEVER,	/* dropped by the module */
	MESSAGE_EXACT,	/* one interrupt on one of the vCPUs that run */
	MESSAGE_UNSURE,
};

enum fuzz_message fuzz_classify(const struct fuzz_vm *vm, u64 address, u32 data, u32 *cpu);

bool fuzz_vec_bound(const struct fuzz_vec *vec);
void fuzz_expect_control(struct world *w, struct fuzz_dev *d, u16 control);
void fuzz_expect_reset(struct world *w, struct fuzz_dev *d);
void fuzz_expect_signal(struct world *w, struct fuzz_event *e, u64 n);
void fuzz_expect_event(struct world *w, struct fuzz_vec *vec);
/* A pending vector sends its message: the current one, or that of @late. */
void fuzz_expect_release(struct world *w, struct fuzz_dev *d, u32 v, const struct fuzz_late *late);
int fuzz_expect_set_addr(struct fuzz_dev *d, u32 flags, u64 table, u64 pba);
int fuzz_expect_bind(struct world *w, struct fuzz_dev *d, u32 flags, u32 first, u32 count,
		     const struct kvm_msix_binding *bindings, struct fuzz_event **events,
		     const int *errs);
void fuzz_forget_events(struct world *w, struct fuzz_vec *vec);
void fuzz_expect_routing(struct fuzz_vm *vm, u32 nr, const struct kvm_irq_routing_entry *e,
			 bool through_module);
void fuzz_expect_inject(struct world *w, struct fuzz_vm *vm, u32 gsi);
void fuzz_sync_routes(struct fuzz_dev *d, u32 first, u32 count);
void fuzz_default_routes(struct fuzz_vm *vm);
bool fuzz_occupied(const struct fuzz_vm *vm, const struct world *w, const struct fuzz_dev *but,
		   u64 gpa, u32 size);
/* The guest's accesses (fuzz_access.c). */
void fuzz_expect_access(struct world *w, struct fuzz_vm *vm, struct access *a, bool *known);

/*
 * Comparison (fuzz_compare.c).
 */

/* Fail if anything that can be seen of the world differs from the model. */
void fuzz_compare(struct world *w);
/* The value of a counter in debugfs. */
u64 fuzz_stat(const struct fuzz_dev *d, enum fuzz_stat stat);

/*
 * Beginning and end (fuzz_world.c).
 */

struct world *fuzz_world_new(int vm_kind, struct rng *r);
void fuzz_world_free(struct world *w);
void fuzz_dev_find_stats(struct fuzz_dev *d, struct world *w);
void fuzz_dev_close(struct world *w, u32 i, bool fd_first);

/*
 * Tables that are guest memory: mappings and memory slots (fuzz_mapped.c).
 */

#define FUZZ_PAGE	4096u
/* For a table that begins inside its first page, and a PBA on two more pages. */
#define FUZZ_AREA_PAGES	11

void fuzz_areas_init(struct world *w);
/* Map @pages pages of @d from @first on; if @d is NULL, make a hole. Returns an errno. */
int fuzz_map(struct world *w, u32 area, struct fuzz_dev *d, u32 first, u32 pages, int prot,
	     int flags);
void fuzz_unmap_dev(struct world *w, struct fuzz_dev *d);
bool fuzz_mapped(const struct world *w, const struct fuzz_dev *d);
/* Move the mapping of an area to another area; with @copy, keep the old mapping. */
void fuzz_move_area(struct world *w, u32 from, u32 to, bool copy);
/* Make a hole of all pages of an area but the first @pages. */
void fuzz_cut_area(struct world *w, u32 area, u32 pages);
void fuzz_protect_area(struct world *w, u32 area, bool writable);
/*
 * Set memory slot @i of a VM, and delete the slot first if it has other memory;
 * @slot NULL: only delete the slot.
 */
void fuzz_set_slot(struct world *w, struct fuzz_vm *vm, u32 i, const struct fuzz_slot *slot);
/* Is the range free of slots, not counting slot @but? FUZZ_SLOTS: count all slots. */
bool fuzz_slot_free(const struct fuzz_vm *vm, u32 but, u64 gpa, u32 pages);
struct fuzz_slot *fuzz_slot_at(struct fuzz_vm *vm, u64 gpa);
/* Fail if KVM has not logged a page that the guest has written to. */
void fuzz_read_log(struct world *w, struct fuzz_vm *vm, u32 i);
/* Can the guest make the access? Each slot in the range needs a mapping that allows it. */
bool fuzz_reachable(const struct world *w, struct fuzz_vm *vm, const struct access *a);
/* As fuzz_tame_access(), for an access to memory, where tables are aligned. */
bool fuzz_tame_memory(struct fuzz_vm *vm, struct access *a);
/* The guest accesses bytes of one page of guest memory. */
void fuzz_memory_access(struct world *w, struct fuzz_vm *vm, bool write, u64 gpa, u32 len,
			u8 *bytes);
/* The VMM writes bytes of the pages of @d, from byte @at on. */
void fuzz_poke(struct world *w, struct fuzz_dev *d, u32 at, u32 len, const u8 *bytes);
/* Update the guest-visible PBA: the pending bit of @v, or all pending bits. */
void fuzz_picture(struct fuzz_dev *d, u32 v);
void fuzz_picture_all(struct fuzz_dev *d);
u64 fuzz_pba_read(struct fuzz_dev *d, u32 offset, u32 len);
/* Make vector @v no longer late; returns whether the vector was late. */
bool fuzz_take_late(struct fuzz_dev *d, u32 v);
/* Wait until the kernel has noticed all writes to memory: no vector is late. */
void fuzz_settle(struct world *w);
void fuzz_compare_areas(struct world *w);

/*
 * Signals of unmask_eventfd (fuzz_told.c). Call fuzz_told_*() before the kernel
 * makes the change.
 */

/* Does the kernel look for unbound vectors that are unmasked? */
bool fuzz_tells(const struct fuzz_dev *d);
/* A vector's entry is written, in memory or by a trapped access. */
void fuzz_told_write(struct fuzz_dev *d, u32 v, bool was_masked, bool trapped);
/* A vector is bound or unbound. */
void fuzz_told_bind(struct fuzz_dev *d, u32 v);
/* Message Control is written, or an entry replaced by SET_STATE or RESET. */
void fuzz_told_control(struct fuzz_dev *d, bool was_enabled);
void fuzz_told_replace(struct fuzz_dev *d, u32 v, bool was_masked);
/* The kernel has looked at all current entries, and has told the VMM. */
void fuzz_told_look(struct fuzz_dev *d);
void fuzz_told_settle(struct fuzz_dev *d);

/* Run many threads for @seconds; returns the number of operations. */
u64 fuzz_threads(u64 seed, u32 seconds);

#endif /* SELFTEST_KVM_MSIX_FUZZ_H */
