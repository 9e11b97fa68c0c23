// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of every kind, meaningful or not: delivery modes, destinations,
 * trigger modes, vectors and address bits, with xAPICs and with x2APICs, by an
 * eventfd and by a GSI. 21 of kvm_msix-semantics.rst.
 *
 * The judge is KVM_SIGNAL_MSI. The vCPUs never run: the effect of a message on
 * a vCPU is read from its local APIC and its pending events, to the last bit. A
 * message that no device may send is dropped and counted. In either case the
 * next message must work, and nothing may be printed.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "hostile.h"

#define NR_VCPUS	3
#define GSI		70
#define GOOD_VEC	0x91

#define APIC_LDR	0xd0
#define APIC_DFR	0xe0

#define TRIGGER_LEVEL	0x8000u
#define LEVEL_ASSERT	0x4000u

/* All state of a vCPU that a message can change. */
struct apic_state {
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
};

struct machine {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[NR_VCPUS];
	struct apic_state idle[NR_VCPUS];
	struct msix_dev d;
	int event;
	int log;
};

static void get_state(struct kvm_vcpu *vcpu, struct apic_state *s)
{
	memset(s, 0, sizeof(*s));
	vcpu_events_get(vcpu, &s->events);
	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &s->lapic);
	/* Get this last: KVM then carries out a pending INIT. */
	vcpu_mp_state_get(vcpu, &s->mp);
	/* The timer's count changes with time. */
	memset(s->lapic.regs + APIC_TMCCT, 0, 4);
}

static void set_idle(struct machine *m)
{
	u32 i;

	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_mp_state_set(m->vcpu[i], &m->idle[i].mp);
		vcpu_ioctl(m->vcpu[i], KVM_SET_LAPIC, &m->idle[i].lapic);
		vcpu_events_set(m->vcpu[i], &m->idle[i].events);
	}
}

static void set_reg(struct apic_state *s, u32 reg, u32 val)
{
	memcpy(s->lapic.regs + reg, &val, 4);
}

static void never(void)
{
}

static void machine_create(struct machine *m, bool x2apic)
{
	struct kvm_sregs sregs;
	u32 i;

	m->log = log_open();
	m->vm = vm_create_with_vcpus(NR_VCPUS, never, m->vcpu);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_sregs_get(m->vcpu[i], &sregs);
		sregs.apic_base |= MSR_IA32_APICBASE_ENABLE;
		if (x2apic)
			sregs.apic_base |= MSR_IA32_APICBASE_EXTD;
		vcpu_sregs_set(m->vcpu[i], &sregs);

		get_state(m->vcpu[i], &m->idle[i]);
		set_reg(&m->idle[i], APIC_SPIV, 0xff | APIC_SPIV_APIC_ENABLED);
		if (!x2apic) {
			set_reg(&m->idle[i], APIC_DFR, ~0u);
			set_reg(&m->idle[i], APIC_LDR, 1u << (24 + i));
		}
		m->idle[i].mp.mp_state = KVM_MP_STATE_RUNNABLE;
		m->idle[i].events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SMM;
	}
	set_idle(m);

	m->d = msix_create(m->vm, 2, 0);
	m->event = event_create();
	msix_bind_one(&m->d, 0, m->event, -1);
	msix_bind_one(&m->d, 1, -1, msix_gsi(GSI));
}

static void machine_free(struct machine *m)
{
	close(m->d.fd);
	close(m->event);
	close(m->log);
	kvm_vm_free(m->vm);
}

/* Write the message to both entries, unmasked. */
static void program(struct machine *m, u64 addr, u32 data)
{
	struct msix_state *s = msix_state_alloc(2);
	int i;

	s->control = ENABLE;
	for (i = 0; i < 2; i++) {
		s->entry[i][0] = addr;
		s->entry[i][1] = addr >> 32;
		s->entry[i][2] = data;
	}
	TEST_ASSERT(!__msix_set_state(m->d.fd, s), "SET_STATE");
	msix_state_free(s);
}

enum path { BY_SIGNAL_MSI, BY_EVENTFD, BY_PENDING, BY_GSI };

static void send(struct machine *m, enum path by, u64 addr, u32 data)
{
	struct kvm_msi msi = { .address_lo = addr, .address_hi = addr >> 32, .data = data };

	switch (by) {
	case BY_SIGNAL_MSI:
		/* It is no error here if no vCPU takes the message. */
		ioctl(m->vm->fd, KVM_SIGNAL_MSI, &msi);
		break;
	case BY_EVENTFD:
		event_signal(m->event);
		/* If each vCPU is visited, a work sends; this waits for the work. */
		msix_pending(&m->d, 0);
		break;
	case BY_PENDING:
		msix_control(&m->d, ENABLE | FUNCTION_MASK);
		event_signal(m->event);
		msix_control(&m->d, ENABLE);
		break;
	case BY_GSI:
		kvm_irq_pulse(m->vm, GSI);
		break;
	}
}

static void effect(struct machine *m, enum path by, u64 addr, u32 data, struct apic_state *s)
{
	u32 i;

	set_idle(m);
	send(m, by, addr, data);
	for (i = 0; i < NR_VCPUS; i++)
		get_state(m->vcpu[i], &s[i]);
}

static bool changed(struct machine *m, struct apic_state *s)
{
	struct apic_state now[NR_VCPUS];
	u32 i;

	set_idle(m);
	for (i = 0; i < NR_VCPUS; i++)
		get_state(m->vcpu[i], &now[i]);
	return memcmp(now, s, sizeof(now));
}

struct sender {
	struct machine m;
	struct apic_state good[NR_VCPUS];
	bool counted;
	u32 sent;
	u32 took_effect;
	u32 refused;
};

FIXTURE(message) {
	struct sender s;
};

FIXTURE_VARIANT(message) {
	bool x2apic;
};

FIXTURE_VARIANT_ADD(message, xapic) {
	.x2apic = false,
};

FIXTURE_VARIANT_ADD(message, x2apic) {
	.x2apic = true,
};

FIXTURE_SETUP(message)
{
	self->s.counted = kvm_msix_has_counters();
	machine_create(&self->s.m, variant->x2apic);
	effect(&self->s.m, BY_SIGNAL_MSI, MSI_ADDR(1), GOOD_VEC, self->s.good);
	ASSERT_TRUE(changed(&self->s.m, self->s.good));
}

FIXTURE_TEARDOWN(message)
{
	machine_free(&self->s.m);
}

/*
 * The address for the judge. The SDM does not know a redirection hint with the
 * physical broadcast: KVM prints a line about it, so leave the hint out.
 */
static u64 comparable(u64 addr)
{
	if ((addr & ~0xfffff000ull) == MSI_REDIRECT && (addr >> 12 & 0xff) == 0xff)
		return addr & ~0x8ull;
	return addr;
}

/* Send one message by each path. Returns NULL, or what was wrong. */
static const char *try_one(struct sender *self, u64 addr, u32 data, bool valid)
{
	static struct apic_state want[NR_VCPUS], got[NR_VCPUS];
	u64 dropped = 0, delivered = 0, n;
	struct machine *m = &self->m;
	enum path by;
	bool differs;

	set_idle(m);
	if (valid) {
		effect(m, BY_SIGNAL_MSI, comparable(addr), data, want);
		self->took_effect += changed(m, want);
	} else {
		u32 i;

		for (i = 0; i < NR_VCPUS; i++)
			get_state(m->vcpu[i], &want[i]);
		self->refused++;
	}
	log_mark(m->log);
	program(m, addr, data);
	for (by = BY_EVENTFD; by <= BY_GSI; by++) {
		if (by == BY_GSI && msix_gsi(GSI) != GSI)
			continue;
		if (self->counted) {
			dropped = kvm_msix_counter("dropped");
			delivered = kvm_msix_counter("delivered");
		}
		effect(m, by, addr, data, got);
		self->sent++;
		differs = memcmp(want, got, sizeof(got));
		if (differs)
			return by == BY_GSI ? "another effect by the GSI" : "another effect";
		if (!self->counted || by == BY_GSI)
			continue;
		n = kvm_msix_counter("dropped") - dropped;
		delivered = kvm_msix_counter("delivered") - delivered;
		if (n + delivered != 1)
			return "neither delivered nor dropped, or both";
		if (!valid && !n)
			return "invalid, and not dropped";
	}
	if (msix_pending(&m->d, 0))
		return "it is still pending";
	if (log_lines(m->log))
		return "it has printed";

	/* The entry stays usable. */
	program(m, MSI_ADDR(1), GOOD_VEC);
	effect(m, BY_EVENTFD, 0, 0, got);
	if (memcmp(got, self->good, sizeof(got)))
		return "the next one has not come";
	return NULL;
}

#define TRY(addr, data, valid)							\
do {										\
	u64 __addr = (addr);							\
	u32 __data = (data);							\
	const char *__wrong = try_one(s, __addr, __data, valid);			\
										\
	ASSERT_EQ(NULL, __wrong) {						\
		TH_LOG("address %#lx data %#x: %s", __addr, __data, __wrong);	\
	}									\
} while (0)

static bool mode_valid(u32 mode)
{
	return mode != 3 && mode != 6;
}

/*
 * Every delivery mode with every kind of destination, hint and trigger: to one
 * vCPU, to several, to none, to all; SMI, NMI, INIT and ExtINT included.
 */
TEST_F_TIMEOUT(message, modes, 300)
{
	static const u32 dests[] = { 0, 3, 8, 0xff };
	static const u32 flags[] = { 0, MSI_LOGICAL, MSI_REDIRECT, MSI_LOGICAL | MSI_REDIRECT };
	static const u32 triggers[] = { 0, TRIGGER_LEVEL | LEVEL_ASSERT, TRIGGER_LEVEL };
	struct sender *s = &self->s;
	u32 mode, i, j, k;

	for (mode = 0; mode < 8; mode++)
		for (i = 0; i < ARRAY_SIZE(dests); i++)
			for (j = 0; j < ARRAY_SIZE(flags); j++)
				for (k = 0; k < ARRAY_SIZE(triggers); k++) {
					TRY(MSI_ADDR(dests[i]) | flags[j],
					    triggers[k] | MSI_MODE(mode) | 0x51, mode_valid(mode));
				}
	TH_LOG("%u sent, %u of %u kinds took effect", s->sent, s->took_effect,
	       s->sent / (msix_gsi(GSI) == GSI ? 3 : 2));
	EXPECT_GT(s->took_effect, 100);
	EXPECT_EQ(2 * 4 * 4 * 3, s->refused);
}

/* Interrupt vectors, of which 0 to 15 are not valid. */
TEST_F(message, vectors)
{
	static const u32 vectors[] = { 0, 1, 2, 8, 13, 14, 15, 16, 31, 32, 128, 255 };
	static const u32 modes[] = { 0, 1, 7 };
	struct sender *s = &self->s;
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(vectors); i++)
		for (j = 0; j < ARRAY_SIZE(modes); j++) {
			TRY(MSI_ADDR(1), MSI_MODE(modes[j]) | vectors[i], true);
			TRY(MSI_ADDR(3) | MSI_LOGICAL, MSI_MODE(modes[j]) | vectors[i], true);
		}
}

/* Addresses where no local APIC listens, and bits that mean nothing. */
TEST_F(message, addresses)
{
	static const u64 wild[] = {
		0, 1, 0xfff, 0xfedfffff, 0xfef00000, 0xfec00000, 0xffe00000, 0x7ee00000,
		0xffffffff, 0xffffffffffffffff, 0x1fee00000, 0x100fee01000, 0x8000000000000000,
		0xfee0000000000000, 0xffffffff00000000, 0xfee00000fee00000, BAR_GPA,
	};
	static const u64 ignored[] = { 0x1, 0x2, 0x3, 0x10, 0x20, 0x800, 0xff0, 0xff3 };
	struct sender *s = &self->s;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(wild); i++) {
		TRY(wild[i], 0x51, false);
		TRY(wild[i], ~0u, false);
	}
	for (i = 0; i < ARRAY_SIZE(ignored); i++)
		TRY(MSI_ADDR(1) | ignored[i], 0x51, true);
	/* Only 16 bits of data act. */
	TRY(MSI_ADDR(1), 0xffff0051, true);
	TRY(MSI_ADDR(1), 0x00003851, true);
}

/* 32-bit ids and extended destination ids, which no vCPU has. */
TEST(big_ids)
{
	static const u64 ids[] = { 0x100, 0x101, 0x7f00, 0xffffff00, 0xffffffff };
	struct sender *s = calloc(1, sizeof(*s));
	u32 mode, i;

	ASSERT_NE(NULL, s);
	s->counted = kvm_msix_has_counters();
	machine_create(&s->m, true);
	vm_enable_cap(s->m.vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
		      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	/* With 32-bit ids, the APIC ID register has another format. */
	for (i = 0; i < NR_VCPUS; i++)
		set_reg(&s->m.idle[i], APIC_ID, i);
	effect(&s->m, BY_SIGNAL_MSI, MSI_ADDR(1), GOOD_VEC, s->good);

	for (mode = 0; mode < 8; mode++)
		for (i = 0; i < ARRAY_SIZE(ids); i++) {
			TRY((ids[i] & ~0xffull) << 32 | MSI_ADDR(ids[i] & 0xff),
			    MSI_MODE(mode) | 0x51, mode_valid(mode));
			TRY((ids[i] & ~0xffull) << 32 | MSI_ADDR(ids[i] & 0xff) | MSI_LOGICAL,
			    MSI_MODE(mode) | 0x51, mode_valid(mode));
		}
	/* Bits 7:0 of the upper half are reserved. */
	TRY(1ull << 32 | MSI_ADDR(1), 0x51, false);
	TRY(0x80ull << 32 | MSI_ADDR(1), 0x51, false);
	machine_free(&s->m);
	free(s);
}

KVM_MSIX_TEST_MAIN
