// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kvm_msix selftests share, see kvm_msix_util.h.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kvm_msix_util.h"

#define DEVICE		"/dev/kvm_msix"
#define DEBUGFS		"/sys/kernel/debug"

/*
 * The 6.12 library makes memory slots with an ioctl of 6.8 only. What it wants
 * of it the older one does as well, and its struct begins with the older's.
 * The linker puts this in the place of ioctl().
 */
int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;
	int ret;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);

	ret = __real_ioctl(fd, cmd, arg);
	if (cmd == KVM_CHECK_EXTENSION && (long)arg == KVM_CAP_USER_MEMORY2 && !ret)
		return 1;
	if (cmd == KVM_SET_USER_MEMORY_REGION2 && ret < 0 && errno == ENOTTY)
		return __real_ioctl(fd, KVM_SET_USER_MEMORY_REGION, arg);
	return ret;
}

int msix_open(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	TEST_ASSERT(fd >= 0, "open " DEVICE ": %s", strerror(errno));
	return fd;
}

bool msix_can_map(void)
{
	struct kvm_msix_info info = { .size = sizeof(info) };
	int dev = msix_open();

	msix_ioctl(dev, KVM_MSIX_INFO, &info);
	close(dev);
	return info.capabilities & KVM_MSIX_CAP_MMAP;
}

void kvm_msix_require(void)
{
	int fd = open("/dev/kvm", O_RDWR);

	if (fd < 0)
		ksft_exit_skip("/dev/kvm: %s\n", strerror(errno));
	close(fd);

	fd = open(DEVICE, O_RDWR);
	if (fd < 0)
		ksft_exit_skip(DEVICE ": %s\n", strerror(errno));
	close(fd);
	if (msix_mapped() && !msix_can_map())
		ksft_exit_skip("KVM_MSIX_MAPPED: no KVM_MSIX_CAP_MMAP in this kernel\n");
}

/*
 * The guest's side.
 */

enum guest_op {
	OP_NOP,
	OP_READ,
	OP_WRITE,
	OP_READ16,
	OP_WRITE16,
	OP_MOVS,
};

static struct guest_cpu guest_cpus[GUEST_MAX_CPUS];

void guest_irq_handler(struct ex_regs *regs)
{
	guest_this_cpu()->irqs[regs->vector]++;
	if (regs->vector != NMI_VECTOR)
		wrmsr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

void guest_init(void)
{
	x2apic_enable();
	asm volatile("sti");
}

static u64 do_read(u64 gva, u64 width)
{
	u64 val = 0;

	switch (width) {
	case 1:
		asm volatile("movb (%1), %b0" : "+q" (val) : "r" (gva) : "memory");
		break;
	case 2:
		asm volatile("movw (%1), %w0" : "+r" (val) : "r" (gva) : "memory");
		break;
	case 4:
		asm volatile("movl (%1), %k0" : "=r" (val) : "r" (gva) : "memory");
		break;
	case 8:
		asm volatile("movq (%1), %0" : "=r" (val) : "r" (gva) : "memory");
		break;
	default:
		GUEST_FAIL("width %lu", width);
	}
	return val;
}

static void do_write(u64 gva, u64 width, u64 val)
{
	switch (width) {
	case 1:
		asm volatile("movb %b0, (%1)" : : "q" (val), "r" (gva) : "memory");
		break;
	case 2:
		asm volatile("movw %w0, (%1)" : : "r" (val), "r" (gva) : "memory");
		break;
	case 4:
		asm volatile("movl %k0, (%1)" : : "r" (val), "r" (gva) : "memory");
		break;
	case 8:
		asm volatile("movq %0, (%1)" : : "r" (val), "r" (gva) : "memory");
		break;
	default:
		GUEST_FAIL("width %lu", width);
	}
}

static void do_movs(u64 gva, u64 width, u64 count, void *src)
{
	switch (width) {
	case 1:
		asm volatile("rep movsb" : "+D" (gva), "+S" (src), "+c" (count) : : "memory");
		break;
	case 4:
		asm volatile("rep movsl" : "+D" (gva), "+S" (src), "+c" (count) : : "memory");
		break;
	case 8:
		asm volatile("rep movsq" : "+D" (gva), "+S" (src), "+c" (count) : : "memory");
		break;
	default:
		GUEST_FAIL("width %lu", width);
	}
}

static void guest_execute(struct guest_cpu *c)
{
	switch (c->op) {
	case OP_NOP:
		asm volatile("pause; pause" : : : "memory");
		break;
	case OP_READ:
		c->val[0] = do_read(c->gva, c->width);
		break;
	case OP_WRITE:
		do_write(c->gva, c->width, c->val[0]);
		break;
	case OP_READ16:
		asm volatile("movups (%0), %%xmm0; movups %%xmm0, (%1)"
			     : : "r" (c->gva), "r" (c->val) : "memory", "xmm0");
		break;
	case OP_WRITE16:
		asm volatile("movups (%1), %%xmm0; movups %%xmm0, (%0)"
			     : : "r" (c->gva), "r" (c->val) : "memory", "xmm0");
		break;
	case OP_MOVS:
		do_movs(c->gva, c->width, c->count, c->buf);
		break;
	default:
		GUEST_FAIL("op %lu", c->op);
	}
}

static void guest_loop(void)
{
	guest_init();
	for (;;) {
		GUEST_SYNC1(0);
		guest_execute(guest_this_cpu());
	}
}

/*
 * The VMM's side.
 */

struct kvm_vm *msix_bare_vm(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	vm_create_irqchip(vm);
	return vm;
}

void msix_vm_add_cpu(struct msix_vm *m, u32 id, void *guest_code)
{
	u32 i = m->nr_cpus++;
	struct kvm_sregs sregs;

	TEST_ASSERT(i < GUEST_MAX_CPUS, "too many vCPUs");
	m->vcpu[i] = vm_vcpu_add(m->vm, id, guest_code ?: guest_loop);
	m->cpu[i] = addr_gva2hva(m->vm, (vm_vaddr_t)&guest_cpus[i]);
	m->cpu[i]->self = &guest_cpus[i];
	m->cpu[i]->index = i;

	vcpu_sregs_get(m->vcpu[i], &sregs);
	sregs.gs.base = (vm_vaddr_t)&guest_cpus[i];
	vcpu_sregs_set(m->vcpu[i], &sregs);

	/* Up to the first GUEST_SYNC(): the APIC is enabled then. */
	if (!guest_code)
		msix_vcpu_run(m, i);
}

struct msix_vm *msix_vm_create(u32 nr_cpus, void *guest_code)
{
	struct msix_vm *m = calloc(1, sizeof(*m));
	u32 i;

	TEST_ASSERT(m, "calloc");
	m->vm = __vm_create(VM_SHAPE_DEFAULT, GUEST_MAX_CPUS, 0);
	virt_map(m->vm, BAR_GPA - BAR_MARGIN, BAR_GPA - BAR_MARGIN,
		 (BAR_MARGIN + BAR_SIZE) / getpagesize());
	vm_install_exception_handler(m->vm, NMI_VECTOR, guest_irq_handler);
	for (i = 0x20; i < 0x100; i++)
		vm_install_exception_handler(m->vm, i, guest_irq_handler);
	for (i = 0; i < nr_cpus; i++)
		msix_vm_add_cpu(m, i, guest_code);
	return m;
}

void msix_vm_free(struct msix_vm *m)
{
	kvm_vm_free(m->vm);
	free(m);
}

void msix_vm_forget_exits(struct msix_vm *m)
{
	m->nr_exits = 0;
}

bool msix_handle_mmio(struct msix_vm *m, struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct mmio_exit *e;

	if (run->exit_reason != KVM_EXIT_MMIO)
		return false;

	TEST_ASSERT(m->nr_exits < ARRAY_SIZE(m->exit), "too many MMIO exits");
	e = &m->exit[m->nr_exits++];
	e->addr = run->mmio.phys_addr;
	e->len = run->mmio.len;
	e->is_write = run->mmio.is_write;
	e->data = 0;
	if (e->is_write)
		memcpy(&e->data, run->mmio.data, e->len);
	if (m->on_exit)
		m->on_exit(m, e);
	if (!e->is_write)
		memcpy(run->mmio.data, &m->mmio_answer, e->len);
	return true;
}

u64 msix_vcpu_run(struct msix_vm *m, u32 cpu)
{
	struct kvm_vcpu *vcpu = m->vcpu[cpu];
	struct ucall uc;

	do {
		vcpu_run(vcpu);
	} while (msix_handle_mmio(m, vcpu));

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		return uc.args[0];
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("exit reason %u (%s)", vcpu->run->exit_reason,
			  exit_reason_str(vcpu->run->exit_reason));
	}
	return 0;
}

static struct guest_cpu *execute(struct msix_vm *m, enum guest_op op, u64 gpa,
				 u32 width)
{
	struct guest_cpu *c = m->cpu[m->current_cpu];

	c->op = op;
	c->gva = gpa;
	c->width = width;
	msix_vcpu_run(m, m->current_cpu);
	return c;
}

void guest_nop(struct msix_vm *m)
{
	execute(m, OP_NOP, 0, 0);
}

u64 guest_read(struct msix_vm *m, u64 gpa, u32 width)
{
	return execute(m, OP_READ, gpa, width)->val[0];
}

void guest_write(struct msix_vm *m, u64 gpa, u32 width, u64 val)
{
	m->cpu[m->current_cpu]->val[0] = val;
	execute(m, OP_WRITE, gpa, width);
}

void guest_read16(struct msix_vm *m, u64 gpa, u64 val[2])
{
	memcpy(val, execute(m, OP_READ16, gpa, 16)->val, 16);
}

void guest_write16(struct msix_vm *m, u64 gpa, u64 lo, u64 hi)
{
	m->cpu[m->current_cpu]->val[0] = lo;
	m->cpu[m->current_cpu]->val[1] = hi;
	execute(m, OP_WRITE16, gpa, 16);
}

void guest_movs(struct msix_vm *m, u64 gpa, u32 width, u32 count, const void *src)
{
	struct guest_cpu *c = m->cpu[m->current_cpu];

	TEST_ASSERT(width * count <= sizeof(c->buf), "too much for REP MOVS");
	memcpy(c->buf, src, width * count);
	c->count = count;
	execute(m, OP_MOVS, gpa, width);
}

u64 msix_irqs(struct msix_vm *m, u32 cpu, u8 vector, u64 want)
{
	u32 saved = m->current_cpu;
	int i;

	m->current_cpu = cpu;
	for (i = 0; i < 2000 && READ_ONCE(m->cpu[cpu]->irqs[vector]) < want; i++) {
		guest_nop(m);
		if (READ_ONCE(m->cpu[cpu]->irqs[vector]) < want)
			usleep(1000);
	}
	/* A second message, if one was sent, is here by then: or a work sends it. */
	for (i = 0; i < 3; i++) {
		usleep(500);
		guest_nop(m);
	}
	m->current_cpu = saved;
	return READ_ONCE(m->cpu[cpu]->irqs[vector]);
}

/*
 * ioctls.
 */

int __msix_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? errno : 0;
}

static int create(struct kvm_msix_create *args, int *fd)
{
	int dev = msix_open();
	int err;

	args->size = sizeof(*args);
	*fd = ioctl(dev, KVM_MSIX_CREATE, args);
	err = *fd < 0 ? errno : 0;
	__real_close(dev);
	return err;
}

int __msix_create(int vm_fd, u32 nr, u32 flags, int *fd)
{
	struct kvm_msix_create args = {
		.flags = flags,
		.vm_fd = vm_fd,
		.nr_vectors = nr,
	};

	return create(&args, fd);
}

int __msix_locate(int fd, u64 table, u64 pba)
{
	struct kvm_msix_locate args = { .size = sizeof(args) };

	if (table != NOWHERE) {
		args.flags |= KVM_MSIX_LOCATE_TABLE;
		args.table_gpa = table;
	}
	if (pba != NOWHERE) {
		args.flags |= KVM_MSIX_LOCATE_PBA;
		args.pba_gpa = pba;
	}
	return __msix_ioctl(fd, KVM_MSIX_LOCATE, &args);
}

int __msix_bind(int fd, u32 first, u32 count, const struct kvm_msix_vector *vectors)
{
	struct kvm_msix_bind args = {
		.size = sizeof(args),
		.first = first,
		.count = count,
		.vectors = (uintptr_t)vectors,
	};

	return __msix_ioctl(fd, KVM_MSIX_BIND, &args);
}

int __msix_bind_one(int fd, u32 vector, int eventfd, int gsi)
{
	struct kvm_msix_vector v = { .eventfd = eventfd, .gsi = gsi };

	return __msix_bind(fd, vector, 1, &v);
}

int __msix_control(int fd, u32 control)
{
	struct kvm_msix_control args = { .size = sizeof(args), .control = control };

	return __msix_ioctl(fd, KVM_MSIX_CONTROL, &args);
}

int __msix_reset(int fd)
{
	struct kvm_msix_reset args = { .size = sizeof(args) };

	return __msix_ioctl(fd, KVM_MSIX_RESET, &args);
}

int __msix_get_state(int fd, struct msix_state *s)
{
	struct kvm_msix_state args = {
		.size = sizeof(args),
		.nr_vectors = s->nr,
		.table = (uintptr_t)s->entry,
		.pba = (uintptr_t)s->pba,
	};
	int err = __msix_ioctl(fd, KVM_MSIX_GET_STATE, &args);

	s->control = args.control;
	return err;
}

int __msix_set_state(int fd, const struct msix_state *s)
{
	struct kvm_msix_state args = {
		.size = sizeof(args),
		.nr_vectors = s->nr,
		.control = s->control,
		.table = (uintptr_t)s->entry,
		.pba = (uintptr_t)s->pba,
	};

	return __msix_ioctl(fd, KVM_MSIX_SET_STATE, &args);
}

int __msix_set_gsi_routing(int fd, u32 nr, const struct kvm_irq_routing_entry *entries)
{
	struct kvm_msix_gsi_routing args = {
		.size = sizeof(args),
		.nr = nr,
		.entries = (uintptr_t)entries,
	};

	return __msix_ioctl(fd, KVM_MSIX_SET_GSI_ROUTING, &args);
}

#define CHECK(call)								\
do {										\
	int __err = (call);							\
										\
	TEST_ASSERT(!__err, #call " failed: %i (%s)", __err, strerror(__err));	\
} while (0)

/*
 * Functions with a table in guest memory. Each has its slot, far from those of
 * the library.
 */
#define MAPPED_SLOT	1000

struct mapping {
	struct kvm_vm *vm;
	int vm_fd;
	int fd;		/* of the function; 0: unused */
	void *mem;
	u64 gpa;
};

static struct mapping mappings[1024];
static u32 nr_mappings;	/* that have ever been used: it costs others nothing */
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

bool msix_mapped(void)
{
	return getenv("KVM_MSIX_MAPPED");
}

int msix_gsi(int gsi)
{
	return msix_mapped() ? -1 : gsi;
}

void msix_set_memory(struct kvm_vm *vm, u32 slot, u64 gpa, u64 size, void *mem)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa == NOWHERE ? 0 : gpa,
		.memory_size = gpa == NOWHERE ? 0 : size,
		.userspace_addr = (uintptr_t)mem,
	};

	CHECK(__msix_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region));
}

static struct mapping *mapping_of(int fd)
{
	u32 i;

	for (i = 0; i < nr_mappings; i++)
		if (mappings[i].fd == fd)
			return &mappings[i];
	return NULL;
}

static struct mapping *mapping_new(void)
{
	struct mapping *map = mapping_of(0);

	if (map)
		return map;
	TEST_ASSERT(nr_mappings < ARRAY_SIZE(mappings), "too many functions");
	return &mappings[nr_mappings++];
}

/* A function outlives the fd of its VM; its memory can only go before. */
static bool can_move(const struct mapping *map)
{
	return fcntl(map->vm_fd, F_GETFD) >= 0;
}

static void mapping_move(struct mapping *map, u64 gpa)
{
	u32 slot = MAPPED_SLOT + (map - mappings);

	if (map->gpa == gpa || !can_move(map))
		return;
	if (map->gpa != NOWHERE)
		msix_set_memory(map->vm, slot, NOWHERE, 0, map->mem);
	if (gpa != NOWHERE)
		msix_set_memory(map->vm, slot, gpa, getpagesize(), map->mem);
	map->gpa = gpa;
}

int __wrap_close(int fd)
{
	struct mapping *map;

	pthread_mutex_lock(&mappings_lock);
	map = fd > 0 ? mapping_of(fd) : NULL;
	if (map) {
		mapping_move(map, NOWHERE);
		munmap(map->mem, getpagesize());
		map->fd = 0;
	}
	pthread_mutex_unlock(&mappings_lock);
	return __real_close(fd);
}

struct msix_dev msix_create_mapped(struct kvm_vm *vm, u32 nr, u32 flags)
{
	struct msix_dev d = { .nr = nr, .table = NOWHERE, .pba = NOWHERE };
	struct kvm_msix_create args = {
		.flags = flags | KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA,
		.vm_fd = vm->fd,
		.nr_vectors = nr,
		.pba_offset = MAPPED_PBA,
	};
	struct mapping *map;

	pthread_mutex_lock(&mappings_lock);
	map = mapping_new();
	CHECK(create(&args, &d.fd));
	map->vm = vm;
	map->vm_fd = vm->fd;
	map->fd = d.fd;
	map->gpa = NOWHERE;
	map->mem = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, d.fd, 0);
	TEST_ASSERT(map->mem != MAP_FAILED, "mmap: %s", strerror(errno));
	pthread_mutex_unlock(&mappings_lock);
	return d;
}

struct msix_dev msix_create(struct kvm_vm *vm, u32 nr, u32 flags)
{
	struct msix_dev d = { .nr = nr, .table = NOWHERE, .pba = NOWHERE };

	if (msix_mapped() && !(flags & KVM_MSIX_CREATE_LAZY) && nr * ENTRY_SIZE <= MAPPED_PBA)
		return msix_create_mapped(vm, nr, flags);
	CHECK(__msix_create(vm->fd, nr, flags, &d.fd));
	return d;
}

void msix_locate(struct msix_dev *d, u64 table, u64 pba)
{
	struct mapping *map;

	pthread_mutex_lock(&mappings_lock);
	map = mapping_of(d->fd);
	if (map && can_move(map))
		mapping_move(map, table % getpagesize() == 0 && pba == table + MAPPED_PBA ?
				  table : NOWHERE);
	CHECK(__msix_locate(d->fd, table, pba));
	pthread_mutex_unlock(&mappings_lock);
	d->table = table;
	d->pba = pba;
}

void msix_bind_one(struct msix_dev *d, u32 vector, int eventfd, int gsi)
{
	CHECK(__msix_bind_one(d->fd, vector, eventfd, gsi));
}

void msix_control(struct msix_dev *d, u32 control)
{
	CHECK(__msix_control(d->fd, control));
}

void msix_reset(struct msix_dev *d)
{
	CHECK(__msix_reset(d->fd));
}

struct msix_state *msix_state_alloc(u32 nr)
{
	struct msix_state *s = calloc(1, sizeof(*s));

	TEST_ASSERT(s, "calloc");
	s->nr = nr;
	s->entry = calloc(nr, ENTRY_SIZE);
	s->pba = calloc(1, msix_pba_size(nr));
	TEST_ASSERT(s->entry && s->pba, "calloc");
	return s;
}

void msix_state_free(struct msix_state *s)
{
	free(s->entry);
	free(s->pba);
	free(s);
}

struct msix_state *msix_get_state(int fd, u32 nr)
{
	struct msix_state *s = msix_state_alloc(nr);

	CHECK(__msix_get_state(fd, s));
	return s;
}

bool msix_state_equal(const struct msix_state *a, const struct msix_state *b)
{
	return a->nr == b->nr && a->control == b->control &&
	       !memcmp(a->entry, b->entry, a->nr * ENTRY_SIZE) &&
	       !memcmp(a->pba, b->pba, msix_pba_size(a->nr));
}

bool msix_state_is_reset(const struct msix_state *s)
{
	struct msix_state *fresh = msix_state_alloc(s->nr);
	bool equal;
	u32 i;

	for (i = 0; i < s->nr; i++)
		fresh->entry[i][ENTRY_CTRL / 4] = MASKED;
	equal = msix_state_equal(s, fresh);
	msix_state_free(fresh);
	return equal;
}

bool msix_pending(struct msix_dev *d, u32 vector)
{
	struct msix_state *s = msix_get_state(d->fd, d->nr);
	bool pending = s->pba[vector / 64] >> (vector % 64) & 1;

	msix_state_free(s);
	return pending;
}

/*
 * The table, by the guest.
 */

void entry_write(struct msix_vm *m, struct msix_dev *d, u32 vector, u32 field,
		 u32 val)
{
	guest_write(m, entry_gpa(d, vector, field), 4, val);
}

u32 entry_read(struct msix_vm *m, struct msix_dev *d, u32 vector, u32 field)
{
	return guest_read(m, entry_gpa(d, vector, field), 4);
}

void entry_program(struct msix_vm *m, struct msix_dev *d, u32 vector, u64 addr,
		   u32 data)
{
	guest_write(m, entry_gpa(d, vector, ENTRY_ADDR_LO), 8, addr);
	entry_write(m, d, vector, ENTRY_DATA, data);
}

void entry_mask(struct msix_vm *m, struct msix_dev *d, u32 vector)
{
	entry_write(m, d, vector, ENTRY_CTRL, MASKED);
}

void entry_unmask(struct msix_vm *m, struct msix_dev *d, u32 vector)
{
	entry_write(m, d, vector, ENTRY_CTRL, 0);
}

bool pba_read(struct msix_vm *m, struct msix_dev *d, u32 vector)
{
	return guest_read(m, d->pba + vector / 64 * 8, 8) >> (vector % 64) & 1;
}

/*
 * eventfds, and KVM's own interrupts.
 */

int event_create(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	TEST_ASSERT(fd >= 0, "eventfd: %s", strerror(errno));
	return fd;
}

void event_signal(int fd)
{
	u64 one = 1;

	TEST_ASSERT(write(fd, &one, sizeof(one)) == sizeof(one), "eventfd write: %s",
		    strerror(errno));
}

u64 event_drain(int fd)
{
	u64 count = 0;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		TEST_ASSERT(errno == EAGAIN, "eventfd read: %s", strerror(errno));
	return count;
}

int __kvm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags)
{
	struct kvm_irqfd args = { .fd = fd, .gsi = gsi, .flags = flags };

	return __msix_ioctl(vm->fd, KVM_IRQFD, &args);
}

void kvm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags)
{
	CHECK(__kvm_irqfd(vm, fd, gsi, flags));
}

int __kvm_ioeventfd(struct kvm_vm *vm, int fd, u64 addr, u32 len, u32 flags)
{
	struct kvm_ioeventfd args = { .fd = fd, .addr = addr, .len = len, .flags = flags };

	return __msix_ioctl(vm->fd, KVM_IOEVENTFD, &args);
}

struct kvm_irq_routing_entry msi_route(u32 gsi, u64 addr, u32 data)
{
	struct kvm_irq_routing_entry e = {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = addr, .address_hi = addr >> 32, .data = data },
	};

	return e;
}

int __kvm_set_gsi_routing(struct kvm_vm *vm, u32 nr,
			  const struct kvm_irq_routing_entry *entries)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + nr * sizeof(*entries));
	int err;

	TEST_ASSERT(table, "calloc");
	table->nr = nr;
	memcpy(table->entries, entries, nr * sizeof(*entries));
	err = __msix_ioctl(vm->fd, KVM_SET_GSI_ROUTING, table);
	free(table);
	return err;
}

void kvm_irq_pulse(struct kvm_vm *vm, u32 gsi)
{
	kvm_irq_line(vm, gsi, 1);
	kvm_irq_line(vm, gsi, 0);
}

/*
 * debugfs.
 */

static bool debugfs_is_there(void)
{
	struct stat st;

	if (stat(DEBUGFS "/kvm_msix", &st))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	return !stat(DEBUGFS "/kvm_msix", &st);
}

bool kvm_msix_has_counters(void)
{
	return debugfs_is_there();
}

typedef void (*entry_fn)(const char *path, void *arg);

/* Calls @fn for each "<pid>-..." in @dir; returns how many there are. */
static int each_entry(const char *dir, pid_t pid, entry_fn fn, void *arg)
{
	char path[512], prefix[32];
	struct dirent *de;
	int n = 0;
	DIR *dirp;

	snprintf(prefix, sizeof(prefix), "%i-", pid);
	snprintf(path, sizeof(path), DEBUGFS "/%s", dir);
	dirp = opendir(path);
	if (!dirp)
		return 0;
	while ((de = readdir(dirp))) {
		if (strncmp(de->d_name, prefix, strlen(prefix)))
			continue;
		n++;
		snprintf(path, sizeof(path), DEBUGFS "/%s/%s", dir, de->d_name);
		if (fn)
			fn(path, arg);
	}
	closedir(dirp);
	return n;
}

int debugfs_entries(const char *dir, pid_t pid)
{
	return each_entry(dir, pid, NULL, NULL);
}

struct counter {
	const char *name;
	u64 sum;
	bool found;
};

static void add_counter(const char *path, void *arg)
{
	struct counter *c = arg;
	unsigned long long val;
	char file[600], name[64];
	FILE *f;

	snprintf(file, sizeof(file), "%s/stats", path);
	f = fopen(file, "r");
	TEST_ASSERT(f, "%s: %s", file, strerror(errno));
	while (fscanf(f, "%63s %llu%*[^\n]", name, &val) == 2) {
		if (!strcmp(name, c->name)) {
			c->sum += val;
			c->found = true;
		}
	}
	fclose(f);
}

u64 kvm_msix_counter(const char *name)
{
	struct counter c = { .name = name };

	each_entry("kvm_msix", getpid(), add_counter, &c);
	TEST_ASSERT(c.found, "no counter \"%s\" in " DEBUGFS "/kvm_msix/%i-*/stats", name,
		    getpid());
	return c.sum;
}
