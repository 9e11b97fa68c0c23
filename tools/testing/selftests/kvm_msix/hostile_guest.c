// SPDX-License-Identifier: GPL-2.0-only
/*
 * See hostile_guest.h.
 */
#include <signal.h>
#include <sys/time.h>

#include "hostile_guest.h"

#define MOST_EXITS	1024
#define LIMIT_S		10
#define LIMIT_US	50000	/* for an operation that should not end by itself */

struct guest_op guest_op;

static void op_nothing(u64 gva)
{
}

static void guest_loop(void)
{
	guest_init();
	for (;;) {
		GUEST_SYNC1(0);
		guest_op.fn(guest_op.gva);
	}
}

static u64 base_of(int side)
{
	return BAR_GPA + side * 0x8000;
}

static bool within(u32 off, u32 len, u32 start, u32 end)
{
	return off >= start && off + len <= end;
}

static void plain(u8 *mem, struct mmio_exit *e, u64 *answer)
{
	if (e->is_write)
		memcpy(mem, &e->data, e->len);
	else
		memcpy(answer, mem, e->len);
}

/* What a function should do with an access within table or PBA. */
static void reference(struct hostile *h, u32 off, struct mmio_exit *e, u64 *answer)
{
	bool good = (e->len & (e->len - 1)) == 0 && off % e->len == 0;

	if (!good)
		*answer = ~0ull;
	else if (off < PBA)
		plain(h->table + off - TABLE, e, answer);
	else
		*answer = 0;
}

/*
 * KVM asks its bus about the first 8 bytes of a wider access. If no device has
 * these, KVM does not ask about the next 8.
 */
static bool continues(struct hostile *h, struct mmio_exit *e)
{
	return h->wide && h->last.len && h->last.addr + h->last.len == e->addr &&
	       h->last.is_write == e->is_write && e->addr & 0xfff;
}

static void on_exit_mmio(struct msix_vm *m, struct mmio_exit *e)
{
	struct hostile *h = m->on_exit_data;
	int side = e->addr >= base_of(HOLE);
	u32 off = e->addr - base_of(side);

	m->nr_exits = 0;
	m->mmio_answer = 0;
	h->exits++;
	if (off + e->len > REGION) {
		h->wrong_exits++;
	} else if (!continues(h, e) && (within(off, e->len, TABLE, TABLE_END) ||
					within(off, e->len, PBA, PBA_END))) {
		if (side == HOLE)
			reference(h, off, e, &m->mmio_answer);
		else
			h->wrong_exits++;
	} else {
		plain(h->beside[side] + off, e, &m->mmio_answer);
		h->last = *e;
	}
}

/*
 * Run until the guest has done the operation, or has ended otherwise: returns
 * 0, or how. In either case the vCPU can be used again.
 */
#define END_INTERNAL(suberror)	(0x100 + (suberror))
#define END_ENDLESS		0x200
#define END_ABORT		0x300	/* an exception without a handler */

static u32 run_guest_op(struct hostile *h)
{
	struct kvm_vcpu *vcpu = h->m->vcpu[0];
	struct kvm_run *run = vcpu->run;
	struct ucall uc;
	u32 n, end = END_ENDLESS;

	for (n = 0; n < MOST_EXITS; n++) {
		if (__vcpu_run(vcpu))
			break;
		if (msix_handle_mmio(h->m, vcpu))
			continue;
		if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
			end = END_INTERNAL(run->internal.suberror);
		else if (run->exit_reason == KVM_EXIT_IO)
			end = get_ucall(vcpu, &uc) == UCALL_SYNC ? 0 : END_ABORT;
		else
			end = run->exit_reason;
		break;
	}
	if (end) {
		*(void **)addr_gva2hva(h->m->vm, (uintptr_t)&guest_op.fn) = op_nothing;
		/* If an exception was being delivered, the exception comes first. */
		for (n = 0; n < 2; n++) {
			vcpu_sregs_set(vcpu, &h->sregs);
			vcpu_regs_set(vcpu, &h->regs);
			TEST_ASSERT(!__vcpu_run(vcpu) && run->exit_reason == KVM_EXIT_IO,
				    "the vCPU has not come back: %u", run->exit_reason);
			if (get_ucall(vcpu, &uc) == UCALL_SYNC)
				break;
		}
		TEST_ASSERT(n < 2, "the vCPU is not as good as new");
	}
	return end;
}

void hostile_create(struct hostile *h)
{
	memset(h, 0, sizeof(*h));
	h->log = log_open();
	h->m = msix_vm_create(1, guest_loop);
	h->m->on_exit = on_exit_mmio;
	h->m->on_exit_data = h;
	h->d = msix_create(h->m->vm, NR, 0);
	msix_set_addr(&h->d, base_of(FUNCTION) + TABLE, base_of(FUNCTION) + PBA);
	/* Registers to begin anew with, on a stack that is still unused. */
	vcpu_regs_get(h->m->vcpu[0], &h->regs);
	TEST_ASSERT_EQ(run_guest_op(h), 0);
	vcpu_sregs_get(h->m->vcpu[0], &h->sregs);
}

void hostile_free(struct hostile *h)
{
	close(h->d.fd);
	close(h->log);
	msix_vm_free(h->m);
}

void hostile_paint(struct hostile *h, struct msix_state *s)
{
	u32 i;

	for (i = 0; i < REGION; i++)
		h->beside[FUNCTION][i] = i * 7 + (i >> 8);
	memcpy(h->beside[HOLE], h->beside[FUNCTION], REGION);
	for (i = 0; i < NR * 4; i++)
		s->entry[i / 4][i % 4] = 0x9e3779b1 * (i + 1);
	memcpy(h->table, s->entry, TABLE_SIZE);
	TEST_ASSERT(!__msix_set_state(h->d.fd, s), "SET_STATE");
}

/* The signal ends KVM_RUN of an operation that does not end by itself. */
static void on_alarm(int sig)
{
}

static void limit(time_t s, suseconds_t us)
{
	struct itimerval after = { .it_value = { .tv_sec = s, .tv_usec = us } };
	struct sigaction sa = { .sa_handler = on_alarm };

	/* The first may come when the vCPU does not run. */
	after.it_interval = after.it_value;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &after, NULL);
}

void hostile_try(struct hostile *h, int side, u32 off, void *fn, bool endless, struct result *res)
{
	struct guest_op *in = GUEST_VAR(h->m, guest_op);
	u64 di;
	u32 i;

	memset(res, 0, sizeof(*res));
	in->fn = fn;
	in->gva = base_of(side) + off;
	in->r = (struct regs) {
		.a = 0x1122334455667788, .b = 0x99aabbccddeeff00, .c = 20, .d = 0x0f0e0d0c0b0a0908,
		.s = (uintptr_t)&guest_op.buf, .x = { 0x0123456789abcdef, 0xfedcba9876543210 },
	};
	for (i = 0; i < sizeof(in->buf); i++)
		in->buf[i] = i ^ 0x5a;
	h->exits = 0;
	h->last.len = 0;
	limit(endless ? 0 : LIMIT_S, endless ? LIMIT_US : 0);
	res->end = run_guest_op(h);
	limit(0, 0);
	res->exits = h->exits;
	if (!res->end) {
		res->r = in->r;
		res->vector = in->vector;
		memcpy(res->buf, in->buf, sizeof(res->buf));
		/* If a register points into the place, drop the place's address. */
		if (res->r.s - base_of(side) < REGION)
			res->r.s -= base_of(side);
		di = res->r.di + base_of(side) + off;
		if (di + sizeof(guest_op.buf) - (u64)guest_op.buf < 2 * sizeof(guest_op.buf))
			res->r.di = di;
	}
}

const char *hostile_difference(struct hostile *h, struct msix_state *after, struct result *want,
			       struct result *got)
{
	if (h->wrong_exits)
		return "exits for the function's own";
	if (want->end != got->end || want->vector != got->vector)
		return "how it ended";
	if (memcmp(&want->r, &got->r, sizeof(got->r)))
		return "registers";
	if (memcmp(want->buf, got->buf, sizeof(got->buf)))
		return "the buffer";
	if (memcmp(h->beside[HOLE], h->beside[FUNCTION], REGION))
		return "what is beside it";
	if (memcmp(h->table, after->entry, TABLE_SIZE) || after->pba[0])
		return "table or PBA";
	return NULL;
}
