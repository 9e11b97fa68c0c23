// SPDX-License-Identifier: GPL-2.0-only
/*
 * core.c against kvm_msix-semantics.rst, one thread. Points have the numbers of
 * the behaviours. Most points are a list of steps, each with the expected result; a
 * message that no SENT step follows fails the point. Points that go through all
 * offsets, vectors or states are functions.
 *
 * The missing numbers are not behaviours of the core, but of the bus (3 in part, 4,
 * 9, 22), of messages (21), and of eventfds (25, 26).
 */
#include "caller.h"
#include "tap.h"

#define ENABLE		PCI_MSIX_FLAGS_ENABLE
#define MASKALL		PCI_MSIX_FLAGS_MASKALL

/* Effects of a write. */
#define NOTHING		0
#define MASK_BIT	KVM_MSIX_MASK_CHANGED
#define MESSAGE_BITS	KVM_MSIX_MESSAGE_CHANGED
#define SEND		KVM_MSIX_SEND

/* Offsets of the fields of vector @v. */
#define ADDRESS(v)	((v) * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_LOWER_ADDR)
#define UPPER(v)	((v) * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_UPPER_ADDR)
#define DATA(v)		((v) * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_DATA)
#define VCTRL(v)	((v) * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL)

/* Two messages. */
#define A1		0xfee01004ULL
#define D1		0x4021U
#define A2		0x00000100fee02000ULL
#define D2		0x4132U

enum op {
	OP_END,
	OP_WRITE,
	OP_READ,
	OP_PBA,
	OP_PROGRAM,
	OP_EVENT,
	OP_CONTROL,
	OP_SET,
	OP_RESET,
	OP_SENT,
	OP_REJECTED,
};

/**
 * struct step - One operation on a function
 * @op: the operation
 * @where: offset or vector
 * @len: length of an access, or data of a message
 * @value: value written or read, or address of a message
 * @expected: effects, verdict or count
 */
struct step {
	enum op op;
	u32 where;
	u32 len;
	u64 value;
	u32 expected;
};

#define STEP(...)	{ __VA_ARGS__ }

/* The guest writes to the table, with effects @effects. */
#define WRITE(offset, len, value, effects) \
	STEP(OP_WRITE, offset, len, value, effects)
#define MASK(v, effects)	WRITE(VCTRL(v), 4, 1, effects)
#define UNMASK(v, effects)	WRITE(VCTRL(v), 4, 0, effects)
/* The guest reads @value from the table, from the PBA. */
#define READ(offset, len, value)	STEP(OP_READ, offset, len, value, 0)
#define PBA(offset, len, value)		STEP(OP_PBA, offset, len, value, 0)
/* The guest writes a message; the effects do not matter. */
#define PROGRAM(v, address, data)	STEP(OP_PROGRAM, v, data, address, 0)
#define EVENT(v, verdict) \
	STEP(OP_EVENT, v, 0, 0, KVM_MSIX_EVENT_ ## verdict)
/* Set Message Control, and visit each vector. */
#define CONTROL(value)		STEP(OP_CONTROL, 0, 0, value, 0)
/* SET_STATE of a vector, with message A1, D1. */
#define SET(v, control, pending)	STEP(OP_SET, v, control, pending, 0)
#define RESET()			STEP(OP_RESET, 0, 0, 0, 0)
/* The next message must be this. */
#define SENT(v, address, data)	STEP(OP_SENT, v, data, address, 0)
/* @n accesses were dropped since the last REJECTED step. */
#define REJECTED(n)		STEP(OP_REJECTED, 0, 0, 0, n)

#define MAX_STEPS	23

/**
 * struct point - One point of the test
 * @number: number in kvm_msix-semantics.rst
 * @name: printed with the result
 * @nr: number of vectors; 0 means 1
 * @run: the test, or NULL
 * @steps: else the steps, with OP_END after the last
 */
struct point {
	const char *number;
	const char *name;
	u32 nr;
	void (*run)(struct caller *c);
	struct step steps[MAX_STEPS + 1];
};

/* All of a function that a guest can read. */
struct state {
	u64 table[2 * KVM_MSIX_MAX_VECTORS];
	u64 pba[KVM_MSIX_MAX_VECTORS / 64];
};

static void read_state(struct caller *c, struct state *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < kvm_msix_table_size(c->core.nr) / 8; i++)
		s->table[i] = caller_read(c, 8 * i, 8);
	for (i = 0; i < kvm_msix_pba_size(c->core.nr) / 8; i++)
		s->pba[i] = caller_pba_read(c, 8 * i, 8);
}

static void check_state(const struct state *expected, struct caller *c,
			const char *when)
{
	struct state s;
	u32 i;

	read_state(c, &s);
	for (i = 0; i < ARRAY_SIZE(s.table); i++)
		tap_check(expected->table[i], s.table[i], "%s, table at %#x",
			  when, 8 * i);
	for (i = 0; i < ARRAY_SIZE(s.pba); i++)
		tap_check(expected->pba[i], s.pba[i], "%s, PBA at %#x", when,
			  8 * i);
}

static void program(struct caller *c, u32 v, u64 address, u32 data)
{
	caller_write(c, ADDRESS(v), 8, address);
	caller_write(c, DATA(v), 4, data);
}

/* Each vector has a different message. */
static u64 address_of(u32 v)
{
	return (0x11ULL * v) << 32 | 0xfee00000 | (v & 0xff) << 12;
}

static u32 data_of(u32 v)
{
	return 0x4000 + v;
}

static void check_sent(struct caller *c, unsigned int i, u32 v, u64 address,
		       u32 data)
{
	if (i >= c->nr_sent) {
		tap_check(v, ~0ULL, "vector of message %u, which is none", i);
		return;
	}
	tap_check(v, c->sent[i].v, "vector of message %u", i);
	tap_check(address, c->sent[i].address, "address of message %u", i);
	tap_check(data, c->sent[i].data, "data of message %u", i);
}

static void run_step(struct caller *c, const struct step *s, unsigned int nr,
		     unsigned int *nr_taken)
{
	struct kvm_msix_entry entry;
	u64 seen;

	switch (s->op) {
	case OP_END:
		break;
	case OP_WRITE:
		seen = caller_write(c, s->where, s->len, s->value);
		tap_check(s->expected, seen, "step %u, effects of write at %#x",
			  nr, s->where);
		break;
	case OP_READ:
		seen = caller_read(c, s->where, s->len);
		tap_check(s->value, seen, "step %u, read of %u at %#x", nr,
			  s->len, s->where);
		break;
	case OP_PBA:
		seen = caller_pba_read(c, s->where, s->len);
		tap_check(s->value, seen, "step %u, PBA read of %u at %#x", nr,
			  s->len, s->where);
		break;
	case OP_PROGRAM:
		program(c, s->where, s->value, s->len);
		break;
	case OP_EVENT:
		seen = caller_event(c, s->where);
		tap_check(s->expected, seen, "step %u, verdict on event of %u",
			  nr, s->where);
		break;
	case OP_CONTROL:
		caller_control(c, s->value);
		break;
	case OP_SET:
		entry = (struct kvm_msix_entry) {
			.address = A1,
			.data = D1,
			.control = s->len,
		};
		caller_set_entry(c, s->where, entry, s->value);
		break;
	case OP_RESET:
		caller_reset(c);
		break;
	case OP_SENT:
		check_sent(c, (*nr_taken)++, s->where, s->value, s->len);
		break;
	case OP_REJECTED:
		tap_check(s->expected, c->rejected, "step %u, rejected", nr);
		c->rejected = 0;
		break;
	}
}

static void run_steps(struct caller *c, const struct step *s)
{
	unsigned int nr = 1, nr_taken = 0;

	for (; s->op != OP_END; s++, nr++) {
		run_step(c, s, nr, &nr_taken);
		if (s[1].op == OP_SENT)
			continue;
		tap_check(nr_taken, c->nr_sent, "messages up to step %u", nr);
		nr_taken = c->nr_sent;
	}
}

/* Numbers of vectors at the edges of a qword of the PBA, and of the table. */
static const u32 edges[] = { 1, 2, 63, 64, 65, 127, 128, 129, 2047, 2048 };

/* Is the state as after power-on? */
static void check_reset(struct caller *c)
{
	struct state expected = { 0 };
	u32 v;

	tap_check(0, c->core.control, "Message Control");
	for (v = 0; v < c->core.nr; v++) {
		expected.table[2 * v + 1] = 1ULL << 32;
		tap_check(true, caller_masked(c, v), "%u masked", v);
		tap_check(false, kvm_msix_pending(&c->core, v), "%u pending",
			  v);
		tap_check(false, caller_may_send(c, v),
			  "%u may send", v);
	}
	check_state(&expected, c, "after reset");
}

static void test_reset_state(struct caller *unused)
{
	unsigned int i;

	(void)unused;
	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		struct caller *c = caller_new(edges[i]);

		tap_check(edges[i], c->core.nr, "number of vectors");
		check_reset(c);
		caller_free(c);
	}
}

static void test_sizes(struct caller *unused)
{
	u32 nr;

	(void)unused;
	tap_check(2048, KVM_MSIX_MAX_VECTORS, "most vectors");
	for (nr = 1; nr <= 2048; nr++) {
		tap_check(16 * nr, kvm_msix_table_size(nr), "table of %u", nr);
		tap_check(nr % 64 ? nr / 64 * 8 + 8 : nr / 8,
			  kvm_msix_pba_size(nr), "PBA of %u", nr);
	}
}

/* No two vectors share an entry or a bit; bits past the last vector are 0. */
static void test_every_vector(struct caller *unused)
{
	unsigned int i;
	u32 v, w;

	(void)unused;
	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		struct caller *c = caller_new(edges[i]);
		u32 nr = edges[i];

		for (v = 0; v < nr; v++)
			program(c, v, address_of(v), data_of(v));
		caller_control(c, ENABLE);
		for (v = 0; v < nr; v++) {
			caller_event(c, v);
			w = caller_pba_read(c, v / 8, 1);
			tap_check((2U << v % 8) - 1, w, "PBA byte of %u", v);
		}
		for (w = 0; w < kvm_msix_pba_size(nr) * 8; w++)
			tap_check(w < nr, caller_pba_read(c, w / 8, 1) >>
				  w % 8 & 1, "bit %u of %u", w, nr);
		tap_check(0, c->nr_sent, "messages of %u vectors masked", nr);
		for (v = 0; v < nr; v++) {
			tap_check(v, kvm_msix_vector_at(&c->core, VCTRL(v)),
				  "vector of its control");
			tap_check(MASK_BIT | SEND,
				  caller_write(c, VCTRL(v), 4, 0),
				  "effects of unmask of %u", v);
			check_sent(c, v, v, address_of(v), data_of(v));
		}
		tap_check(nr, c->nr_sent, "messages of %u vectors", nr);
		caller_free(c);
	}
}

/* The table starts 8 bytes before the end of a page of its storage. */
static void test_aligned_to_8(struct caller *unused)
{
	struct caller *c = caller_new_at(3, 4096 - 8);
	u32 v;

	(void)unused;
	caller_control(c, ENABLE);
	for (v = 0; v < 3; v++) {
		program(c, v, address_of(v), data_of(v));
		tap_check(address_of(v), caller_read(c, ADDRESS(v), 8),
			  "address of %u", v);
		tap_check(KVM_MSIX_EVENT_LATCHED, caller_event(c, v),
			  "verdict on %u", v);
		tap_check(MASK_BIT | SEND, caller_write(c, VCTRL(v), 4, 0),
			  "effects of unmask of %u", v);
		check_sent(c, v, v, address_of(v), data_of(v));
	}
	caller_free(c);
}

/* Every aligned access of a table of three against an array of bytes. */
static void test_every_width(struct caller *c)
{
	u8 expected[3 * PCI_MSIX_ENTRY_SIZE];
	unsigned int len, i;
	u32 offset, at;
	u64 val, seen;

	for (i = 0; i < sizeof(expected); i++) {
		expected[i] = 0x80 + i;
		caller_write(c, i, 1, expected[i]);
	}
	for (len = 1; len <= 8; len *= 2) {
		for (offset = 0; offset < sizeof(expected); offset += len) {
			val = 0x0123456789abcdefULL * (offset + len);
			caller_write(c, offset, len, val);
			memcpy(expected + offset, &val, len);
			for (at = 0; at < sizeof(expected); at++)
				tap_check(expected[at], caller_read(c, at, 1),
					  "byte %#x after write of %u at %#x",
					  at, len, offset);
		}
		for (offset = 0; offset < sizeof(expected); offset += len) {
			val = 0;
			memcpy(&val, expected + offset, len);
			seen = caller_read(c, offset, len);
			tap_check(val, seen, "read of %u at %#x", len, offset);
		}
	}
	tap_check(0, c->rejected, "rejected");
}

static void test_pba_every_width(struct caller *c)
{
	static const u8 expected[16] = {
		0x81, 0x42, 0x24, 0x18, 0xff, 0x00, 0x55, 0xaa,
		0x01, 0x80, 0x7e, 0xc3, 0x3c, 0x0f, 0xf0, 0x99,
	};
	unsigned int len;
	u32 v, offset;

	for (v = 0; v < 128; v++)
		if (expected[v / 8] >> v % 8 & 1)
			caller_event(c, v);
	for (len = 1; len <= 8; len *= 2) {
		for (offset = 0; offset < sizeof(expected); offset += len) {
			u64 val = 0;

			memcpy(&val, expected + offset, len);
			tap_check(val, caller_pba_read(c, offset, len),
				  "read of %u at %#x", len, offset);
		}
	}
}

/* kvm_msix_access_ok() against the definition, in numbers that do not wrap. */
static void test_access_ok(struct caller *unused)
{
	static const u32 sizes[] = { 1, 2, 4, 8, 16, 24, 32, 48, 32768 };
	static const u32 far[] = { 0x7ffffff8, 0xfffffff0, 0xfffffff8,
				   0xfffffffc, 0xfffffffe, 0xffffffff };
	unsigned int i, j, len;
	u64 offset;
	bool ok;

	(void)unused;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (len = 0; len <= 64; len++) {
			for (offset = 0; offset < 100; offset++) {
				ok = (len == 1 || len == 2 || len == 4 ||
				      len == 8) && !(offset & (len - 1)) &&
				     offset + len <= sizes[i];
				tap_check(ok, kvm_msix_access_ok(sizes[i],
								 offset, len),
					  "%u at %#llx of %#x", len, offset,
					  sizes[i]);
			}
			for (j = 0; j < ARRAY_SIZE(far); j++)
				tap_check(false,
					  kvm_msix_access_ok(sizes[i], far[j],
							     len),
					  "%u at %#x of %#x", len, far[j],
					  sizes[i]);
		}
		tap_check(false, kvm_msix_access_ok(sizes[i], 0, 0x80000000),
			  "2 GiB at 0");
		tap_check(true, kvm_msix_access_ok(sizes[i], sizes[i] - 1, 1),
			  "last byte of %#x", sizes[i]);
		tap_check(false, kvm_msix_access_ok(sizes[i], sizes[i], 1),
			  "first byte after %#x", sizes[i]);
	}
}

/* Rejected accesses change no state. */
static void test_rejected(struct caller *c)
{
	u32 size = kvm_msix_table_size(c->core.nr), offset;
	unsigned int len, rejected = 0;
	struct state before;

	program(c, 0, A1, D1);
	program(c, 1, A2, D2);
	caller_control(c, ENABLE);
	caller_event(c, 0);
	caller_event(c, 1);
	read_state(c, &before);
	for (len = 1; len <= 8; len++) {
		for (offset = 0; offset < size + 8; offset++) {
			if (!(len & (len - 1)) && !(offset & (len - 1)) &&
			    offset < size)
				continue;
			tap_check(NOTHING, caller_write(c, offset, len, 0),
				  "effects of %u at %#x", len, offset);
			tap_check(~0ULL >> (64 - 8 * len),
				  caller_read(c, offset, len),
				  "read of %u at %#x", len, offset);
			rejected += 2;
		}
	}
	tap_check(rejected, c->rejected, "rejected");
	tap_check(0, c->nr_sent, "messages");
	check_state(&before, c, "after rejected accesses");
}

/* Each bit of Vector Control alone, on a masked and on an unmasked vector. */
static void test_control_bits(struct caller *c)
{
	unsigned int bit, mask;
	u32 val, effects;

	caller_control(c, ENABLE);
	for (mask = 0; mask < 2; mask++) {
		caller_write(c, VCTRL(0), 4, mask);
		for (bit = 1; bit < 32; bit++) {
			val = 1U << bit | mask;
			effects = caller_write(c, VCTRL(0), 4, val);
			tap_check(NOTHING, effects, "effects of %#x", val);
			tap_check(mask, caller_masked(c, 0),
				  "masked by %#x", val);
			tap_check(!mask, caller_may_send(c, 0),
				  "may send with %#x", val);
			tap_check(val, caller_read(c, VCTRL(0), 4),
				  "read back");
		}
	}
}

/* Enable, Function Mask and mask as a number from 0 to 7. */
#define STATE_ENABLE	BIT(0)
#define STATE_MASKALL	BIT(1)
#define STATE_MASK	BIT(2)

static void enter(struct caller *c, unsigned int state)
{
	caller_write(c, VCTRL(0), 4, !!(state & STATE_MASK));
	caller_control(c, (state & STATE_ENABLE ? ENABLE : 0) |
			  (state & STATE_MASKALL ? MASKALL : 0));
}

static void test_all_states(struct caller *c)
{
	unsigned int state;
	bool may;

	program(c, 0, A1, D1);
	for (state = 0; state < 8; state++) {
		may = state == STATE_ENABLE;
		caller_reset(c);
		program(c, 0, A1, D1);
		c->nr_sent = 0;
		enter(c, state);
		tap_check(may, caller_may_send(c, 0),
			  "may send in state %u", state);
		tap_check(may ? KVM_MSIX_EVENT_SEND : KVM_MSIX_EVENT_LATCHED,
			  caller_event(c, 0), "verdict in state %u", state);
		tap_check(may ? KVM_MSIX_EVENT_SEND : KVM_MSIX_EVENT_COALESCED,
			  caller_event(c, 0), "verdict again in state %u",
			  state);
		tap_check(!may, caller_pba_read(c, 0, 8), "PBA in state %u",
			  state);
		tap_check(may ? 2 : 0, c->nr_sent, "messages in state %u",
			  state);
	}
}

/* From every state that keeps an event to every other, and back to sending. */
static void test_all_transitions(struct caller *c)
{
	unsigned int from, to;
	bool may;

	for (from = 0; from < 8; from++) {
		if (from == STATE_ENABLE)
			continue;
		for (to = 0; to < 8; to++) {
			may = to == STATE_ENABLE;
			caller_reset(c);
			program(c, 0, A1, D1);
			c->nr_sent = 0;
			enter(c, from);
			caller_event(c, 0);
			caller_control(c, from & STATE_ENABLE ?
				       ENABLE | MASKALL : MASKALL);
			tap_check(1, caller_pba_read(c, 0, 8),
				  "PBA in state %u with function mask", from);
			enter(c, to);
			tap_check(!may, caller_pba_read(c, 0, 8),
				  "PBA after %u to %u", from, to);
			tap_check(may, c->nr_sent, "messages, %u to %u", from,
				  to);
			enter(c, STATE_ENABLE);
			tap_check(0, caller_pba_read(c, 0, 8),
				  "PBA after %u to %u to sending", from, to);
			tap_check(1, c->nr_sent,
				  "messages, %u to %u to sending", from, to);
			check_sent(c, 0, 0, A1, D1);
		}
	}
}

/* Function Mask over 2048 vectors, every third masked. */
static void test_function_mask_all(struct caller *c)
{
	struct state before, after = { 0 };
	unsigned int sent = 0;
	u32 v;

	caller_control(c, ENABLE);
	for (v = 0; v < c->core.nr; v++) {
		program(c, v, address_of(v), data_of(v));
		caller_write(c, VCTRL(v), 4, v % 3 == 0);
	}
	read_state(c, &before);
	caller_control(c, ENABLE | MASKALL);
	check_state(&before, c, "after Function Mask");
	for (v = 0; v < c->core.nr; v++)
		if (v % 5 != 0)
			caller_event(c, v);
	tap_check(0, c->nr_sent, "messages while masked");
	after = before;
	caller_control(c, ENABLE);
	for (v = 0; v < c->core.nr; v++) {
		if (v % 5 == 0)
			continue;
		if (v % 3 == 0)
			after.pba[v / 64] |= 1ULL << v % 64;
		else
			check_sent(c, sent++, v, address_of(v), data_of(v));
	}
	tap_check(sent, c->nr_sent, "messages");
	check_state(&after, c, "after Function Mask and back");
}

/* Of all guest accesses, only an unmask clears a pending bit. */
static void test_nothing_clears(struct caller *c)
{
	unsigned int len;
	u32 offset, v;

	caller_control(c, ENABLE);
	for (v = 0; v < c->core.nr; v++)
		caller_event(c, v);
	for (len = 1; len <= 8; len *= 2) {
		for (offset = 0; offset < kvm_msix_pba_size(c->core.nr);
		     offset += len)
			caller_pba_read(c, offset, len);
		for (offset = 0; offset < kvm_msix_table_size(c->core.nr);
		     offset += len) {
			caller_read(c, offset, len);
			caller_write(c, offset, len, ~0ULL);
		}
	}
	for (v = 0; v < c->core.nr; v++)
		tap_check(true, kvm_msix_pending(&c->core, v), "%u pending", v);
	tap_check(0, c->nr_sent, "messages");
}

static void test_reset_again(struct caller *c)
{
	u32 v;

	for (v = 0; v < c->core.nr; v++) {
		program(c, v, address_of(v), data_of(v));
		caller_write(c, VCTRL(v), 4, 0xfffffff0 | v % 2);
	}
	caller_control(c, ENABLE | MASKALL);
	for (v = 0; v < c->core.nr; v += 3)
		caller_event(c, v);
	caller_reset(c);
	check_reset(c);
	caller_control(c, ENABLE);
	for (v = 0; v < c->core.nr; v++)
		tap_check(MASK_BIT, caller_write(c, VCTRL(v), 4, 0),
			  "effects of unmask of %u", v);
	tap_check(0, c->nr_sent, "messages");
}

/*
 * The core's part in GET_STATE and SET_STATE, with vectors of all four kinds:
 * masked or not, pending or not.
 */
static void test_save_restore(struct caller *c)
{
	struct caller *to = caller_new(c->core.nr);
	struct kvm_msix_entry entry;
	unsigned int sent = 0;
	struct state saved;
	u32 v;

	for (v = 0; v < c->core.nr; v++) {
		program(c, v, address_of(v), data_of(v));
		caller_write(c, VCTRL(v), 4, 0x5a0 | v % 2);
		if (v & 2)
			caller_event(c, v);
	}
	caller_control(c, ENABLE | MASKALL);
	read_state(c, &saved);
	for (v = 0; v < c->core.nr; v++) {
		entry = kvm_msix_get_entry(&c->core, v);
		tap_check(address_of(v), entry.address, "address of %u", v);
		tap_check(data_of(v), entry.data, "data of %u", v);
		tap_check(0x5a0 | v % 2, entry.control, "control of %u", v);
		kvm_msix_set_entry(&to->core, v, entry,
				   kvm_msix_pending(&c->core, v));
	}
	caller_control(to, c->core.control);
	tap_check(ENABLE | MASKALL, to->core.control, "Message Control");
	check_state(&saved, to, "after restore");
	tap_check(0, to->nr_sent, "messages while function-masked");

	caller_control(to, ENABLE);
	for (v = 2; v < c->core.nr; v += 4)
		check_sent(to, sent++, v, address_of(v), data_of(v));
	tap_check(sent, to->nr_sent, "messages when enabled");
	for (v = 1; v < c->core.nr; v += 2) {
		caller_write(to, VCTRL(v), 4, 0);
		if (v & 2)
			check_sent(to, sent++, v, address_of(v), data_of(v));
		tap_check(sent, to->nr_sent, "messages when %u unmasked", v);
	}
	for (v = 0; v < c->core.nr; v++)
		tap_check(false, kvm_msix_pending(&to->core, v), "%u pending",
			  v);
	caller_free(to);
}

static const struct point points[] = {
	{ "1", "state after power-on", .run = test_reset_state },
	{ "2", "sizes of table and PBA", .run = test_sizes },
	{ "2", "every vector of 1 to 2048, PBA bits past the last are 0",
	  .run = test_every_vector },
	{ "3", "an entry that crosses a page", .run = test_aligned_to_8 },
	{ "5", "every aligned access of the table", 3,
	  .run = test_every_width },
	{ "5", "every aligned read of the PBA", 128,
	  .run = test_pba_every_width },
	{ "5", "a byte of Vector Control masks and unmasks", 2, .steps = {
		CONTROL(ENABLE),
		PROGRAM(1, A1, D1),
		EVENT(1, LATCHED),
		WRITE(VCTRL(1) + 1, 1, 0, NOTHING),
		WRITE(VCTRL(1) + 2, 2, 0xffff, NOTHING),
		WRITE(VCTRL(1), 1, 0, MASK_BIT | SEND),
		SENT(1, A1, D1),
		READ(VCTRL(1), 4, 0xffff0000),
		WRITE(VCTRL(1), 2, 1, MASK_BIT),
		EVENT(1, LATCHED),
		READ(VCTRL(1), 4, 0xffff0001),
	} },
	{ "6", "which accesses are allowed", .run = test_access_ok },
	{ "6", "misaligned and outside: dropped, all ones, counted", 2,
	  .run = test_rejected },
	{ "6", "an access across the end", 1, .steps = {
		WRITE(12, 8, 0, NOTHING),
		READ(12, 8, ~0ULL),
		READ(16, 4, 0xffffffff),
		READ(15, 2, 0xffff),
		PBA(4, 8, ~0ULL),
		PBA(8, 1, 0xff),
		PBA(6, 4, 0xffffffff),
		REJECTED(7),
		READ(12, 4, 1),
	} },
	{ "7", "both halves of the address in one step", 1, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		UNMASK(0, MASK_BIT),
		EVENT(0, SEND),
		SENT(0, A1, D1),
		WRITE(ADDRESS(0), 8, A2, MESSAGE_BITS),
		EVENT(0, SEND),
		SENT(0, A2, D1),
		READ(ADDRESS(0), 4, A2 & 0xffffffff),
		READ(UPPER(0), 4, A2 >> 32),
	} },
	{ "7", "data and unmask in one step", 1, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		EVENT(0, LATCHED),
		WRITE(DATA(0), 8, D2, MASK_BIT | MESSAGE_BITS | SEND),
		SENT(0, A1, D2),
		WRITE(DATA(0), 8, 1ULL << 32 | D1, MASK_BIT | MESSAGE_BITS),
		EVENT(0, LATCHED),
	} },
	{ "8", "reads return what was written", 2, .steps = {
		WRITE(ADDRESS(1), 4, 0xffffffff, MESSAGE_BITS),
		WRITE(UPPER(1), 4, 0x89abcdef, MESSAGE_BITS),
		WRITE(DATA(1), 4, 0x76543210, MESSAGE_BITS),
		WRITE(VCTRL(1), 4, 0xfffffffe, MASK_BIT),
		READ(ADDRESS(1), 8, 0x89abcdefffffffff),
		READ(DATA(1), 8, 0xfffffffe76543210),
		READ(ADDRESS(0), 8, 0),
		READ(DATA(0), 8, 1ULL << 32),
	} },
	{ "8", "only bit 0 of Vector Control acts", 1,
	  .run = test_control_bits },
	{ "10", "events while masked set one bit", 65, .steps = {
		CONTROL(ENABLE),
		EVENT(64, LATCHED),
		PBA(8, 8, 1),
		EVENT(64, COALESCED),
		EVENT(64, COALESCED),
		PBA(8, 8, 1),
		PBA(0, 8, 0),
		EVENT(63, LATCHED),
		PBA(0, 8, 1ULL << 63),
		PBA(8, 8, 1),
	} },
	{ "11", "one message, as it is at that moment", 3, .steps = {
		CONTROL(ENABLE),
		PROGRAM(2, A1, D1),
		EVENT(2, LATCHED),
		EVENT(2, COALESCED),
		WRITE(ADDRESS(2), 8, A2, MESSAGE_BITS),
		WRITE(DATA(2), 4, D2, MESSAGE_BITS),
		PBA(0, 8, 4),
		UNMASK(2, MASK_BIT | SEND),
		SENT(2, A2, D2),
		PBA(0, 8, 0),
		MASK(2, MASK_BIT),
		UNMASK(2, MASK_BIT),
		EVENT(2, SEND),
		SENT(2, A2, D2),
	} },
	{ "12", "unmask without pending, no change", 2, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		MASK(0, NOTHING),
		UNMASK(0, MASK_BIT),
		UNMASK(0, NOTHING),
		MASK(0, MASK_BIT),
		EVENT(0, LATCHED),
		MASK(0, NOTHING),
		PBA(0, 8, 1),
		READ(ADDRESS(0), 8, A1),
	} },
	{ "12", "a write that changes nothing", 1, .steps = {
		PROGRAM(0, A1, D1),
		WRITE(ADDRESS(0), 8, A1, NOTHING),
		WRITE(UPPER(0), 4, A1 >> 32, NOTHING),
		WRITE(DATA(0), 4, D1, NOTHING),
		WRITE(DATA(0), 8, 1ULL << 32 | D1, NOTHING),
	} },
	{ "13", "no message after the mask write", 1, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		UNMASK(0, MASK_BIT),
		EVENT(0, SEND),
		SENT(0, A1, D1),
		EVENT(0, SEND),
		SENT(0, A1, D1),
		MASK(0, MASK_BIT),
		EVENT(0, LATCHED),
		EVENT(0, COALESCED),
		UNMASK(0, MASK_BIT | SEND),
		SENT(0, A1, D1),
		PBA(0, 8, 0),
	} },
	{ "14", "Function Mask changes no mask bit", 3, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		PROGRAM(1, A2, D2),
		UNMASK(0, MASK_BIT),
		UNMASK(1, MASK_BIT),
		CONTROL(ENABLE | MASKALL),
		READ(VCTRL(0), 4, 0),
		READ(VCTRL(1), 4, 0),
		READ(VCTRL(2), 4, 1),
		EVENT(1, LATCHED),
		EVENT(0, LATCHED),
		EVENT(2, LATCHED),
		EVENT(0, COALESCED),
		PBA(0, 8, 7),
		CONTROL(ENABLE),
		SENT(0, A1, D1),
		SENT(1, A2, D2),
		PBA(0, 8, 4),
	} },
	{ "14", "unmask waits for Function Mask", 1, .steps = {
		CONTROL(ENABLE | MASKALL),
		PROGRAM(0, A1, D1),
		EVENT(0, LATCHED),
		UNMASK(0, MASK_BIT),
		PBA(0, 8, 1),
		CONTROL(ENABLE),
		SENT(0, A1, D1),
	} },
	{ "14", "Function Mask over 2048 vectors", 2048,
	  .run = test_function_mask_all },
	{ "15", "all states of enable, function mask and mask", 1,
	  .run = test_all_states },
	{ "15", "pending survives every change of state", 1,
	  .run = test_all_transitions },
	{ "15", "no other bit of Message Control acts", 1, .steps = {
		CONTROL(ENABLE | 0x3fff),
		PROGRAM(0, A1, D1),
		UNMASK(0, MASK_BIT),
		EVENT(0, SEND),
		SENT(0, A1, D1),
		CONTROL(0x3fff),
		EVENT(0, LATCHED),
	} },
	{ "16", "Enable 0: events and entries are kept", 1, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		UNMASK(0, MASK_BIT),
		CONTROL(0),
		READ(ADDRESS(0), 8, A1),
		READ(DATA(0), 8, D1),
		EVENT(0, LATCHED),
		EVENT(0, COALESCED),
		PBA(0, 8, 1),
		CONTROL(MASKALL),
		CONTROL(0),
		MASK(0, MASK_BIT),
		UNMASK(0, MASK_BIT),
		PBA(0, 8, 1),
		CONTROL(ENABLE),
		SENT(0, A1, D1),
		PBA(0, 8, 0),
	} },
	{ "17", "a message written while unmasked", 1, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		UNMASK(0, MASK_BIT),
		EVENT(0, SEND),
		SENT(0, A1, D1),
		WRITE(DATA(0), 4, D2, MESSAGE_BITS),
		EVENT(0, SEND),
		SENT(0, A1, D2),
		WRITE(ADDRESS(0), 4, A2 & 0xffffffff, MESSAGE_BITS),
		EVENT(0, SEND),
		SENT(0, A2 & 0xffffffff, D2),
		WRITE(UPPER(0), 4, A2 >> 32, MESSAGE_BITS),
		EVENT(0, SEND),
		SENT(0, A2, D2),
	} },
	{ "18", "two entries with one message", 2, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		PROGRAM(1, A1, D1),
		UNMASK(0, MASK_BIT),
		EVENT(0, SEND),
		SENT(0, A1, D1),
		EVENT(1, LATCHED),
		PBA(0, 8, 2),
		MASK(0, MASK_BIT),
		EVENT(0, LATCHED),
		PBA(0, 8, 3),
		UNMASK(1, MASK_BIT | SEND),
		SENT(1, A1, D1),
		PBA(0, 8, 1),
		UNMASK(0, MASK_BIT | SEND),
		SENT(0, A1, D1),
	} },
	{ "19", "no access of table or PBA clears a bit", 130,
	  .run = test_nothing_clears },
	{ "20", "the last fragment of a store decides", 2, .steps = {
		CONTROL(ENABLE),
		PROGRAM(1, A1, D1),
		EVENT(1, LATCHED),
		WRITE(ADDRESS(1), 8, A2, MESSAGE_BITS),
		WRITE(DATA(1), 8, D2, MASK_BIT | MESSAGE_BITS | SEND),
		SENT(1, A2, D2),
		MASK(1, MASK_BIT),
		EVENT(1, LATCHED),
		WRITE(ADDRESS(1), 4, A1 & 0xffffffff, MESSAGE_BITS),
		WRITE(UPPER(1), 4, A1 >> 32, MESSAGE_BITS),
		WRITE(DATA(1), 4, D1, MESSAGE_BITS),
		UNMASK(1, MASK_BIT | SEND),
		SENT(1, A1, D1),
	} },
	{ "20", "several entries unmasked by one copy", 3, .steps = {
		CONTROL(ENABLE),
		EVENT(0, LATCHED),
		EVENT(2, LATCHED),
		WRITE(ADDRESS(0), 8, A1, MESSAGE_BITS),
		WRITE(DATA(0), 8, D1, MASK_BIT | MESSAGE_BITS | SEND),
		SENT(0, A1, D1),
		WRITE(ADDRESS(1), 8, A1, MESSAGE_BITS),
		WRITE(DATA(1), 8, D1, MASK_BIT | MESSAGE_BITS),
		WRITE(ADDRESS(2), 8, A2, MESSAGE_BITS),
		WRITE(DATA(2), 8, D2, MASK_BIT | MESSAGE_BITS | SEND),
		SENT(2, A2, D2),
		PBA(0, 8, 0),
	} },
	{ "23", "RESET is the state after power-on", 200,
	  .run = test_reset_again },
	{ "23", "nothing stale is sent after RESET", 1, .steps = {
		CONTROL(ENABLE),
		PROGRAM(0, A1, D1),
		EVENT(0, LATCHED),
		RESET(),
		UNMASK(0, MASK_BIT),
		CONTROL(ENABLE),
		EVENT(0, SEND),
		SENT(0, 0, 0),
	} },
	{ "24", "save and restore, masked and pending", 131,
	  .run = test_save_restore },
	{ "24", "a restored bit is sent once", 2, .steps = {
		SET(0, 1, true),
		SET(1, 0, true),
		PBA(0, 8, 3),
		CONTROL(ENABLE),
		SENT(1, A1, D1),
		PBA(0, 8, 1),
		UNMASK(0, MASK_BIT | SEND),
		SENT(0, A1, D1),
		UNMASK(0, NOTHING),
		CONTROL(ENABLE),
	} },
	{ "24", "restore over a pending bit clears it", 1, .steps = {
		EVENT(0, LATCHED),
		SET(0, 0, false),
		PBA(0, 8, 0),
		READ(VCTRL(0), 4, 0),
		READ(ADDRESS(0), 8, A1),
		READ(DATA(0), 4, D1),
		CONTROL(ENABLE),
	} },
};

/* From here on: a table that is guest memory, which the guest writes. */
static void test_copy(void)
{
	static const u64 values[] = { 0, 1, ~0ULL, 0xfee0100c00000000 };
	struct caller *c = caller_new(2);
	struct kvm_msix_entry *entry = &c->core.table[1], copy;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		for (j = 0; j < ARRAY_SIZE(values); j++) {
			entry->qword[0] = values[i];
			entry->qword[1] = values[j];
			copy = kvm_msix_get_entry(&c->core, 1);
			tap_check(values[i], copy.qword[0], "qword 0 of copy");
			tap_check(values[j], copy.qword[1], "qword 1 of copy");
			tap_check(values[i], entry->qword[0], "qword 0");
			tap_check(values[j], entry->qword[1], "qword 1");
		}
	}
	caller_free(c);
}

static void test_guest_memory(void)
{
	struct caller *c = caller_new(2);
	struct kvm_msix_entry *entry = &c->core.table[1];

	caller_control(c, ENABLE);
	entry->address = A1;
	entry->data = D1;
	tap_check(KVM_MSIX_EVENT_LATCHED, caller_event(c, 1), "masked");
	tap_check(2, caller_pba_read(c, 0, 8), "PBA");
	tap_check(0, caller_visit(c, 1), "effects of a visit while masked");
	entry->control = 0;
	tap_check(KVM_MSIX_SEND, caller_visit(c, 1), "effects of a visit");
	check_sent(c, 0, 1, A1, D1);
	tap_check(0, caller_pba_read(c, 0, 8), "PBA");

	entry->address = A2;
	tap_check(KVM_MSIX_EVENT_SEND, caller_event(c, 1), "unmasked");
	check_sent(c, 1, 1, A2, D1);
	entry->control = 1;
	tap_check(KVM_MSIX_EVENT_LATCHED, caller_event(c, 1), "masked again");
	tap_check(2, c->nr_sent, "messages");
	caller_free(c);
}

static void test_guest_pba(void)
{
	struct caller *c = caller_new(2);

	caller_control(c, ENABLE);
	c->core.pba[0] = ~0UL;
	tap_check(false, kvm_msix_pending(&c->core, 0), "pending by the guest");
	caller_write(c, VCTRL(0), 4, 0);
	tap_check(0, c->nr_sent, "messages of the guest's making");

	tap_check(KVM_MSIX_EVENT_LATCHED, caller_event(c, 1), "event");
	c->core.pba[0] = 0;
	tap_check(true, kvm_msix_pending(&c->core, 1), "pending");
	tap_check(KVM_MSIX_EVENT_COALESCED, caller_event(c, 1), "second event");
	caller_write(c, VCTRL(1), 4, 0);
	tap_check(1, c->nr_sent, "messages");
	caller_free(c);
}

static void run_points(void)
{
	const struct point *point;

	for (point = points; point < points + ARRAY_SIZE(points); point++) {
		struct caller *c = caller_new(point->nr ?: 1);

		if (point->run)
			point->run(c);
		else
			run_steps(c, point->steps);
		tap_point(point->number, point->name);
		caller_free(c);
	}
}

int main(void)
{
	tap_plan(2 * ARRAY_SIZE(points) + 3);
	run_points();

	caller_shares = true;
	printf("# The table is the guest's memory\n");
	run_points();
	test_copy();
	tap_point("7", "a copy of an entry, which stays as it is");
	test_guest_memory();
	tap_point("12", "what the guest does to its memory is seen at an event");
	test_guest_pba();
	tap_point("20", "what the guest does to its PBA is not believed");
	return tap_exit();
}
