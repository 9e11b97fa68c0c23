/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Library of the kvm_msix selftests: a VM whose vCPUs do what the test says, one
 * vCPU at a time, and functions (device fds) in the VM.
 *
 * Unless the test brings guest code, a vCPU executes one access for each call of
 * guest_*(), in real guest mode, and returns. If the kernel does not answer the
 * access, the library logs the MMIO exit. Between two accesses the vCPU takes
 * interrupts, and counts them by vCPU and interrupt vector.
 *
 * foo() asserts that the call worked; __foo() returns an errno, or 0.
 *
 * VMs are in util_vm.c, functions in util_dev.c, and in util_mapped.c if they are in
 * guest memory; eventfds and KVM's interrupts in util_event.c, counters in
 * util_debugfs.c; what a program's main() wants in kvm_msix_util.c.
 */
#ifndef SELFTEST_KVM_MSIX_UTIL_H
#define SELFTEST_KVM_MSIX_UTIL_H

#include <sys/eventfd.h>

#include <linux/kvm_msix.h>
#include <linux/pci_regs.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"

/* kselftest_harness.h allows a test 30 s, too few for an emulated debug kernel. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

#define GUEST_MAX_CPUS	4

/* Where tests put tables: addresses that the guest maps 1:1, without memory. */
#define BAR_GPA		0xc0000000ull
#define BAR_SIZE	0x20000ull
/* A page before the BAR is mapped too, to access addresses before a table. */
#define BAR_MARGIN	0x1000ull

#define NOWHERE		(~0ull)

#define ENTRY_ADDR_LO	PCI_MSIX_ENTRY_LOWER_ADDR
#define ENTRY_ADDR_HI	PCI_MSIX_ENTRY_UPPER_ADDR
#define ENTRY_DATA	PCI_MSIX_ENTRY_DATA
#define ENTRY_CTRL	PCI_MSIX_ENTRY_VECTOR_CTRL
#define ENTRY_SIZE	PCI_MSIX_ENTRY_SIZE
#define MASKED		PCI_MSIX_ENTRY_CTRL_MASKBIT
#define ENABLE		PCI_MSIX_FLAGS_ENABLE
#define FUNCTION_MASK	PCI_MSIX_FLAGS_MASKALL

#define MSI_ADDR(dest)	(0xfee00000u | (dest) << 12)
#define MSI_LOGICAL	0x4u
#define MSI_REDIRECT	0x8u
#define MSI_MODE(mode)	((mode) << 8)

/* Shared with the guest; %gs points to the vCPU's struct. */
struct guest_cpu {
	struct guest_cpu *self;
	u64 index;
	u64 op;
	u64 gva;
	u64 width;
	u64 count;
	u64 val[2];
	u8 buf[256];
	u64 irqs[256];
};

struct mmio_exit {
	u64 addr;
	u32 len;
	bool is_write;
	u64 data;
};

struct msix_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[GUEST_MAX_CPUS];
	struct guest_cpu *cpu[GUEST_MAX_CPUS];
	u32 nr_cpus;

	/* The vCPU that guest_read() and the like run on. */
	u32 current_cpu;

	/* MMIO exits since msix_vm_forget_exits(), and the value that their reads get. */
	struct mmio_exit exit[64];
	u32 nr_exits;
	u64 mmio_answer;
	void (*on_exit)(struct msix_vm *m, struct mmio_exit *exit);
	void *on_exit_data;
};

struct msix_dev {
	int fd;
	u32 nr;
	u64 table;
	u64 pba;
};

struct msix_state {
	u32 nr;
	u32 control;
	u32 (*entry)[4];
	u64 *pba;
};

/* The linker's --wrap=ioctl,--wrap=close. */
int __real_ioctl(int fd, unsigned long cmd, ...);
int __wrap_ioctl(int fd, unsigned long cmd, ...);
int __real_close(int fd);
int __wrap_close(int fd);

/* kvm_msix_require() - call this first: skips the test without the module. */
void kvm_msix_require(void);

/* The vCPUs' ids are 0, 1, ...; @guest_code NULL: they execute guest_*() calls. */
struct msix_vm *msix_vm_create(u32 nr_cpus, void *guest_code);
void msix_vm_add_cpu(struct msix_vm *m, u32 id, void *guest_code);
void msix_vm_free(struct msix_vm *m);
void msix_vm_forget_exits(struct msix_vm *m);
/* A VM without memory or vCPUs, for ioctls. */
struct kvm_vm *msix_bare_vm(void);

/* A variable in the guest's memory: use READ_ONCE() and WRITE_ONCE(). */
#define GUEST_VAR(m, var) ((typeof(var) *)addr_gva2hva((m)->vm, (uintptr_t)&(var)))

/* For guest code: call guest_init() first. */
void guest_init(void);
void guest_irq_handler(struct ex_regs *regs);

static inline struct guest_cpu *guest_this_cpu(void)
{
	struct guest_cpu *cpu;

	asm volatile("mov %%gs:0, %0" : "=r" (cpu));
	return cpu;
}

static inline u32 mmio_read32(u64 gpa)
{
	u32 val;

	asm volatile("movl (%1), %0" : "=r" (val) : "r" (gpa) : "memory");
	return val;
}

static inline u64 mmio_read64(u64 gpa)
{
	u64 val;

	asm volatile("movq (%1), %0" : "=r" (val) : "r" (gpa) : "memory");
	return val;
}

static inline void mmio_write32(u64 gpa, u32 val)
{
	asm volatile("movl %0, (%1)" : : "r" (val), "r" (gpa) : "memory");
}

static inline void mmio_write64(u64 gpa, u64 val)
{
	asm volatile("movq %0, (%1)" : : "r" (val), "r" (gpa) : "memory");
}

/* splitmix64, for guest and VMM */
static inline u64 msix_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Run until the guest's next GUEST_SYNC(); returns its argument. */
u64 msix_vcpu_run(struct msix_vm *m, u32 cpu);
/*
 * For pthread_create(): run @arg, a struct kvm_vcpu with guest code of the test's
 * own, until GUEST_DONE(). There must be no MMIO exit.
 */
void *msix_vcpu_thread(void *arg);
/* True if @vcpu has an MMIO exit, which then is logged and answered. */
bool msix_handle_mmio(struct msix_vm *m, struct kvm_vcpu *vcpu);

void guest_nop(struct msix_vm *m);
u64 guest_read(struct msix_vm *m, u64 gpa, u32 width);
void guest_write(struct msix_vm *m, u64 gpa, u32 width, u64 val);
void guest_read16(struct msix_vm *m, u64 gpa, u64 val[2]);
void guest_write16(struct msix_vm *m, u64 gpa, u64 lo, u64 hi);
/* REP MOVS of @count elements of @width bytes, 256 bytes at most. */
void guest_movs(struct msix_vm *m, u64 gpa, u32 width, u32 count, const void *src);

/*
 * Interrupts counted on @cpu for @vector, after waiting within bounds until
 * there are @want, and then for a while to see one that is too many.
 */
u64 msix_irqs(struct msix_vm *m, u32 cpu, u8 vector, u64 want);

/* Add @n to @counted[@vector], and expect that many interrupts of @vector on vCPU 0. */
#define EXPECT_MORE_IRQS(m, counted, vector, n)					\
do {										\
	u8 _vector = (vector);							\
	u64 *_count = &(counted)[_vector];					\
										\
	*_count += (n);								\
	EXPECT_EQ(*_count, msix_irqs(m, 0, _vector, *_count));			\
} while (0)

/* Expect no interrupt on vCPU 0 but those @counted, and no MMIO exit. */
#define EXPECT_NOTHING_ELSE(m, counted)						\
do {										\
	struct msix_vm *_m = (m);						\
	int _i;									\
										\
	msix_irqs(_m, 0, 0, 0);							\
	for (_i = 0; _i < 256; _i++)						\
		EXPECT_EQ((counted)[_i], _m->cpu[0]->irqs[_i]);			\
	EXPECT_EQ(0, _m->nr_exits);						\
} while (0)

/*
 * Wait long enough for a timer or a work of the module. Sleep in steps, so that timers
 * get time to run after the host has held up the whole machine.
 */
void msix_wait_ms(u32 ms);

/* Assert that @call returns no errno. */
#define MSIX_CHECK(call)							\
do {										\
	int __err = (call);							\
										\
	TEST_ASSERT(!__err, #call " failed: %i (%s)", __err, strerror(__err));	\
} while (0)

/* ioctls: the __ forms return an errno. */
int __msix_ioctl(int fd, unsigned long cmd, void *arg);
#define msix_ioctl(fd, cmd, arg)						\
do {										\
	int __err = __msix_ioctl(fd, cmd, arg);					\
										\
	TEST_ASSERT(!__err, #cmd " failed: %i (%s)", __err, strerror(__err));	\
} while (0)

int msix_open(void);
/* Fill in all of @args but its size. */
int __msix_create_args(struct kvm_msix_create *args, int *fd);
int __msix_create(int vm_fd, u32 nr, u32 flags, int *fd);
int __msix_set_addr(int fd, u64 table, u64 pba);
int __msix_bind_flags(int fd, u32 flags, u32 first, u32 count,
		      const struct kvm_msix_binding *bindings);
int __msix_bind(int fd, u32 first, u32 count, const struct kvm_msix_binding *bindings);
int __msix_bind_one(int fd, u32 vector, int eventfd, int gsi);
int __msix_add(int fd, u32 vector, int eventfd);
int __msix_remove(int fd, u32 vector, int eventfd);
int __msix_control(int fd, u32 control);
int __msix_reset(int fd);
int __msix_get_state(int fd, struct msix_state *s);
int __msix_set_state(int fd, const struct msix_state *s);
int __msix_set_gsi_routing(int fd, u32 nr, const struct kvm_irq_routing_entry *entries);

/*
 * A function that can be mapped: if the table is at the start of a page and the PBA
 * MAPPED_PBA behind, as in most tests, msix_set_addr() makes the page guest memory,
 * and close() deletes the memory slot. With KVM_MSIX_MAPPED in the environment,
 * msix_create() is msix_create_mapped() wherever possible.
 */
#define MAPPED_PBA	0x800
bool msix_mapped(void);
bool msix_can_map(void);
/* Returns @gsi, or -1 with msix_mapped(): a mapped function cannot have GSIs. */
int msix_gsi(int gsi);
struct msix_dev msix_create_mapped(struct kvm_vm *vm, u32 nr, u32 flags);
/* Map the first @size bytes of a function, writable. */
void *msix_map(int fd, u64 size);
/* Make @mem guest memory at @gpa; NOWHERE: delete the slot. */
void msix_set_memory(struct kvm_vm *vm, u32 slot, u64 gpa, u64 size, void *mem);

/* Returns the fd. */
int msix_create_args(struct kvm_msix_create *args);
struct msix_dev msix_create(struct kvm_vm *vm, u32 nr, u32 flags);
void msix_set_addr(struct msix_dev *d, u64 table, u64 pba);
void msix_bind_one(struct msix_dev *d, u32 vector, int eventfd, int gsi);
void msix_control(struct msix_dev *d, u32 control);
void msix_reset(struct msix_dev *d);

/* A stats fd, and the value of a statistic of @vector (0 for one of the function). */
int __msix_stats_fd(int fd, int *stats_fd);
int msix_stats_fd(struct msix_dev *d);
/* Read @nr values of a statistic, one for each vector from @first on. */
void msix_stat_values(int stats_fd, const char *name, u32 first, u32 nr, u64 *value);
u64 msix_stat(int stats_fd, const char *name, u32 vector);

struct msix_state *msix_state_alloc(u32 nr);
void msix_state_free(struct msix_state *s);
struct msix_state *msix_get_state(int fd, u32 nr);
bool msix_state_equal(const struct msix_state *a, const struct msix_state *b);
bool msix_state_is_reset(const struct msix_state *s);
/* The pending bit of @vector, by KVM_MSIX_GET_STATE. */
bool msix_pending(struct msix_dev *d, u32 vector);

/* The guest accesses the table. */
static inline u64 entry_gpa(struct msix_dev *d, u32 vector, u32 field)
{
	return d->table + (u64)vector * ENTRY_SIZE + field;
}

static inline u32 msix_pba_size(u32 nr)
{
	return (nr + 63) / 64 * 8;
}

void entry_write(struct msix_vm *m, struct msix_dev *d, u32 vector, u32 field,
		 u32 val);
u32 entry_read(struct msix_vm *m, struct msix_dev *d, u32 vector, u32 field);
/* Write address and data, not Vector Control. */
void entry_program(struct msix_vm *m, struct msix_dev *d, u32 vector, u64 addr,
		   u32 data);
void entry_mask(struct msix_vm *m, struct msix_dev *d, u32 vector);
void entry_unmask(struct msix_vm *m, struct msix_dev *d, u32 vector);
/*
 * Put @d at BAR_GPA, bind a new eventfd to each vector, and enable. The vectors are
 * masked, with messages for vCPU 0: interrupt vector @first and the next ones.
 */
void msix_start(struct msix_vm *m, struct msix_dev *d, u8 first, int *event);
bool pba_read(struct msix_vm *m, struct msix_dev *d, u32 vector);
/*
 * Is the bit clear, after an unmask? The kernel notices an unmask in guest memory a
 * little later: wait, within bounds, until the vector has sent its message.
 */
bool pba_clears(struct msix_vm *m, struct msix_dev *d, u32 vector);

/*
 * eventfds: non-blocking, one signal a call. With KVM_MSIX_POSTED in the environment,
 * the signal is a message of /dev/fakepost, and is posted if the vector is posted.
 * The module then posts each vector as early as possible.
 */
int event_create(void);
void event_signal(int fd);
bool event_is_posted(int fd);
/* Read the counter, which is 0 afterwards. */
u64 event_drain(int fd);
/* Number of signals that were posted, and so not seen by the module. */
u64 events_posted(void);
/* Set the number of events after which the module posts a vector. */
void msix_set_post_events(u32 nr);

/* KVM's own ioctls. */
int __vm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags);
void vm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags);
int __kvm_ioeventfd(struct kvm_vm *vm, int fd, u64 addr, u32 len, u32 flags);
struct kvm_irq_routing_entry msi_route(u32 gsi, u64 addr, u32 data);
int __kvm_set_gsi_routing(struct kvm_vm *vm, u32 nr,
			  const struct kvm_irq_routing_entry *entries);
void kvm_irq_pulse(struct kvm_vm *vm, u32 gsi);

/*
 * The counters in debugfs, summed up over this process's functions.
 * kvm_msix_has_counters() is false without debugfs.
 */
bool kvm_msix_has_counters(void);
u64 kvm_msix_counter(const char *name);
/*
 * Events that have become no message and are not pending, by these counters: 0 if the
 * books are right, and where there are no counters; less than 0: messages without an event.
 */
s64 kvm_msix_lost_events(void);
/* Directories of this process below debugfs's @dir ("kvm", "kvm_msix"). */
int debugfs_entries(const char *dir, pid_t pid);

/* Parse the options of a program that has only -n ROUNDS. */
u32 rounds_option(int argc, char **argv, u32 rounds);
/* The same with -s SEED as well; -n is the number of @what, by default @n. */
u32 seed_option(int argc, char **argv, const char *what, u32 n, u64 *seed);

/* main(); the harness's own main() has no place for kvm_msix_require(). */
#define KVM_MSIX_TEST_MAIN							\
int main(int argc, char **argv)							\
{										\
	int ret;								\
										\
	kvm_msix_require();							\
	ret = test_harness_run(argc, argv);					\
	exit(ret);								\
}

#endif /* SELFTEST_KVM_MSIX_UTIL_H */
