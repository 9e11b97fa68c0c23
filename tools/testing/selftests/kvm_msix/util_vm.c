// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs of the kvm_msix selftests, see kvm_msix_util.h: the guest that executes one
 * access at a time, and the VMM that runs it.
 */
#include "kvm_msix_util.h"

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
	m->cpu[i] = addr_gva2hva(m->vm, (uintptr_t)&guest_cpus[i]);
	m->cpu[i]->self = &guest_cpus[i];
	m->cpu[i]->index = i;

	vcpu_sregs_get(m->vcpu[i], &sregs);
	sregs.gs.base = (uintptr_t)&guest_cpus[i];
	vcpu_sregs_set(m->vcpu[i], &sregs);

	/* Run up to the first GUEST_SYNC(), which the guest reaches with the APIC enabled. */
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

void *msix_vcpu_thread(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(uc.cmd == UCALL_DONE, "exit reason %u (%s)", vcpu->run->exit_reason,
		    exit_reason_str(vcpu->run->exit_reason));
	return NULL;
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
	/* Give a second message, which a work may have to send, time to arrive. */
	for (i = 0; i < 3; i++) {
		usleep(500);
		guest_nop(m);
	}
	m->current_cpu = saved;
	return READ_ONCE(m->cpu[cpu]->irqs[vector]);
}
