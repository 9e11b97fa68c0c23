// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer's input is a program of operations on a function. core.c and the model
 * execute each operation, and must give the same answers; at the end, a guest must
 * read the same values from both.
 */
#include "caller.h"
#include "model.h"

/**
 * struct input - The rest of the input, followed by zeroes
 * @at: the next byte
 * @left: number of bytes
 */
struct input {
	const u8 *at;
	size_t left;
};

/**
 * struct fuzz - One run
 * @c: the core and its caller
 * @m: the model
 * @in: the input
 * @nr_op: number of the current operation, for the report
 * @op: name of the current operation
 * @rejected: accesses that the model rejected
 * @nr_sent: messages that the model sent in the current operation
 * @sent: the messages
 */
struct fuzz {
	struct caller *c;
	struct model m;
	struct input in;
	unsigned int nr_op;
	const char *op;
	unsigned int rejected;
	unsigned int nr_sent;
	struct message sent[KVM_MSIX_MAX_VECTORS];
};

static struct fuzz fuzz;

static u64 take(struct fuzz *f, unsigned int len)
{
	u64 val = 0;

	while (len-- && f->in.left) {
		val = val << 8 | *f->in.at++;
		f->in.left--;
	}
	return val;
}

static void same(struct fuzz *f, const char *what, u64 model, u64 core)
{
	if (model == core)
		return;
	fprintf(stderr,
		"operation %u, %s: %s: the model says %#llx, the core %#llx\n",
		f->nr_op, f->op, what, model, core);
	abort();
}

/* Mostly one of a few vectors, so that operations meet; sometimes any vector. */
static u32 take_vector(struct fuzz *f)
{
	static const u32 often[] = { 0, 1, 62, 63, 64, 128 };
	u32 byte = take(f, 1);

	if (byte < 224)
		return often[byte % ARRAY_SIZE(often)] % f->m.nr;
	return take(f, 1) % f->m.nr;
}

/* Mostly an allowed access. */
static u32 take_access(struct fuzz *f, unsigned int *len)
{
	static const u8 lens[] = { 1, 2, 4, 8, 4, 8, 4, 8, 4, 8, 4, 2, 0, 3, 5,
				   16 };
	u32 byte = take(f, 1), field;

	*len = lens[byte % 16];
	if (byte >= 240)
		return take(f, 4);
	if (byte >= 208)
		return take(f, 2);
	field = take(f, 1) % 16;
	if (byte < 176 && *len)
		field -= field % *len;
	return take_vector(f) * 16 + field;
}

static void model_send(struct fuzz *f, u32 v)
{
	f->sent[f->nr_sent++] = (struct message) {
		.v = v,
		.address = model_address(&f->m, v),
		.data = model_data(&f->m, v),
	};
}

/* Set Message Control in the model; with @settle, visit every vector. */
static void model_control(struct fuzz *f, u16 control, bool settle)
{
	u32 v;

	f->m.enabled = control >= 0x8000;
	f->m.function_masked = control / 0x4000 % 2;
	for (v = 0; settle && v < f->m.nr; v++)
		if (model_settle(&f->m, v))
			model_send(f, v);
}

static void op_write(struct fuzz *f)
{
	struct model_change change = { 0 };
	unsigned int len, effects;
	u32 offset = take_access(f, &len);
	u64 val = take(f, 8);

	f->op = "write";
	if (model_allows(model_table_bytes(&f->m), offset, len)) {
		change = model_write(&f->m, offset, len, val);
		if (change.sent)
			model_send(f, offset / 16);
	} else {
		f->rejected++;
	}
	effects = caller_write(f->c, offset, len, val);
	same(f, "mask changed", change.mask,
	     !!(effects & KVM_MSIX_MASK_CHANGED));
	same(f, "message changed", change.message,
	     !!(effects & KVM_MSIX_MESSAGE_CHANGED));
	same(f, "send", change.sent, !!(effects & KVM_MSIX_SEND));
}

static void op_read(struct fuzz *f)
{
	unsigned int len;
	u32 offset = take_access(f, &len);
	u64 seen = caller_read(f->c, offset, len);

	f->op = "read";
	if (model_allows(model_table_bytes(&f->m), offset, len))
		same(f, "value", model_read(&f->m, offset, len), seen);
	else
		f->rejected++;
}

static void op_pba_read(struct fuzz *f)
{
	unsigned int len;
	u32 offset = take_access(f, &len) % (model_pba_bytes(&f->m) + 16);
	u64 seen = caller_pba_read(f->c, offset, len);

	f->op = "PBA read";
	if (model_allows(model_pba_bytes(&f->m), offset, len))
		same(f, "value", model_pba_read(&f->m, offset, len), seen);
	else
		f->rejected++;
}

/* Try any size, not only sizes of a table or a PBA. */
static void op_access_ok(struct fuzz *f)
{
	u32 size = take(f, 1);
	unsigned int len;
	u32 offset = take_access(f, &len);

	f->op = "access";
	same(f, "allowed", model_allows(size, offset, len),
	     kvm_msix_access_ok(size, offset, len));
	offset = size - offset % 16;
	same(f, "allowed", model_allows(size, offset, len),
	     kvm_msix_access_ok(size, offset, len));
}

static void op_event(struct fuzz *f)
{
	static const enum kvm_msix_verdict verdicts[] = {
		[MODEL_SENT] = KVM_MSIX_EVENT_SEND,
		[MODEL_LATCHED] = KVM_MSIX_EVENT_LATCHED,
		[MODEL_COALESCED] = KVM_MSIX_EVENT_COALESCED,
	};
	u32 v = take_vector(f);
	enum model_outcome outcome = model_event(&f->m, v);

	f->op = "event";
	if (outcome == MODEL_SENT)
		model_send(f, v);
	same(f, "verdict", verdicts[outcome], caller_event(f->c, v));
}

static void op_control(struct fuzz *f)
{
	u16 control = take(f, 2);

	f->op = "control";
	model_control(f, control, true);
	caller_control(f->c, control);
}

/* Write Message Control, and run other operations before the visits. */
static void op_control_only(struct fuzz *f)
{
	u16 control = take(f, 2);

	f->op = "control without visits";
	model_control(f, control, false);
	kvm_msix_set_control(&f->c->core, control);
}

static void op_visit(struct fuzz *f)
{
	u32 v = take_vector(f);
	bool sent = model_settle(&f->m, v);

	f->op = "visit";
	if (sent)
		model_send(f, v);
	same(f, "send", sent ? KVM_MSIX_SEND : 0, caller_visit(f->c, v));
}

static void op_set_entry(struct fuzz *f)
{
	u32 v = take_vector(f);
	struct kvm_msix_entry entry = {
		.qword = { take(f, 8), take(f, 8) },
	};
	bool pending = take(f, 1) % 2;
	u16 control = f->m.enabled * 0x8000 + f->m.function_masked * 0x4000;

	f->op = "set entry";
	model_restore(&f->m, v, entry.qword[0], entry.qword[1], pending);
	model_control(f, control, true);
	caller_set_entry(f->c, v, entry, pending);
}

static void op_reset(struct fuzz *f)
{
	f->op = "reset";
	model_reset(&f->m, f->m.nr);
	caller_reset(f->c);
}

static void (*const ops[])(struct fuzz *f) = {
	op_write, op_write, op_write, op_write, op_event, op_event, op_event,
	op_control, op_control_only, op_visit, op_read, op_pba_read,
	op_access_ok, op_set_entry, op_control, op_reset,
};

static void compare_sent(struct fuzz *f)
{
	unsigned int i;

	same(f, "rejected", f->rejected, f->c->rejected);
	same(f, "messages", f->nr_sent, f->c->nr_sent);
	for (i = 0; i < f->nr_sent; i++) {
		same(f, "vector sent", f->sent[i].v, f->c->sent[i].v);
		same(f, "address sent", f->sent[i].address,
		     f->c->sent[i].address);
		same(f, "data sent", f->sent[i].data, f->c->sent[i].data);
	}
	f->nr_sent = 0;
	f->c->nr_sent = 0;
}

static void compare_state(struct fuzz *f)
{
	struct caller *c = f->c;
	u32 v, offset;

	f->op = "end";
	same(f, "table size", model_table_bytes(&f->m),
	     kvm_msix_table_size(c->core.nr));
	same(f, "PBA size", model_pba_bytes(&f->m),
	     kvm_msix_pba_size(c->core.nr));
	for (v = 0; v < f->m.nr; v++) {
		offset = 16 * v;
		same(f, "first qword", model_read(&f->m, offset, 8),
		     caller_read(c, offset, 8));
		same(f, "second qword", model_read(&f->m, offset + 8, 8),
		     caller_read(c, offset + 8, 8));
		same(f, "masked", model_masked(&f->m, v),
		     caller_masked(c, v));
		same(f, "pending", f->m.vector[v].pending,
		     kvm_msix_pending(&c->core, v));
		same(f, "may send", model_sends(&f->m, v),
		     caller_may_send(c, v));
		same(f, "vector", v, kvm_msix_vector_at(&c->core, offset + 15));
	}
	for (offset = 0; offset < model_pba_bytes(&f->m); offset += 8)
		same(f, "pending bits", model_pba_read(&f->m, offset, 8),
		     caller_pba_read(c, offset, 8));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	/* Mostly few vectors, which take less time. core_test has more than 129. */
	static const u32 nrs[] = { 1, 2, 3, 4, 8, 1, 2, 3, 4, 8, 2, 3,
				   63, 64, 65, 129 };
	struct fuzz *f = &fuzz;
	u32 byte, nr;

	f->in = (struct input) { data, size };
	byte = take(f, 1);
	nr = nrs[byte % ARRAY_SIZE(nrs)];
	caller_shares = byte & 16;
	f->c = caller_new(nr);
	model_reset(&f->m, nr);
	f->rejected = 0;
	f->nr_sent = 0;
	f->nr_op = 0;

	while (f->in.left) {
		f->nr_op++;
		ops[take(f, 1) % ARRAY_SIZE(ops)](f);
		compare_sent(f);
	}
	compare_state(f);
	caller_free(f->c);
	return 0;
}
