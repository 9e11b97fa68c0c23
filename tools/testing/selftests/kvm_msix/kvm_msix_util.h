/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kvm_msix selftests share: a VM whose vCPUs do what the test tells
 * them, one at a time, and functions (device fds) in it.
 *
 * A vCPU made without guest code of the test's own executes one guest_*()
 * access per call, in real guest mode, and returns. What the kernel does not
 * answer on the way is logged as the MMIO exit it is. Between two accesses the
 * vCPU's interrupts are enabled; each vector's are counted per vCPU.
 *
 * foo() asserts that it worked, __foo() returns an errno (0: it worked).
 */
#ifndef SELFTEST_KVM_MSIX_UTIL_H
#define SELFTEST_KVM_MSIX_UTIL_H

#include <sys/eventfd.h>

#include <linux/kvm_msix.h>
#include <linux/pci_regs.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"

/* kselftest_harness.h would have a test end in 30 s: not in a debug kernel, emulated. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

#define GUEST_MAX_CPUS	4

/* Where tests put tables: mapped in the guest 1:1, with nothing behind it. */
#define BAR_GPA		0xc0000000ull
#define BAR_SIZE	0x20000ull
/* A page before the BAR is mapped too: what lies beside a table at offset 0. */
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

/* Shared with the guest, which finds its own by %gs. */
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

	/* Which vCPU guest_read() and its like run on. */
	u32 current_cpu;

	/* MMIO exits since msix_vm_forget_exits(), and what reads are told. */
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

/* kvm_msix_require() - to be called first: skip without the module. */
void kvm_msix_require(void);

/* The vCPUs' ids are 0, 1, ...; @guest_code NULL: executes guest_*() calls. */
struct msix_vm *msix_vm_create(u32 nr_cpus, void *guest_code);
void msix_vm_add_cpu(struct msix_vm *m, u32 id, void *guest_code);
void msix_vm_free(struct msix_vm *m);
void msix_vm_forget_exits(struct msix_vm *m);
/* A VM without memory or vCPUs, for ioctls. */
struct kvm_vm *msix_bare_vm(void);

/* A variable of the guest's, in its memory: use READ_ONCE() and WRITE_ONCE(). */
#define GUEST_VAR(m, var) ((typeof(var) *)addr_gva2hva((m)->vm, (vm_vaddr_t)&(var)))

/* For guest code: what a vCPU must do first, and which it is. */
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

/* Run until the guest's next GUEST_SYNC(); returns its argument. */
u64 msix_vcpu_run(struct msix_vm *m, u32 cpu);
/* True if @vcpu stopped for MMIO; then it is logged and answered. */
bool msix_handle_mmio(struct msix_vm *m, struct kvm_vcpu *vcpu);

void guest_nop(struct msix_vm *m);
u64 guest_read(struct msix_vm *m, u64 gpa, u32 width);
void guest_write(struct msix_vm *m, u64 gpa, u32 width, u64 val);
void guest_read16(struct msix_vm *m, u64 gpa, u64 val[2]);
void guest_write16(struct msix_vm *m, u64 gpa, u64 lo, u64 hi);
/* REP MOVS of @count elements of @width bytes, 256 bytes at most. */
void guest_movs(struct msix_vm *m, u64 gpa, u32 width, u32 count, const void *src);

/*
 * Interrupts counted on @cpu for @vector: after waiting, within bounds, until
 * there are @want, and then for a while for one that is too many.
 */
u64 msix_irqs(struct msix_vm *m, u32 cpu, u8 vector, u64 want);

/* ioctls: the __ forms return an errno. */
int __msix_ioctl(int fd, unsigned long cmd, void *arg);
#define msix_ioctl(fd, cmd, arg)						\
do {										\
	int __err = __msix_ioctl(fd, cmd, arg);					\
										\
	TEST_ASSERT(!__err, #cmd " failed: %i (%s)", __err, strerror(__err));	\
} while (0)

int msix_open(void);
int __msix_create(int vm_fd, u32 nr, u32 flags, int *fd);
int __msix_locate(int fd, u64 table, u64 pba);
int __msix_bind(int fd, u32 first, u32 count, const struct kvm_msix_vector *vectors);
int __msix_bind_one(int fd, u32 vector, int eventfd, int gsi);
int __msix_control(int fd, u32 control);
int __msix_reset(int fd);
int __msix_get_state(int fd, struct msix_state *s);
int __msix_set_state(int fd, const struct msix_state *s);
int __msix_set_gsi_routing(int fd, u32 nr, const struct kvm_irq_routing_entry *entries);

/*
 * A table for guest memory: where it lies at the start of a page, and its PBA
 * MAPPED_PBA behind it, as most tests put them, msix_locate() makes that page
 * guest memory. close() takes it away. With KVM_MSIX_MAPPED in the environment
 * every msix_create() that can be is an msix_create_mapped().
 */
#define MAPPED_PBA	0x800
bool msix_mapped(void);
bool msix_can_map(void);
/* @gsi, or -1 where functions are mapped: those cannot have one. */
int msix_gsi(int gsi);
struct msix_dev msix_create_mapped(struct kvm_vm *vm, u32 nr, u32 flags);
/* Guest memory where @d is located, or none: @gpa is NOWHERE. */
void msix_set_memory(struct kvm_vm *vm, u32 slot, u64 gpa, u64 size, void *mem);

struct msix_dev msix_create(struct kvm_vm *vm, u32 nr, u32 flags);
void msix_locate(struct msix_dev *d, u64 table, u64 pba);
void msix_bind_one(struct msix_dev *d, u32 vector, int eventfd, int gsi);
void msix_control(struct msix_dev *d, u32 control);
void msix_reset(struct msix_dev *d);

struct msix_state *msix_state_alloc(u32 nr);
void msix_state_free(struct msix_state *s);
struct msix_state *msix_get_state(int fd, u32 nr);
bool msix_state_equal(const struct msix_state *a, const struct msix_state *b);
bool msix_state_is_reset(const struct msix_state *s);
/* The pending bit of @vector, by KVM_MSIX_GET_STATE. */
bool msix_pending(struct msix_dev *d, u32 vector);

/* The table, by the guest. */
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
/* Address and data; leaves the mask alone. */
void entry_program(struct msix_vm *m, struct msix_dev *d, u32 vector, u64 addr,
		   u32 data);
void entry_mask(struct msix_vm *m, struct msix_dev *d, u32 vector);
void entry_unmask(struct msix_vm *m, struct msix_dev *d, u32 vector);
bool pba_read(struct msix_vm *m, struct msix_dev *d, u32 vector);

/* eventfds: non-blocking, one signal a call. */
int event_create(void);
void event_signal(int fd);
/* What is left in it, and takes that. */
u64 event_drain(int fd);

/* KVM's own. */
int __kvm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags);
void kvm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags);
int __kvm_ioeventfd(struct kvm_vm *vm, int fd, u64 addr, u32 len, u32 flags);
struct kvm_irq_routing_entry msi_route(u32 gsi, u64 addr, u32 data);
int __kvm_set_gsi_routing(struct kvm_vm *vm, u32 nr,
			  const struct kvm_irq_routing_entry *entries);
void kvm_irq_pulse(struct kvm_vm *vm, u32 gsi);

/*
 * The counters in debugfs, summed up over this process's functions.
 * kvm_msix_has_counters() is false where there is no debugfs.
 */
bool kvm_msix_has_counters(void);
u64 kvm_msix_counter(const char *name);
/* Directories of this process below debugfs's @dir ("kvm", "kvm_msix"). */
int debugfs_entries(const char *dir, pid_t pid);

/* main(); the harness's own has no place for kvm_msix_require(). */
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
