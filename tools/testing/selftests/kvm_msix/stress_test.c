// SPDX-License-Identifier: GPL-2.0-only
/*
 * 13 of kvm_msix-semantics.rst against everything at once, with books: see
 * stress.h. This file has the VMM's part, which runs in laps. A lap is each
 * operation once, in random order, while guest and device run; for operations
 * that need a stopped guest, the guest waits at the gate. The last operation of
 * a lap is always the audit.
 *
 * usage: stress_test [-t SECONDS] [-s SEED] [-c VCPUS]
 * Runs whole laps until SECONDS are over, half of the time with 4 vCPUs and
 * half with 2, or all of it with VCPUS. The seed decides what each party does,
 * not which party comes first.
 */
#include <getopt.h>

#include "stress_vmm.h"

/*
 * Places for table and PBA, aligned to pages or not, some across pages. The
 * aligned ones are guest memory if msix_mapped().
 */
static const struct {
	u64 table;
	u64 pba;
} places[] = {
	{ BAR_GPA, BAR_GPA + MAPPED_PBA },
	{ BAR_GPA + 0x4ff8, BAR_GPA + 0x4008 },
	{ BAR_GPA + 0x8d08, BAR_GPA + 0x9ff8 },
	{ BAR_GPA + 0x10000, BAR_GPA + 0x10000 + MAPPED_PBA },
};

static u64 random_number(struct stress *s)
{
	return msix_random(&s->random);
}

/* Wait for some cycles, so that the other parties get on. */
static void let_run(struct stress *s, u64 cycles)
{
	u64 before = 0, now, i;

	for (i = 0; i < s->nr_cpus; i++)
		before += s->g->cpu[i].cycles;
	stress_wait(({
		for (now = 0, i = 0; i < s->nr_cpus; i++)
			now += READ_ONCE(s->g->cpu[i].cycles);
		now >= before + cycles;
	}));
}

/* At the closed gate, all vCPUs are between two cycles and hold no interrupt. */
static void close_gate(struct stress *s)
{
	u32 i;

	WRITE_ONCE(s->g->gate, s->g->gate + 1);
	for (i = 0; i < s->nr_cpus; i++)
		stress_wait(READ_ONCE(s->g->cpu[i].gate) == s->g->gate);
}

static void open_gate(struct stress *s)
{
	WRITE_ONCE(s->g->gate, s->g->gate + 1);
}

/* vCPUs may wait for the device: stop the device last, and start the device first. */
static void rest(struct stress *s)
{
	close_gate(s);
	stress_device_park(s);
	stress_rest(s);
}

static void go(struct stress *s)
{
	stress_device_go(s);
	open_gate(s);
}

static void set_control(struct stress *s, u32 set, u32 clear)
{
	pthread_mutex_lock(&s->control_lock);
	s->control = (s->control & ~clear) | set;
	msix_control(&s->d, s->control);
	pthread_mutex_unlock(&s->control_lock);
}

/* Bind vectors @first to @end - 1 to one of their eventfds each, or to none. */
static void bind_range(struct stress *s, u32 first, u32 end, bool on)
{
	struct kvm_msix_binding to[STRESS_NR];
	u32 v;

	pthread_mutex_lock(&s->bind_lock);
	for (v = first; v < end; v++) {
		WRITE_ONCE(s->bound[v], on ? random_number(s) & 1 : -1);
		to[v - first] = (struct kvm_msix_binding) { -1, -1 };
		if (on)
			to[v - first] = (struct kvm_msix_binding) {
				s->event[v][s->bound[v]],
				s->gsis ? stress_gsi(v) : STRESS_NO_GSI,
			};
	}
	TEST_ASSERT_EQ(__msix_bind(s->d.fd, first, end - first, to), 0);
	pthread_mutex_unlock(&s->bind_lock);
}

static void tell_place(struct stress *s, u64 table, u64 pba)
{
	WRITE_ONCE(s->g->old_table, s->g->table);
	WRITE_ONCE(s->g->pba, pba);
	WRITE_ONCE(s->g->table, table);
}

/* Move directly, or by way of NOWHERE, where all accesses exit to the VMM. */
static void move_to(struct stress *s, u32 i, bool by_nowhere)
{
	if (places[i].table == s->d.table)
		return;
	WRITE_ONCE(s->g->moves, s->g->moves + 1);
	if (by_nowhere) {
		msix_set_addr(&s->d, NOWHERE, NOWHERE);
		usleep(random_number(s) % 1000);
	}
	msix_set_addr(&s->d, places[i].table, places[i].pba);
	tell_place(s, places[i].table, places[i].pba);
	WRITE_ONCE(s->g->moves, s->g->moves + 1);
}

static void move(struct stress *s, bool by_nowhere)
{
	u32 i;

	do {
		i = random_number(s) % ARRAY_SIZE(places);
	} while (places[i].table == s->d.table);
	move_to(s, i, by_nowhere);
}

static void op_move(struct stress *s)
{
	move(s, false);
}

static void op_move_by_nowhere(struct stress *s)
{
	move(s, true);
}

static void op_unbind(struct stress *s)
{
	u32 first = random_number(s) % STRESS_NR;
	u32 end = first + 1 + random_number(s) % (STRESS_NR - first);

	bind_range(s, first, end, false);
	let_run(s, 8);
	bind_range(s, first, end, true);
}

/*
 * Rebind the vectors: every event of either eventfd must reach the vector. Bind
 * alternately with and without GSIs, which a mapped function cannot have.
 */
static void op_rebind(struct stress *s)
{
	s->gsis = !s->gsis && !msix_mapped();
	bind_range(s, 0, STRESS_NR, true);
}

/* Clear Enable: after the ioctl, signals send no message. */
static void op_disable(struct stress *s)
{
	u64 before, beats;

	set_control(s, 0, ENABLE);
	stress_flush(s);
	before = stress_irqs(s->g);
	beats = READ_ONCE(s->g->beats);
	stress_wait(READ_ONCE(s->g->beats) >= beats + 16);
	TEST_ASSERT_EQ(stress_irqs(s->g), before);
	set_control(s, ENABLE, 0);
}

static struct msix_state *save(struct stress *s)
{
	bind_range(s, 0, STRESS_NR, false);
	return msix_get_state(s->d.fd, STRESS_NR);
}

/* A new function takes over state, address and eventfds. */
static void restore(struct stress *s, struct msix_state *state)
{
	struct msix_dev old = s->d;
	u64 table = old.table, pba = old.pba;

	stress_retire(s);
	s->d = msix_create(s->m->vm, STRESS_NR, 0);
	TEST_ASSERT_EQ(__msix_set_state(s->d.fd, state), 0);
	s->control = state->control;
	TEST_ASSERT_EQ(__msix_set_addr(s->d.fd, table, pba), EEXIST);
	msix_set_addr(&old, NOWHERE, NOWHERE);
	msix_set_addr(&s->d, table, pba);
	bind_range(s, 0, STRESS_NR, true);
	close(old.fd);
}

/* Take over while the device signals: events meanwhile wait in the eventfds. */
static void op_take_over(struct stress *s)
{
	struct msix_state *state, *back;

	close_gate(s);
	state = save(s);
	restore(s, state);
	stress_device_park(s);
	back = msix_get_state(s->d.fd, STRESS_NR);
	TEST_ASSERT_EQ(back->control, state->control);
	TEST_ASSERT(!memcmp(back->entry, state->entry, STRESS_NR * ENTRY_SIZE), "SET_STATE");
	msix_state_free(back);
	msix_state_free(state);
	stress_audit(s);
	go(s);
}

/* Save with Function Mask, restore without: SET_STATE sends pending events. */
static void op_take_over_sending(struct stress *s)
{
	struct msix_state *state;
	u64 before, pending = 0;
	u32 v;

	close_gate(s);
	set_control(s, FUNCTION_MASK, 0);
	stress_flush(s);
	before = stress_irqs(s->g);
	state = save(s);
	state->control = ENABLE;
	for (v = 0; v < STRESS_NR; v++)
		pending += state->pba[0] >> v & 1 && !(state->entry[v][ENTRY_CTRL / 4] & MASKED);
	restore(s, state);
	msix_state_free(state);
	stress_device_park(s);
	stress_flush(s);
	TEST_ASSERT(stress_irqs(s->g) >= before + pending, "%lu interrupts of %lu",
		    stress_irqs(s->g) - before, pending);
	stress_audit(s);
	go(s);
}

static void forget_table(struct stress *s)
{
	u32 v;

	s->control = 0;
	WRITE_ONCE(s->g->resets, s->g->resets + 1);
	for (v = 0; v < STRESS_NR; v++) {
		s->g->vec[v].programmed = 0;
		s->g->vec[v].masked = 1;
	}
}

/* At rest, a reset discards exactly the pending events. */
static void reset(struct stress *s)
{
	struct msix_state *state;
	u64 pending, discarded, irqs;

	state = msix_get_state(s->d.fd, STRESS_NR);
	pending = state->pba[0] >> (STRESS_NR / 3) << (STRESS_NR / 3);
	msix_state_free(state);
	irqs = stress_irqs(s->g);
	msix_reset(&s->d);
	state = msix_get_state(s->d.fd, STRESS_NR);
	TEST_ASSERT(msix_state_is_reset(state), "not as after power-on");
	msix_state_free(state);
	discarded = stress_discard(s);
	TEST_ASSERT(discarded == pending, "0x%lx was discarded of 0x%lx", discarded, pending);
	forget_table(s);
	stress_audit(s);
	TEST_ASSERT_EQ(stress_irqs(s->g), irqs);
	set_control(s, ENABLE, 0);
	stress_audit(s);
	TEST_ASSERT_EQ(stress_irqs(s->g), irqs);
}

static void op_reset(struct stress *s)
{
	rest(s);
	reset(s);
	go(s);
}

/*
 * For guest memory. As no vector is pending, the table is no longer watched, or the
 * pages are about to be protected a last time, or have just been: some 33 ms after a
 * store. From then on, allow no ioctl that would find an unmask that the kernel has
 * missed.
 */
static void op_unwatched(struct stress *s)
{
	move_to(s, 0, false);
	rest(s);
	reset(s);
	usleep(random_number(s) % 40000);
	WRITE_ONCE(s->g->hush, 1);
	go(s);
	let_run(s, 16 * s->nr_cpus);
	rest(s);
	stress_audit(s);
	WRITE_ONCE(s->g->hush, 0);
	go(s);
}

/* Reset while events come: each event is before the reset or after it. */
static void op_reset_under_fire(struct stress *s)
{
	u64 irqs;

	close_gate(s);
	usleep(random_number(s) % 1000);
	msix_reset(&s->d);
	stress_flush(s);
	irqs = stress_irqs(s->g);
	stress_device_park(s);
	stress_flush(s);
	TEST_ASSERT_EQ(stress_irqs(s->g), irqs);
	stress_discard(s);
	forget_table(s);
	stress_audit(s);
	go(s);
	set_control(s, ENABLE, 0);
}

/* Set the VMM's routing table, by KVM's ioctl, and then by the module's. */
static void op_routing(struct stress *s)
{
	struct kvm_irq_routing_entry e = msi_route(STRESS_VMM_GSI, MSI_ADDR(0), STRESS_VMM_IRQ);
	u64 *irqs = &s->m->cpu[0]->irqs[STRESS_VMM_IRQ];
	int i;

	if (random_number(s) & 1)
		TEST_ASSERT_EQ(__kvm_set_gsi_routing(s->m->vm, 1, &e), 0);
	for (i = 0; i < 4; i++) {
		TEST_ASSERT_EQ(__msix_set_gsi_routing(s->d.fd, 1, &e), 0);
		s->vmm_sent++;
		kvm_irq_pulse(s->m->vm, STRESS_VMM_GSI);
		stress_flush(s);
		TEST_ASSERT_EQ(READ_ONCE(*irqs), s->vmm_sent);
	}
}

static void op_audit(struct stress *s)
{
	rest(s);
	stress_audit(s);
	stress_pulse(s);
	stress_audit(s);
	go(s);
}

typedef void (*op_fn)(struct stress *s);

static const op_fn ops[] = {
	op_move, op_move, op_move_by_nowhere, op_unbind, op_unbind, op_rebind, op_rebind,
	op_disable, op_take_over, op_take_over_sending, op_reset, op_reset_under_fire,
	op_routing, op_audit, op_unwatched,
};

static void lap(struct stress *s)
{
	op_fn order[ARRAY_SIZE(ops)], op;
	u32 i, j;

	memcpy(order, ops, sizeof(ops));
	for (i = ARRAY_SIZE(ops) - 1; i; i--) {
		j = random_number(s) % (i + 1);
		op = order[i];
		order[i] = order[j];
		order[j] = op;
	}
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		order[i](s);
		let_run(s, 8);
	}
	op_audit(s);
}

/* A vCPU exits for the VMM's registers, or at the table's old address. */
static void handle_mmio(struct stress *s, u32 cpu, struct kvm_run *run)
{
	u64 gpa = run->mmio.phys_addr;

	if (gpa == STRESS_CONTROL)
		set_control(s, run->mmio.data[0] ? FUNCTION_MASK : 0, FUNCTION_MASK);
	else if (gpa == STRESS_FENCE)
		msix_state_free(msix_get_state(s->d.fd, STRESS_NR));
	else if (gpa != STRESS_YIELD)
		WRITE_ONCE(s->g->cpu[cpu].missed, s->g->cpu[cpu].missed + 1);
	memset(run->mmio.data, 0xee, 8);
	/* A vCPU waits: leave the CPU to the other parties. */
	if (gpa != STRESS_CONTROL)
		usleep(20);
}

struct vcpu_arg {
	struct stress *s;
	u32 cpu;
};

static void *vcpu_thread(void *data)
{
	struct vcpu_arg *arg = data;
	struct kvm_vcpu *vcpu = arg->s->m->vcpu[arg->cpu];
	struct ucall uc;

	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
			handle_mmio(arg->s, arg->cpu, vcpu->run);
			continue;
		}
		switch (get_ucall(vcpu, &uc)) {
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
			break;
		case UCALL_DONE:
			free(arg);
			return NULL;
		default:
			TEST_FAIL("exit reason %u (%s)", vcpu->run->exit_reason,
				  exit_reason_str(vcpu->run->exit_reason));
		}
	}
}

static struct stress *create(u32 nr_cpus, u64 seed)
{
	struct stress *s = calloc(1, sizeof(*s));
	u32 i;

	TEST_ASSERT(s, "calloc");
	s->nr_cpus = nr_cpus;
	s->random = seed;
	pthread_mutex_init(&s->bind_lock, NULL);
	pthread_mutex_init(&s->control_lock, NULL);
	pthread_mutex_init(&s->park_lock, NULL);
	pthread_cond_init(&s->park_cond, NULL);

	s->m = msix_vm_create(nr_cpus, stress_guest_main);
	for (i = STRESS_IRQ; i < STRESS_IRQ + STRESS_IRQS; i++)
		vm_install_exception_handler(s->m->vm, i, stress_guest_irq);
	s->g = GUEST_VAR(s->m, stress_guest);
	s->g->nr_cpus = nr_cpus;
	s->g->mapped = msix_mapped();
	s->gsis = !msix_mapped();
	for (i = 0; i < nr_cpus; i++)
		s->g->cpu[i].random = random_number(s);
	for (i = 0; i < STRESS_NR; i++) {
		s->event[i][0] = event_create();
		s->event[i][1] = event_create();
		s->g->vec[i].masked = 1;
	}
	s->d = msix_create(s->m->vm, STRESS_NR, 0);
	msix_set_addr(&s->d, places[0].table, places[0].pba);
	s->g->table = places[1].table;
	tell_place(s, places[0].table, places[0].pba);
	bind_range(s, 0, STRESS_NR, true);
	return s;
}

static void start(struct stress *s)
{
	struct vcpu_arg *arg;
	u32 i;

	/* Begin at the gate: send no message before all APICs are enabled. */
	s->g->gate = 1;
	for (i = 0; i < s->nr_cpus; i++) {
		arg = malloc(sizeof(*arg));
		TEST_ASSERT(arg, "malloc");
		*arg = (struct vcpu_arg) { s, i };
		TEST_ASSERT(!pthread_create(&s->vcpu_thread[i], NULL, vcpu_thread, arg),
			    "pthread_create");
	}
	for (i = 0; i < s->nr_cpus; i++)
		stress_wait(READ_ONCE(s->g->cpu[i].gate) == 1);
	set_control(s, ENABLE, 0);
	stress_device_start(s);
	open_gate(s);
}

/* In the end let all vectors send: every event must be taken or discarded. */
static void settle_accounts(struct stress *s)
{
	struct msix_state *state;
	u32 v, i;

	rest(s);
	for (i = 0; i < 2; i++) {
		for (v = 0; v < STRESS_NR; v++) {
			s->bound[v] = i;
			msix_bind_one(&s->d, v, s->event[v][i],
				      s->gsis ? stress_gsi(v) : STRESS_NO_GSI);
		}
	}
	/* Vectors not programmed since a reset may have events, too. */
	state = msix_get_state(s->d.fd, STRESS_NR);
	for (v = 0; v < STRESS_NR; v++) {
		if (!s->g->vec[v].programmed) {
			state->entry[v][ENTRY_ADDR_LO / 4] =
				MSI_ADDR(stress_target(v, 0, s->nr_cpus));
			state->entry[v][ENTRY_DATA / 4] = stress_irq(v, 0);
		}
		state->entry[v][ENTRY_CTRL / 4] = 0;
		s->g->vec[v].masked = 0;
	}
	TEST_ASSERT_EQ(__msix_set_state(s->d.fd, state), 0);
	msix_state_free(state);
	stress_audit(s);
	state = msix_get_state(s->d.fd, STRESS_NR);
	TEST_ASSERT_EQ(state->pba[0], 0);
	msix_state_free(state);
	for (v = 0; v < STRESS_NR; v++)
		TEST_ASSERT(!event_drain(s->event[v][0]) && !event_drain(s->event[v][1]),
			    "vector %u: an event is left", v);
	stress_report(s);
}

static void finish(struct stress *s)
{
	u32 i;

	stress_device_stop(s);
	WRITE_ONCE(s->g->stop, 1);
	open_gate(s);
	for (i = 0; i < s->nr_cpus; i++)
		pthread_join(s->vcpu_thread[i], NULL);
	close(s->d.fd);
	for (i = 0; i < STRESS_NR; i++) {
		close(s->event[i][0]);
		close(s->event[i][1]);
	}
	msix_vm_free(s->m);
	free(s);
}

static void stress(u32 nr_cpus, u64 seed, u32 seconds)
{
	struct stress *s = create(nr_cpus, seed);
	time_t end = time(NULL) + seconds;

	start(s);
	do {
		lap(s);
		s->laps++;
	} while (time(NULL) < end);
	ksft_print_msg("%u vCPUs, %u laps of %lu operations\n", nr_cpus, s->laps, ARRAY_SIZE(ops));
	settle_accounts(s);
	finish(s);
	ksft_test_result_pass("%u vCPUs\n", nr_cpus);
}

int main(int argc, char **argv)
{
	u32 seconds = 10, only = 0;
	u64 seed = time(NULL);
	int opt;

	while ((opt = getopt(argc, argv, "t:s:c:")) != -1) {
		switch (opt) {
		case 't':
			seconds = atoi_positive("seconds", optarg);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			only = atoi_positive("vCPUs", optarg);
			TEST_ASSERT(only >= 2 && STRESS_NR % only == 0 && only <= GUEST_MAX_CPUS,
				    "2 to %u vCPUs", GUEST_MAX_CPUS);
			break;
		default:
			fprintf(stderr, "usage: %s [-t SECONDS] [-s SEED] [-c VCPUS]\n", argv[0]);
			return 2;
		}
	}
	kvm_msix_require();
	ksft_print_header();
	ksft_set_plan(only ? 1 : 2);
	ksft_print_msg("seed %lu\n", seed);
	if (only) {
		stress(only, seed, seconds);
	} else {
		stress(4, seed, seconds / 2);
		stress(2, seed, seconds / 2);
	}
	ksft_finished();
}
