// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of the guest: single accesses, and what a driver does with a vector.
 */
#include "fuzz_ops.h"

static bool in_reach(u64 gpa, u32 size)
{
	return gpa >= BAR_GPA && gpa <= BAR_GPA + BAR_SIZE - size;
}

/* A function whose table the guest can access. */
static struct fuzz_dev *draw_guest_dev(struct world *w, struct rng *r)
{
	u32 i, first = pick(r, FUZZ_DEVS);
	struct fuzz_dev *d;

	for (i = 0; i < FUZZ_DEVS; i++) {
		d = w->dev[(first + i) % FUZZ_DEVS];
		if (d && d->vm->m && in_reach(d->table, model_table_bytes(&d->m)))
			return d;
	}
	return NULL;
}

void fuzz_do_access(struct world *w, struct fuzz_vm *vm, struct access *a)
{
	struct access expected = *a;
	bool known;
	u32 i, n;

	if (!fuzz_reachable(w, vm, a))
		return;
	fuzz_log("guest: insn %i at %#llx, width %u, %u times, %#llx %#llx", a->insn,
		 (unsigned long long)a->gpa, a->width, a->count, (unsigned long long)a->val[0],
		 (unsigned long long)a->val[1]);
	w->by_guest = true;
	fuzz_expect_access(w, vm, &expected, &known);
	fuzz_guest_access(vm->m, a);
	if (!known)
		return;
	switch (a->insn) {
	case INSN_READ16:
		EXPECT_SAME("high half read", expected.val[1], a->val[1]);
		fallthrough;
	case INSN_READ:
	case INSN_PUSH:
	case INSN_XCHG:
		EXPECT_SAME("value read", expected.val[0], a->val[0]);
		break;
	case INSN_MOVS_FROM:
		n = fuzz_access_bytes(a);
		for (i = 0; i < n; i++)
			EXPECT_SAME("byte read", expected.buf[i], a->buf[i]);
		break;
	default:
		break;
	}
}

void fuzz_op_access(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = draw_guest_dev(w, r);
	struct fuzz_slot *slot;
	struct access a;
	u64 gpa;
	u32 size;

	if (!d)
		return;
	gpa = d->table;
	size = model_table_bytes(&d->m);
	if (one_in(r, 3) && in_reach(d->pba, model_pba_bytes(&d->m))) {
		gpa = d->pba;
		size = model_pba_bytes(&d->m);
	}
	/* Or draw any memory slot, even if no function has its address there. */
	slot = &d->vm->slot[pick(r, FUZZ_SLOTS)];
	if (slot->pages && one_in(r, 3)) {
		gpa = slot->gpa;
		size = slot->pages * FUZZ_PAGE;
	}
	fuzz_draw_access(r, &a, gpa, size);
	if (!fuzz_tame_memory(d->vm, &a))
		fuzz_tame_access(&a, d->table, model_table_bytes(&d->m));
	d->vm->m->current_cpu = pick(r, 2);
	fuzz_do_access(w, d->vm, &a);
}

/* An access anywhere: beside all functions, or where a function was. */
void fuzz_op_access_any(struct world *w, struct rng *r)
{
	struct fuzz_bell *bell = &w->vm[0]->bell[pick(r, FUZZ_BELLS)];
	struct access a;

	if (bell->event && !one_in(r, 4))
		a = (struct access) { .insn = INSN_WRITE, .gpa = bell->gpa, .width = bell->len,
				      .count = 1, .val = { rnd(r) } };
	else
		fuzz_draw_access(r, &a, BAR_GPA, BAR_SIZE);
	fuzz_tame_access(&a, NOWHERE, 0);
	w->vm[0]->m->current_cpu = pick(r, 2);
	fuzz_do_access(w, w->vm[0], &a);
}

static void guest_store(struct world *w, struct fuzz_dev *d, u32 v, u32 field, u32 width, u64 val)
{
	struct access a = {
		.insn = INSN_WRITE,
		.gpa = d->table + v * 16 + field,
		.width = width,
		.count = 1,
		.val = { val },
	};

	/* The memory belongs to another function, whose fields are elsewhere. */
	if (d->table % ENTRY_SIZE && fuzz_slot_at(d->vm, a.gpa))
		return;
	fuzz_do_access(w, d->vm, &a);
}

/* Program an entry as a driver does: data, address, unmask. */
void fuzz_op_program(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = draw_guest_dev(w, r);
	u64 address;
	u32 v;

	if (!d)
		return;
	v = fuzz_draw_vector(r, d);
	d->vm->m->current_cpu = pick(r, 2);
	address = fuzz_draw_address(r, d->vm);
	guest_store(w, d, v, ENTRY_DATA, 4, fuzz_draw_data(r));
	guest_store(w, d, v, ENTRY_ADDR_LO, 8, address);
	if (!one_in(r, 4))
		guest_store(w, d, v, ENTRY_CTRL, 4, 0);
}

void fuzz_op_mask(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = draw_guest_dev(w, r);
	u64 val = pick(r, 2);
	u32 v;

	if (!d)
		return;
	v = fuzz_draw_vector(r, d);
	d->vm->m->current_cpu = pick(r, 2);
	if (one_in(r, 4))
		guest_store(w, d, v, ENTRY_DATA, 8, val << 32 | fuzz_draw_data(r));
	else
		guest_store(w, d, v, ENTRY_CTRL, 1 << pick(r, 3), val);
	/* Change the mask back, maybe before the kernel has noticed the first change. */
	while (one_in(r, 4)) {
		val = !val;
		guest_store(w, d, v, ENTRY_CTRL, 4, val);
	}
}

/* Draw a vector with an eventfd; if the function has none, bind an eventfd. */
static struct fuzz_event *draw_bound(struct world *w, struct rng *r, struct fuzz_dev *d, u32 *v)
{
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS)];
	struct kvm_msix_bind args = { .count = 1 };
	struct kvm_msix_binding *binding;
	int err = 0;
	u32 i;

	for (i = 0; i < FUZZ_EVENTS; i++, e = &w->event[(e - w->event + 1) % FUZZ_EVENTS]) {
		if (!e->vec || e->vec->dev != d)
			continue;
		*v = e->vec - d->vec;
		return e;
	}
	args.first = fuzz_draw_vector(r, d);
	binding = fuzz_tight(0, sizeof(*binding));
	*binding = (struct kvm_msix_binding) { e->fd, d->vec[args.first].gsi };
	args.bindings = (uintptr_t)binding;
	fuzz_log("bind: device %i, vector %u to eventfd %i", d->id, args.first, e->fd);
	err = -fuzz_expect_bind(w, d, 0, args.first, 1, binding, &e, &err);
	fuzz_expect_errno("BIND", err, fuzz_call(r, d->fd, KVM_MSIX_BIND, &args));
	*v = args.first;
	return err ? NULL : e;
}

static void switch_on(struct world *w, struct rng *r, struct fuzz_dev *d)
{
	struct kvm_msix_control args = { .control = ENABLE };

	fuzz_log("switch on: device %i", d->id);
	fuzz_expect_control(w, d, ENABLE);
	fuzz_expect_errno("CONTROL", 0, fuzz_call(r, d->fd, KVM_MSIX_CONTROL, &args));
}

/* Mask, event, unmask: what drivers and devices do all the time. */
void fuzz_op_cycle(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = draw_guest_dev(w, r);
	struct fuzz_event *e;
	u32 v;

	if (!d)
		return;
	if (d->pages && !fuzz_slot_at(d->vm, d->table) && one_in(r, 2))
		fuzz_make_memory(w, r, d);
	e = draw_bound(w, r, d, &v);
	if (!e || !in_reach(d->table, model_table_bytes(&d->m)))
		return;
	d->vm->m->current_cpu = pick(r, 2);
	if (one_in(r, 2)) {
		guest_store(w, d, v, ENTRY_DATA, 4, fuzz_draw_data(r));
		guest_store(w, d, v, ENTRY_ADDR_LO, 8, fuzz_draw_address(r, d->vm));
	}
	if (!one_in(r, 4))
		switch_on(w, r, d);
	guest_store(w, d, v, ENTRY_CTRL, 4, 1);
	fuzz_signal(w, e, 1);
	switch (pick(r, 12)) {
	case 0:
		fuzz_op_slot(w, r);
		break;
	case 1:
		fuzz_op_poke(w, r);
		break;
	case 2:
	case 3:
		return;
	}
	guest_store(w, d, v, ENTRY_CTRL, 4, 0);
	if (one_in(r, 4))
		fuzz_signal(w, e, 1);
}

/* Read all bytes of a small function that the guest can read. */
void fuzz_op_sweep(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = draw_guest_dev(w, r);
	struct access a = { .insn = INSN_READ, .width = 8, .count = 1 };
	u32 at;

	if (!d || d->m.nr > 8)
		return;
	for (at = 0; at < model_table_bytes(&d->m); at += 8) {
		a.gpa = d->table + at;
		fuzz_do_access(w, d->vm, &a);
	}
	a.gpa = d->pba;
	if (in_reach(d->pba, model_pba_bytes(&d->m)))
		fuzz_do_access(w, d->vm, &a);
}
