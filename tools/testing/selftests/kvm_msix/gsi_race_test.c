// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes of vectors with a GSI, while several parties change KVM's routing
 * table at once. A vCPU changes the mask and message of vector 0, and masks and
 * unmasks vector 1. The VMM sets its own table, by the module's ioctl and by
 * KVM's, and binds and unbinds many other vectors. Meanwhile the device signals
 * an irqfd and vector 0's eventfd. Nothing may break, the VMM's own route must
 * always be there, and in the end vector 0's route must have the right message.
 */
#include <pthread.h>
#include <sched.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define SIZE	2048
#define NR	64	/* vectors with a GSI */
#define GSI	50
#define OTHER	60	/* the VMM's own GSI */
#define MANY	100	/* GSIs of the other vectors, from here on */
#define VEC	0x50	/* also the next one */
#define VMMS	0x60
#define ROUNDS	300
#define FULL_ROUNDS	2000
#define GROW_ROUNDS	1000
#define MOVES	5000
#define FAR	1000	/* beyond a table that ends with OTHER */
#define TABLE	BAR_GPA
#define PBA	(BAR_GPA + 0x8000)

static u64 stop;
static u64 changes;
static u64 moves_only;

/* Change the message all the time, without masking. */
static void guest_mover(void)
{
	u64 i;

	mmio_write32(TABLE + ENTRY_CTRL, 0);
	for (i = 1; !READ_ONCE(stop); i++) {
		mmio_write32(TABLE + ENTRY_DATA, VEC + i % 2);
		WRITE_ONCE(changes, i);
	}
	GUEST_SYNC1(0);
}

static void guest_changer(void)
{
	u64 i;

	guest_init();
	if (moves_only)
		guest_mover();
	for (i = 0; !READ_ONCE(stop); i++) {
		mmio_write32(TABLE + ENTRY_CTRL, MASKED);
		mmio_write32(TABLE + ENTRY_DATA, VEC + i % 2);
		mmio_write32(TABLE + ENTRY_CTRL, 0);
		if (i % 4 == 3)
			mmio_write32(TABLE + ENTRY_DATA, VEC + 1);
		mmio_write32(TABLE + ENTRY_SIZE + ENTRY_CTRL, i % 2 ? 0 : MASKED);
		WRITE_ONCE(changes, i);
	}
	mmio_write32(TABLE + ENTRY_CTRL, MASKED);
	mmio_write32(TABLE + ENTRY_DATA, VEC);
	mmio_write32(TABLE + ENTRY_CTRL, 0);
	mmio_write32(TABLE + ENTRY_SIZE + ENTRY_CTRL, 0);
	for (;;)
		GUEST_SYNC1(0);
}

FIXTURE(gsi_race) {
	struct msix_vm *m;
	struct msix_dev d;
};

FIXTURE_SETUP(gsi_race)
{
	struct msix_state *s = msix_state_alloc(SIZE);
	int i;

	self->m = msix_vm_create(1, guest_changer);
	self->d = msix_create(self->m->vm, SIZE, 0);
	msix_set_addr(&self->d, TABLE, PBA);
	for (i = 0; i < SIZE; i++) {
		s->entry[i][0] = MSI_ADDR(0);
		s->entry[i][2] = VEC + 2;
		s->entry[i][3] = i ? 0 : MASKED;
	}
	s->control = ENABLE;
	ASSERT_EQ(0, __msix_set_state(self->d.fd, s));
	msix_state_free(s);
	msix_bind_one(&self->d, 0, -1, GSI);
}

FIXTURE_TEARDOWN(gsi_race)
{
	close(self->d.fd);
	msix_vm_free(self->m);
}

static void *vcpu_thread(void *arg)
{
	msix_vcpu_run(arg, 0);
	return NULL;
}

struct device {
	int irqfd;
	int event;
	bool stop;
};

static void *device_thread(void *arg)
{
	struct device *device = arg;
	int i;

	while (!READ_ONCE(device->stop)) {
		for (i = 0; i < 8; i++)
			event_signal(i % 2 ? device->irqfd : device->event);
		usleep(20);
	}
	return NULL;
}

TEST_F_TIMEOUT(gsi_race, everybody, 300)
{
	struct kvm_irq_routing_entry table = msi_route(OTHER, MSI_ADDR(0), VMMS);
	struct kvm_msix_binding on[NR - 1], off[NR - 1];
	struct device device = { event_create(), event_create() };
	u64 *irqs = self->m->cpu[0]->irqs, *changed = GUEST_VAR(self->m, changes), before;
	pthread_t vcpu, signaller;
	int i, spins;

	for (i = 0; i < NR - 1; i++) {
		on[i] = (struct kvm_msix_binding) { -1, MANY + i };
		off[i] = (struct kvm_msix_binding) { -1, -1 };
	}
	vm_irqfd(self->m->vm, device.irqfd, GSI, 0);
	msix_bind_one(&self->d, 0, device.event, GSI);
	ASSERT_EQ(0, __msix_set_gsi_routing(self->d.fd, 1, &table));
	ASSERT_EQ(0, pthread_create(&vcpu, NULL, vcpu_thread, self->m));
	ASSERT_EQ(0, pthread_create(&signaller, NULL, device_thread, &device));
	while (!READ_ONCE(*changed))
		usleep(1000);

	/* However little of the time the guest has had. */
	for (i = 0; i < ROUNDS || i % 4 || READ_ONCE(*changed) <= ROUNDS; i++) {
		switch (i % 4) {
		case 0:
			EXPECT_EQ(0, __msix_bind(self->d.fd, 1, NR - 1, on));
			break;
		case 1:
			EXPECT_EQ(0, __msix_set_gsi_routing(self->d.fd, 1, &table));
			break;
		case 2:
			EXPECT_EQ(0, __msix_bind(self->d.fd, 1, NR - 1, off));
			break;
		case 3:
			EXPECT_EQ(0, __kvm_set_gsi_routing(self->m->vm, 1, &table));
			break;
		}
		before = READ_ONCE(irqs[VMMS]);
		kvm_irq_pulse(self->m->vm, OTHER);
		for (spins = 0; READ_ONCE(irqs[VMMS]) == before && spins < 10000; spins++)
			usleep(100);
		ASSERT_EQ(before + 1, READ_ONCE(irqs[VMMS]));
	}

	WRITE_ONCE(device.stop, true);
	pthread_join(signaller, NULL);
	ASSERT_EQ(0, __msix_set_gsi_routing(self->d.fd, 1, &table));
	WRITE_ONCE(*GUEST_VAR(self->m, stop), 1);
	pthread_join(vcpu, NULL);
	/* Wait for the irqfd's work, and have the guest take its interrupts. */
	vm_irqfd(self->m->vm, device.irqfd, GSI, KVM_IRQFD_FLAG_DEASSIGN);
	vm_irqfd(self->m->vm, device.irqfd, GSI, 0);
	msix_irqs(self->m, 0, VEC, 0);
	TH_LOG("%lu changes in %i rounds; %lu and %lu interrupts", *changed, i, irqs[VEC],
	       irqs[VEC + 1]);

	/* The GSI has one route, with the last message; unbound GSIs have none. */
	before = irqs[VEC];
	event_signal(device.irqfd);
	EXPECT_EQ(before + 1, msix_irqs(self->m, 0, VEC, before + 1));
	kvm_irq_pulse(self->m->vm, GSI);
	EXPECT_EQ(before + 2, msix_irqs(self->m, 0, VEC, before + 2));
	before = irqs[VEC + 2];
	kvm_irq_pulse(self->m->vm, MANY);
	EXPECT_EQ(before, msix_irqs(self->m, 0, VEC + 2, 0));
	msix_bind_one(&self->d, 0, -1, -1);
	before = irqs[VEC];
	kvm_irq_pulse(self->m->vm, GSI);
	EXPECT_EQ(before, msix_irqs(self->m, 0, VEC, 0));
}

/*
 * If BIND fails, vector 0 keeps its GSI, however often the guest changes the
 * vector meanwhile. The last vector of the call fails, long after the first.
 */
TEST_F_TIMEOUT(gsi_race, bind_fails, 300)
{
	struct msix_dev other = msix_create(self->m->vm, 1, 0);
	struct kvm_msix_binding v[SIZE];
	pthread_t vcpu;
	u64 before;
	int i;

	memset(v, 0xff, sizeof(v));
	v[SIZE - 1].eventfd = INT_MAX;
	ASSERT_EQ(0, pthread_create(&vcpu, NULL, vcpu_thread, self->m));
	while (!READ_ONCE(*GUEST_VAR(self->m, changes)))
		usleep(1000);

	for (i = 0; i < ROUNDS; i++) {
		/* To another GSI, or to none. */
		v[0].gsi = i % 2 ? OTHER : -1;
		EXPECT_EQ(EBADF, __msix_bind(self->d.fd, 0, SIZE, v));
		ASSERT_EQ(EBUSY, __msix_bind_one(other.fd, 0, -1, GSI));
		ASSERT_EQ(0, __msix_bind_one(other.fd, 0, -1, OTHER));
		ASSERT_EQ(0, __msix_bind_one(other.fd, 0, -1, -1));
	}

	WRITE_ONCE(*GUEST_VAR(self->m, stop), 1);
	pthread_join(vcpu, NULL);
	EXPECT_GT(*GUEST_VAR(self->m, changes), 0);
	before = self->m->cpu[0]->irqs[VEC];
	kvm_irq_pulse(self->m->vm, GSI);
	EXPECT_EQ(before + 1, msix_irqs(self->m, 0, VEC, before + 1));
	close(other.fd);
}

static void *pulse_thread(void *arg)
{
	struct msix_vm *m = arg;

	while (!READ_ONCE(*GUEST_VAR(m, stop)))
		kvm_irq_pulse(m->vm, OTHER);
	return NULL;
}

/*
 * KVM copies a GSI's entries to its stack, without a check: the array has room
 * for one entry for each irqchip, and the VMM may set as many. When the
 * module's entry replaces them, the list must never have one entry more.
 *
 * A list that is too long is too long only between two stores, and only a reader
 * that begins in this moment finds out. To hit the moment takes luck, or
 * tools/testing/slow, which holds the function that changes the list.
 */
TEST_F_TIMEOUT(gsi_race, full_list, 300)
{
	struct kvm_irq_routing_entry table[KVM_NR_IRQCHIPS] = {
		{ .u.irqchip = { KVM_IRQCHIP_PIC_MASTER, 3 } },
		{ .u.irqchip = { KVM_IRQCHIP_PIC_SLAVE, 3 } },
		{ .u.irqchip = { KVM_IRQCHIP_IOAPIC, 20 } },
	};
	struct kvm_irqchip pic = { .chip_id = KVM_IRQCHIP_PIC_MASTER };
	struct msix_dev other = msix_create(self->m->vm, 1, 0);
	struct msix_state *s = msix_state_alloc(1);
	pthread_t pulser;
	u64 before;
	int i;

	for (i = 0; i < KVM_NR_IRQCHIPS; i++) {
		table[i].gsi = OTHER;
		table[i].type = KVM_IRQ_ROUTING_IRQCHIP;
	}
	/* Mask the PIC, which the guest does not set up: its first vector is 0. */
	vm_ioctl(self->m->vm, KVM_GET_IRQCHIP, &pic);
	pic.chip.pic.imr = 0xff;
	vm_ioctl(self->m->vm, KVM_SET_IRQCHIP, &pic);
	s->entry[0][0] = MSI_ADDR(0);
	s->entry[0][2] = VEC + 3;
	ASSERT_EQ(0, __msix_set_state(other.fd, s));
	msix_state_free(s);
	msix_bind_one(&other, 0, -1, OTHER);

	ASSERT_EQ(0, pthread_create(&pulser, NULL, pulse_thread, self->m));
	for (i = 0; i < FULL_ROUNDS; i++) {
		EXPECT_EQ(0, __kvm_set_gsi_routing(self->m->vm, KVM_NR_IRQCHIPS, table));
		msix_control(&other, ENABLE);
	}
	WRITE_ONCE(*GUEST_VAR(self->m, stop), 1);
	pthread_join(pulser, NULL);

	/* The VMM's entries are gone, the module's is there. */
	before = msix_irqs(self->m, 0, VEC + 3, 0);
	kvm_irq_pulse(self->m->vm, OTHER);
	EXPECT_EQ(before + 1, msix_irqs(self->m, 0, VEC + 3, before + 1));
	close(other.fd);
}

/* How many vCPUs get the interrupt; negative: the GSI has no route. */
static int kvm_irq_line_status(struct kvm_vm *vm, u32 gsi)
{
	struct kvm_irq_level line = { .irq = gsi, .level = 1 };

	vm_ioctl(vm, KVM_IRQ_LINE_STATUS, &line);
	return line.status;
}

/*
 * Each injection by GSI is one interrupt, by the old message or by the new one,
 * also while the new message replaces the old one.
 */
TEST_F_TIMEOUT(gsi_race, moves, 300)
{
	u64 *moved = GUEST_VAR(self->m, changes), begun, i, wrong = 0;
	pthread_t vcpu;

	*GUEST_VAR(self->m, moves_only) = 1;
	ASSERT_EQ(0, pthread_create(&vcpu, NULL, vcpu_thread, self->m));
	while (!READ_ONCE(*moved))
		usleep(1000);
	begun = READ_ONCE(*moved);
	for (i = 0; i < MOVES || READ_ONCE(*moved) < begun + 100; i++)
		wrong += kvm_irq_line_status(self->m->vm, GSI) != 1;
	EXPECT_EQ(0, wrong);
	WRITE_ONCE(*GUEST_VAR(self->m, stop), 1);
	pthread_join(vcpu, NULL);
}

/* Rounds of the next test: the table is small; a BIND begins; the BIND is done. */
struct resize {
	struct kvm_vm *vm;
	u64 small;
	u64 begun;
	u64 done;
};

static void wait_for_round(u64 *count, u64 round)
{
	while (READ_ONCE(*count) < round)
		sched_yield();
}

/* Returns how often the VMM's table was lost, or could not be set. */
static void *resize_thread(void *arg)
{
	struct kvm_irq_routing_entry small = msi_route(OTHER, MSI_ADDR(0), VMMS);
	struct kvm_irq_routing_entry large = msi_route(KVM_MAX_IRQ_ROUTES - 1, MSI_ADDR(0), VMMS);
	struct resize *r = arg;
	u64 lost = 0, i;

	for (i = 1; i <= GROW_ROUNDS; i++) {
		lost += !!__kvm_set_gsi_routing(r->vm, 1, &small);
		WRITE_ONCE(r->small, i);
		wait_for_round(&r->begun, i);
		lost += !!__kvm_set_gsi_routing(r->vm, 1, &large);
		wait_for_round(&r->done, i);
		lost += kvm_irq_line_status(r->vm, KVM_MAX_IRQ_ROUTES - 1) < 0;
	}
	return (void *)lost;
}

/*
 * KVM's table has no room for a GSI. When the module is about to replace KVM's
 * table by a larger table, the VMM may have set an even larger table.
 */
TEST_F_TIMEOUT(gsi_race, table_grows, 300)
{
	struct kvm_irq_routing_entry small = msi_route(OTHER, MSI_ADDR(0), VMMS);
	struct msix_dev other = msix_create(self->m->vm, 1, 0);
	struct msix_state *s = msix_state_alloc(1);
	struct resize resize = { .vm = self->m->vm };
	pthread_t resizer;
	void *lost;
	u64 before, i;

	s->entry[0][0] = MSI_ADDR(0);
	s->entry[0][2] = VEC + 3;
	s->control = ENABLE;
	ASSERT_EQ(0, __msix_set_state(other.fd, s));
	msix_state_free(s);

	ASSERT_EQ(0, pthread_create(&resizer, NULL, resize_thread, &resize));
	for (i = 1; i <= GROW_ROUNDS; i++) {
		wait_for_round(&resize.small, i);
		WRITE_ONCE(resize.begun, i);
		EXPECT_EQ(0, __msix_bind_one(other.fd, 0, -1, FAR));
		WRITE_ONCE(resize.done, i);
		EXPECT_EQ(0, __msix_bind_one(other.fd, 0, -1, -1));
	}
	pthread_join(resizer, &lost);
	*GUEST_VAR(self->m, stop) = 1;
	EXPECT_EQ(NULL, lost);

	ASSERT_EQ(0, __kvm_set_gsi_routing(self->m->vm, 1, &small));
	msix_bind_one(&other, 0, -1, FAR);
	before = msix_irqs(self->m, 0, VEC + 3, 0);
	kvm_irq_pulse(self->m->vm, FAR);
	EXPECT_EQ(before + 1, msix_irqs(self->m, 0, VEC + 3, before + 1));
	close(other.fd);
}

KVM_MSIX_TEST_MAIN
