// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest's accesses should do: which function or ioeventfd answers, what a
 * read returns, and which exits the VMM gets.
 */
#include "fuzz.h"

static bool within(u64 gpa, u32 len, u64 region, u32 size)
{
	return region != NOWHERE && gpa >= region && gpa + len <= region + size;
}

static bool table_write(struct world *w, struct fuzz_dev *d, u32 offset, u32 len, u64 val)
{
	u32 v = offset / 16;
	bool was_masked = model_masked(&d->m, v);
	struct model_change change;

	if (!model_allows(model_table_bytes(&d->m), offset, len)) {
		d->stat[STAT_REJECTED]++;
		return true;
	}
	d->stat[STAT_WRITES]++;
	change = model_write(&d->m, offset, len, val);
	d->stat[STAT_MASK_CHANGES] += change.mask;
	if (change.sent)
		fuzz_expect_release(w, d, v, NULL);
	if (change.mask || change.message || change.sent)
		fuzz_sync_routes(d, v, 1);
	fuzz_told_write(d, v, was_masked, true);
	return !(d->flags & KVM_MSIX_CREATE_LAZY && change.mask && !model_masked(&d->m, v) &&
		 !fuzz_vec_bound(&d->vec[v]));
}

static bool pba_write(struct fuzz_dev *d, u32 offset, u32 len)
{
	d->stat[model_allows(model_pba_bytes(&d->m), offset, len) ? STAT_WRITES :
								   STAT_REJECTED]++;
	return true;
}

static bool table_read(struct fuzz_dev *d, u32 offset, u32 len, u64 *val)
{
	if (model_allows(model_table_bytes(&d->m), offset, len)) {
		d->stat[STAT_READS]++;
		*val = model_read(&d->m, offset, len);
	} else {
		d->stat[STAT_REJECTED]++;
	}
	return true;
}

static bool pba_read_bits(struct fuzz_dev *d, u32 offset, u32 len, u64 *val)
{
	u32 v;

	if (!model_allows(model_pba_bytes(&d->m), offset, len)) {
		d->stat[STAT_REJECTED]++;
		return true;
	}
	for (v = offset * 8; v < (offset + len) * 8 && v < d->m.nr; v++)
		if (d->flags & KVM_MSIX_CREATE_LAZY && !fuzz_vec_bound(&d->vec[v]))
			return false;
	d->stat[STAT_READS]++;
	*val = fuzz_pba_read(d, offset, len);
	return true;
}

static bool ring_bell(struct world *w, struct fuzz_vm *vm, u64 gpa, u32 len)
{
	u32 i;

	for (i = 0; i < FUZZ_BELLS; i++) {
		if (!vm->bell[i].event || vm->bell[i].gpa != gpa || vm->bell[i].len != len)
			continue;
		fuzz_expect_signal(w, vm->bell[i].event, 1);
		return true;
	}
	return false;
}

/* An access on KVM's bus; false: exits to the VMM. A rejected read is all ones. */
static bool bus_access(struct world *w, struct fuzz_vm *vm, bool write, u64 gpa, u32 len,
		       u64 *val)
{
	struct fuzz_dev *d;
	u32 i;

	for (i = 0; i < FUZZ_DEVS; i++) {
		d = w->dev[i];
		if (!d || d->vm != vm)
			continue;
		if (within(gpa, len, d->table, model_table_bytes(&d->m)))
			return write ? table_write(w, d, gpa - d->table, len, *val) :
				       table_read(d, gpa - d->table, len, val);
		if (within(gpa, len, d->pba, model_pba_bytes(&d->m)))
			return write ? pba_write(d, gpa - d->pba, len) :
				       pba_read_bits(d, gpa - d->pba, len, val);
	}
	return write && ring_bell(w, vm, gpa, len);
}

static void expect_exits(struct world *w, bool write, u64 gpa, u32 len, const u8 *bytes)
{
	struct mmio_exit *e;
	u32 n;

	for (; len; gpa += n, bytes += n, len -= n) {
		n = len < 8 ? len : 8;
		TEST_ASSERT(w->nr_exits < ARRAY_SIZE(w->exit), "too many exits");
		e = &w->exit[w->nr_exits++];
		*e = (struct mmio_exit) { .addr = gpa, .len = n, .is_write = write };
		if (write)
			memcpy(&e->data, bytes, n);
	}
}

/*
 * One memory operand. KVM splits the operand at the page boundary, and splits
 * each part that is not memory into pieces of 8 bytes. If no device in the kernel
 * answers a piece, the VMM gets this piece and the rest of the part.
 *
 * Returns whether the value read is known: if the kernel answers one part and the
 * VMM another, KVM does not put the parts together.
 */
static bool operand(struct world *w, struct fuzz_vm *vm, bool write, u64 gpa, u32 len, u8 *bytes)
{
	struct { u64 gpa; u32 len; u8 *bytes; } rest[2];
	u32 nr = 0, part, done, n, answered = 0, all = len, i;
	struct fuzz_slot *slot;
	u64 val;

	for (; len; gpa += part, bytes += part, len -= part) {
		part = FUZZ_PAGE - gpa % FUZZ_PAGE < len ? FUZZ_PAGE - gpa % FUZZ_PAGE : len;
		slot = fuzz_slot_at(vm, gpa);
		if (slot && !(write && slot->read_only)) {
			fuzz_memory_access(w, vm, write, gpa, part, bytes);
			answered += part;
			continue;
		}
		for (done = 0; done < part; done += n) {
			n = part - done < 8 ? part - done : 8;
			val = ~0ull;
			if (write) {
				val = 0;
				memcpy(&val, bytes + done, n);
			}
			if (!bus_access(w, vm, write, gpa + done, n, &val))
				break;
			if (!write)
				memcpy(bytes + done, &val, n);
		}
		answered += done;
		if (done < part) {
			rest[nr].gpa = gpa + done;
			rest[nr].len = part - done;
			rest[nr++].bytes = bytes + done;
		}
	}
	for (i = 0; i < nr; i++)
		expect_exits(w, write, rest[i].gpa, rest[i].len, rest[i].bytes);
	if (write || answered == all)
		return true;
	if (answered || all > 8 || nr > 1)
		return false;
	memcpy(rest[0].bytes, &vm->m->mmio_answer, all);
	return true;
}

void fuzz_expect_access(struct world *w, struct fuzz_vm *vm, struct access *a, bool *known)
{
	u64 old = 0;
	u32 i;

	*known = true;
	switch (a->insn) {
	case INSN_READ:
	case INSN_PUSH:
		a->val[0] = 0;
		fallthrough;
	case INSN_READ16:
		*known = operand(w, vm, false, a->gpa, a->width, (u8 *)a->val);
		break;
	case INSN_WRITE:
	case INSN_WRITE16:
	case INSN_POP:
		operand(w, vm, true, a->gpa, a->width, (u8 *)a->val);
		break;
	case INSN_MOVS_TO:
		for (i = 0; i < a->count; i++)
			operand(w, vm, true, a->gpa + i * a->width, a->width,
				a->buf + i * a->width);
		break;
	case INSN_MOVS_FROM:
		for (i = 0; i < a->count; i++)
			*known &= operand(w, vm, false, a->gpa + i * a->width, a->width,
					  a->buf + i * a->width);
		break;
	case INSN_STOS:
		for (i = 0; i < a->count; i++)
			operand(w, vm, true, a->gpa + i * a->width, a->width, (u8 *)a->val);
		break;
	case INSN_OR:
	case INSN_LOCK_OR:
		operand(w, vm, false, a->gpa, a->width, (u8 *)&old);
		old |= a->val[0];
		operand(w, vm, true, a->gpa, a->width, (u8 *)&old);
		break;
	case INSN_XCHG:
		operand(w, vm, false, a->gpa, a->width, (u8 *)&old);
		operand(w, vm, true, a->gpa, a->width, (u8 *)a->val);
		memcpy(a->val, &old, a->width);
		/* A 32-bit result clears the register's upper half. */
		if (a->width == 4)
			a->val[0] = (u32)old;
		break;
	default:
		break;
	}
}
