/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of the whole module: random operations on functions in VMs with
 * real vCPUs, each compared with what a model foretells (fuzz_test.c), and the
 * same by many threads at once, where the kernel's own checks are the judge
 * (fuzz_threads.c).
 *
 * An operation is a number and a seed: what it does follows from these and from
 * what was done before, so that a sequence of them can be repeated, stored, and
 * changed in one place.
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

/* splitmix64 */
static inline u64 rnd(struct rng *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
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
/* Do it on the VM's current vCPU; what was read is in val or buf afterwards. */
void fuzz_guest_access(struct msix_vm *m, struct access *a);
/*
 * Messages that would derail a running vCPU are not written: SMI, INIT, vectors
 * that are exceptions. So each byte that may become one of a message's data is
 * made harmless. Vector 0, that a reset leaves, has a handler.
 */
u32 fuzz_tame_data(u32 data);
void fuzz_tame_access(struct access *a, u64 table, u32 size);
/* A random access: of a window at @gpa of @size bytes, or near it. */
void fuzz_draw_access(struct rng *r, struct access *a, u64 gpa, u32 size);
u32 fuzz_access_bytes(const struct access *a);

/*
 * ioctls, in any of the places where a struct can lie (fuzz_ioctl.c).
 */

struct fuzz_cmd {
	unsigned long cmd;
	u32 size;
	u32 flags;	/* that are known */
	u32 reserved;	/* offset of a reserved field, or 0 */
	bool on_node;	/* else on a device fd */
	bool out;
};

extern const struct fuzz_cmd fuzz_cmds[];
extern const u32 fuzz_nr_cmds;

void fuzz_ioctl_init(void);
/*
 * As ioctl(), with the struct somewhere else: unaligned, at the end of a page,
 * longer than it needs to be. Returns an errno, the result in *ret.
 */
int fuzz_ioctl(struct rng *r, int fd, unsigned long cmd, void *arg, u32 size, int *ret);
/* One that cannot succeed, by the rules that all share; returns what is wrong, or NULL. */
const char *fuzz_bad_ioctl(struct rng *r, int node, int dev);
/* Memory that cannot be read, or only its beginning. */
void *fuzz_bad_pointer(struct rng *r, u32 size);
/* @size bytes that end where the page ends; @slot 0 or 1. */
void *fuzz_tight(u32 slot, u32 size);
/* A file descriptor that is no eventfd; *err is what BIND says of it. */
int fuzz_bad_fd(struct rng *r, int *err);

/*
 * Coverage (fuzz_kcov.c): nothing of it without KCOV in kernel and module.
 */

void fuzz_kcov_init(void);
bool fuzz_kcov_on(void);
void fuzz_kcov_thread(void);
/* Takes in what the thread has reached since; returns how much of it was new. */
u32 fuzz_kcov_collect(void);
u32 fuzz_kcov_total(void);
void fuzz_kcov_write(const char *path);

/*
 * What fails. @fmt and the operations that led to it are printed.
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
 * The world and its model (fuzz_world.c), and what can happen in it (fuzz_ops.c).
 */

enum fuzz_stat {
	STAT_READS,
	STAT_WRITES,
	STAT_REJECTED,
	STAT_MASK_CHANGES,
	STAT_EVENTS,
	STAT_LATCHED,
	STAT_COALESCED,
	STAT_KICKS,
	STAT_DELIVERED,
	STAT_DROPPED,
	STAT_PROTECTED,
	STAT_FAULTS,
	STAT_TOLD,
	NR_STATS
};

struct fuzz_dev;
struct fuzz_vm;

struct fuzz_vec {
	struct fuzz_dev *dev;
	struct fuzz_event *event;
	int gsi;
};

/**
 * struct fuzz_event - An eventfd
 * @fd: -1: closed by the VMM
 * @semaphore: a read takes one
 * @count: what is in it
 * @vec: who consumes it
 * @irqfd: or else the GSI of KVM's irqfd, or -1
 */
struct fuzz_event {
	int fd;
	bool semaphore;
	u64 count;
	struct fuzz_vec *vec;
	int irqfd;
};

/* A pending vector let go by a write to memory, which is noticed later. */
struct fuzz_late {
	bool is;
	bool unsure;	/* of its message, which has changed since */
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
 * @fd: -1: there is none
 * @pages: that can be mapped
 * @table_pages: those of them that the table is on
 * @table_offset: where the table begins there
 * @pba_offset: where the PBA does, if it is there
 * @rest: these pages, but the table: the guest's picture of the PBA, memory
 * @no_gsi: never has one, which would keep it from being mapped
 * @drawn: the picture of the PBA was written, in this operation
 * @late: by vector; empty between operations
 * @unmask_event: the unmask_eventfd, or -1
 * @tell: by vector
 * @may_tell: signals of @unmask_event that may come
 * @told: those that have come
 * @unsure: messages of which the model does not know whether they are taken
 * @stats_fd: its counters in debugfs
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
 * @dev: whose pages are there, or NULL: a hole
 * @first: the first of them
 * @pages: their number
 * @writable: they are
 */
struct fuzz_area {
	u8 *mem;
	struct fuzz_dev *dev;
	u32 first;
	u32 pages;
	bool writable;
};

/**
 * struct fuzz_slot - Guest memory: pages of an area, whatever they are
 * @gpa: where the guest has them
 * @pages: their number; 0: there is no memory
 * @area: the area
 * @first: where in the area they begin
 * @read_only: a write of the guest's is no write to memory
 * @log: KVM logs what the guest writes
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
 * @m: with vCPUs, or NULL
 * @bare: without
 * @fd: of it, or -1: closed by the VMM
 * @pins: GSIs that are a userspace I/O APIC's
 * @nr_routes: size of KVM's table
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
 * struct world - All there is in one sequence
 * @vm: the VM with vCPUs and one without
 * @ghost: eventfds that the VMM has closed, but a vector may have
 * @sent: messages in this operation, by vCPU and interrupt vector
 * @unsure: anything may have been sent
 * @by_guest: the guest ran during the operation
 * @flush: the eventfd of a KVM irqfd that was signalled
 * @nr_exits: MMIO exits that are to come
 */
struct world {
	int node;
	bool can_map;
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
/* A pending message is sent, as it is now, or as @late says. */
void fuzz_expect_kick(struct world *w, struct fuzz_dev *d, u32 v, const struct fuzz_late *late);
void fuzz_expect_access(struct world *w, struct fuzz_vm *vm, struct access *a, bool *known);
int fuzz_expect_locate(struct fuzz_dev *d, u32 flags, u64 table, u64 pba);
int fuzz_expect_bind(struct world *w, struct fuzz_dev *d, u32 first, u32 count,
		     const struct kvm_msix_vector *vectors, struct fuzz_event **events,
		     const int *errs);
void fuzz_expect_routing(struct fuzz_vm *vm, u32 nr, const struct kvm_irq_routing_entry *e,
			 bool through_module);
void fuzz_expect_inject(struct world *w, struct fuzz_vm *vm, u32 gsi);
void fuzz_sync_routes(struct fuzz_dev *d, u32 first, u32 count);
void fuzz_default_routes(struct fuzz_vm *vm);
bool fuzz_occupied(const struct fuzz_vm *vm, const struct world *w, const struct fuzz_dev *but,
		   u64 gpa, u32 size);

void fuzz_dev_find_stats(struct fuzz_dev *d, struct world *w);
/* All that can be seen of the world is as the model says. */
void fuzz_compare(struct world *w);

struct world *fuzz_world_new(int vm_kind, struct rng *r);
void fuzz_world_free(struct world *w);
void fuzz_dev_close(struct world *w, u32 i, bool fd_first);

struct fuzz_op {
	const char *name;
	u32 weight;
	void (*run)(struct world *w, struct rng *r);
};

extern const struct fuzz_op fuzz_ops[];
extern const u32 fuzz_nr_ops;

/* What several of them do (fuzz_ops.c). */
int fuzz_call(struct rng *r, int fd, unsigned long cmd, void *arg);
void fuzz_expect_errno(const char *what, int want, int err);
struct fuzz_dev *fuzz_draw_dev(struct world *w, struct rng *r);
void fuzz_locate(struct world *w, struct rng *r, struct fuzz_dev *d, struct kvm_msix_locate *args);
void fuzz_do_access(struct world *w, struct fuzz_vm *vm, struct access *a);

/*
 * Tables that are guest memory: what is where (fuzz_mapped.c), and what can
 * happen to it (fuzz_map_ops.c).
 */

#define FUZZ_PAGE	4096u
/* A table that does not begin with its first page, and a PBA across two more. */
#define FUZZ_AREA_PAGES	11

void fuzz_areas_init(struct world *w);
/* Map @pages pages of @d from @first on; returns an errno. NULL: a hole. */
int fuzz_map(struct world *w, u32 area, struct fuzz_dev *d, u32 first, u32 pages, int prot,
	     int flags);
void fuzz_unmap_dev(struct world *w, struct fuzz_dev *d);
bool fuzz_mapped(const struct world *w, const struct fuzz_dev *d);
/* What is mapped in one area is in another now; @copy: there as well. */
void fuzz_move_area(struct world *w, u32 from, u32 to, bool copy);
/* The pages of an area behind its first @pages are a hole. */
void fuzz_cut_area(struct world *w, u32 area, u32 pages);
void fuzz_protect_area(struct world *w, u32 area, bool writable);
/*
 * Give a VM this memory by that slot, in place of other memory if there is any
 * in it, or take it away: NULL.
 */
void fuzz_set_slot(struct world *w, struct fuzz_vm *vm, u32 i, const struct fuzz_slot *slot);
/* There is no memory but by slot @but; FUZZ_SLOTS: by none. */
bool fuzz_slot_free(const struct fuzz_vm *vm, u32 but, u64 gpa, u32 pages);
struct fuzz_slot *fuzz_slot_at(struct fuzz_vm *vm, u64 gpa);
/* Fails if KVM has not logged what the guest has written. */
void fuzz_read_log(struct world *w, struct fuzz_vm *vm, u32 i);
/* The guest can do this: there is memory that it may access so, or none. */
bool fuzz_reachable(const struct world *w, struct fuzz_vm *vm, const struct access *a);
/* As fuzz_tame_access(), if it is all in memory, where tables are aligned. */
bool fuzz_tame_memory(struct fuzz_vm *vm, struct access *a);
/* Bytes of one page of guest memory. */
void fuzz_memory_access(struct world *w, struct fuzz_vm *vm, bool write, u64 gpa, u32 len,
			u8 *bytes);
/* The same by the VMM: byte @at of the pages of @d. */
void fuzz_poke(struct world *w, struct fuzz_dev *d, u32 at, u32 len, const u8 *bytes);
/* The pending bit of a vector has changed; those of all are drawn anew. */
void fuzz_picture(struct fuzz_dev *d, u32 v);
void fuzz_picture_all(struct fuzz_dev *d);
u64 fuzz_pba_read(struct fuzz_dev *d, u32 offset, u32 len);
/* A vector is late no more; returns whether it was. */
bool fuzz_take_late(struct fuzz_dev *d, u32 v);
/* All that was written is seen: a vector that is late is not any more. */
void fuzz_settle(struct world *w);
void fuzz_compare_areas(struct world *w);

void fuzz_draw_layout(struct rng *r, struct kvm_msix_create *args);
int fuzz_expect_layout(const struct kvm_msix_create *args);
/* As a VMM does that keeps to the rules, mostly. */
void fuzz_make_memory(struct world *w, struct rng *r, struct fuzz_dev *d);
void fuzz_op_map(struct world *w, struct rng *r);
void fuzz_op_remap(struct world *w, struct rng *r);
void fuzz_op_advise(struct world *w, struct rng *r);
void fuzz_op_slot(struct world *w, struct rng *r);
void fuzz_op_log(struct world *w, struct rng *r);
void fuzz_op_poke(struct world *w, struct rng *r);
void fuzz_op_grow(struct world *w, struct rng *r);
void fuzz_op_rest(struct world *w, struct rng *r);
void fuzz_op_tell(struct world *w, struct rng *r);
u64 fuzz_stat(const struct fuzz_dev *d, enum fuzz_stat stat);

/*
 * What the VMM is told by unmask_eventfd (fuzz_told.c). All of it is called
 * before the kernel does what it is about.
 */

/* The kernel looks for unbound vectors that are unmasked. */
bool fuzz_tells(const struct fuzz_dev *d);
/* A vector's entry has been written, in memory or by a trapped access. */
void fuzz_told_write(struct fuzz_dev *d, u32 v, bool was_masked, bool trapped);
/* A vector is bound anew, or to nothing. */
void fuzz_told_bind(struct fuzz_dev *d, u32 v);
/* Message Control is another, maybe; entries may be as well. */
void fuzz_told_control(struct fuzz_dev *d, bool was_enabled);
void fuzz_told_replace(struct fuzz_dev *d, u32 v, bool was_masked);
/* The kernel has looked at all entries as they are now, and told what there was to tell. */
void fuzz_told_look(struct fuzz_dev *d);
void fuzz_told_settle(struct fuzz_dev *d);

/* Many threads for @seconds; returns the number of operations. */
u64 fuzz_threads(u64 seed, u32 seconds);

#endif /* SELFTEST_KVM_MSIX_FUZZ_H */
