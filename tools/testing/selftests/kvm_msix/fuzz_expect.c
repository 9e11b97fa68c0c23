// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the fuzzer's operations should do. The model of core.c's tests
 * (tools/testing/kvm_msix/model.h) has table, mask and pending bits. This file
 * models what the uapi adds: addresses and bindings of functions, KVM's routing
 * table, messages.
 */
#include "fuzz.h"

#define IOAPIC_GPA	0xfec00000ull
#define IOAPIC_SIZE	0x100

/*
 * Messages.
 */

static bool to_apic(u64 address)
{
	return (address & 0xfff00000) == 0xfee00000;
}

enum fuzz_message fuzz_classify(const struct fuzz_vm *vm, u64 address, u32 data, u32 *cpu)
{
	u32 mode = data >> 8 & 7;

	if (!to_apic(address) || mode == 3 || mode == 6)
		return MESSAGE_NEVER;
	if (address >> 32 & (vm->x2apic_format ? 0xff : 0xffffffff))
		return MESSAGE_NEVER;
	if (!vm->m || data & ~0xff || (data & 0xff) < 0x20)
		return MESSAGE_UNSURE;
	for (*cpu = 0; *cpu < 2; ++*cpu)
		if (address == MSI_ADDR(*cpu))
			return MESSAGE_EXACT;
	return MESSAGE_UNSURE;
}

static void expect_irq(struct world *w, enum fuzz_message message, u32 cpu, u32 data)
{
	if (message == MESSAGE_EXACT)
		w->sent[cpu][data & 0xff]++;
	else if (message == MESSAGE_UNSURE)
		w->unsure = true;
}

static void expect_message(struct world *w, struct fuzz_dev *d, u32 v, u64 address, u32 data)
{
	u32 cpu = 0;
	enum fuzz_message message = fuzz_classify(d->vm, address, data, &cpu);

	fuzz_log("    vector %u sends %#llx %#x", v, (unsigned long long)address, data);
	if (message == MESSAGE_NEVER)
		d->stat[STAT_DROPPED]++;
	else if (message == MESSAGE_EXACT)
		d->stat[STAT_DELIVERED]++;
	else
		d->unsure++;
	if (d->vm->m)
		expect_irq(w, message, cpu, data);
}

static void expect_send(struct world *w, struct fuzz_dev *d, u32 v)
{
	expect_message(w, d, v, model_address(&d->m, v), model_data(&d->m, v));
}

void fuzz_expect_release(struct world *w, struct fuzz_dev *d, u32 v, const struct fuzz_late *late)
{
	d->stat[STAT_RELEASED]++;
	fuzz_picture(d, v);
	/* By now the kernel has noticed the earlier stores. */
	if (!late && fuzz_take_late(d, v))
		late = &d->late[v];
	if (!late) {
		expect_send(w, d, v);
	} else if (!late->unsure) {
		expect_message(w, d, v, late->address, late->data);
	} else {
		d->unsure++;
		w->unsure = true;
	}
}

/*
 * Routes.
 */

bool fuzz_vec_bound(const struct fuzz_vec *vec)
{
	return vec->nr_events || vec->gsi >= 0;
}

static void sync_route(struct fuzz_dev *d, u32 v)
{
	int gsi = d->vec[v].gsi;
	struct fuzz_route *route;
	u32 cpu;

	if (gsi < 0 || gsi >= d->vm->nr_routes)
		return;
	route = &d->vm->route[gsi];
	route->address = model_address(&d->m, v);
	route->data = model_data(&d->m, v);
	route->kind = ROUTE_NONE;
	if (model_sends(&d->m, v) &&
	    fuzz_classify(d->vm, route->address, route->data, &cpu) != MESSAGE_NEVER)
		route->kind = ROUTE_MSI;
}

void fuzz_sync_routes(struct fuzz_dev *d, u32 first, u32 count)
{
	u32 v;

	for (v = first; v < first + count; v++)
		sync_route(d, v);
}

/* The routes that KVM_CREATE_IRQCHIP makes. */
void fuzz_default_routes(struct fuzz_vm *vm)
{
	u32 gsi;

	memset(vm->route, 0, sizeof(vm->route));
	vm->nr_routes = vm->pins ? 1 : 24;
	for (gsi = 0; gsi < 24 && !vm->pins; gsi++)
		vm->route[gsi].kind = ROUTE_CHIP;
}

static void grow_routes(struct fuzz_vm *vm, u32 gsi)
{
	u32 nr = (gsi + 64) / 64 * 64;

	if (gsi >= vm->nr_routes)
		vm->nr_routes = nr < FUZZ_GSIS ? nr : FUZZ_GSIS;
}

/* KVM's routing table ends with the last GSI in use. */
void fuzz_expect_routing(struct fuzz_vm *vm, u32 nr, const struct kvm_irq_routing_entry *e,
			 bool through_module)
{
	u32 i, gsi;

	memset(vm->route, 0, sizeof(vm->route));
	vm->nr_routes = 1;
	for (i = 0; i < nr; i++) {
		if (e[i].gsi >= vm->nr_routes)
			vm->nr_routes = e[i].gsi + 1;
		vm->route[e[i].gsi] = (struct fuzz_route) {
			.kind = e[i].type == KVM_IRQ_ROUTING_MSI ? ROUTE_MSI : ROUTE_CHIP,
			.address = e[i].u.msi.address_lo | (u64)e[i].u.msi.address_hi << 32,
			.data = e[i].u.msi.data,
		};
	}
	for (gsi = 0; through_module && gsi < FUZZ_GSIS; gsi++) {
		if (!vm->owner[gsi])
			continue;
		if (gsi >= vm->nr_routes)
			vm->nr_routes = gsi + 1;
		sync_route(vm->owner[gsi]->dev, vm->owner[gsi] - vm->owner[gsi]->dev->vec);
	}
}

/* A GSI is injected. Routes that the VMM sets are MESSAGE_EXACT. */
void fuzz_expect_inject(struct world *w, struct fuzz_vm *vm, u32 gsi)
{
	struct fuzz_route *route = &vm->route[gsi];
	enum fuzz_message message;
	u32 cpu = 0;

	if (!vm->m || gsi >= vm->nr_routes || route->kind != ROUTE_MSI)
		return;
	message = fuzz_classify(vm, route->address, route->data, &cpu);
	expect_irq(w, message, cpu, route->data);
}

/*
 * Events.
 */

void fuzz_expect_event(struct world *w, struct fuzz_vec *vec)
{
	struct fuzz_dev *d = vec->dev;

	d->stat[STAT_EVENTS]++;
	switch (model_event(&d->m, vec - d->vec)) {
	case MODEL_SENT:
		expect_send(w, d, vec - d->vec);
		break;
	case MODEL_LATCHED:
		d->stat[STAT_LATCHED]++;
		fuzz_picture(d, vec - d->vec);
		break;
	case MODEL_COALESCED:
		d->stat[STAT_COALESCED]++;
		break;
	}
}

static void consume(struct fuzz_event *e)
{
	if (e->semaphore && e->count)
		e->count--;
	else
		e->count = 0;
}

void fuzz_expect_signal(struct world *w, struct fuzz_event *e, u64 n)
{
	e->count += n;
	if (e->vec) {
		consume(e);
		fuzz_expect_event(w, e->vec);
	} else if (e->irqfd >= 0) {
		consume(e);
		fuzz_expect_inject(w, w->vm[0], e->irqfd);
		w->flush = e;
	}
}

/*
 * Message Control, reset.
 */

void fuzz_expect_control(struct world *w, struct fuzz_dev *d, u16 control)
{
	bool was_enabled = d->m.enabled;
	u32 v;

	d->m.enabled = control & ENABLE;
	d->m.function_masked = control & FUNCTION_MASK;
	for (v = 0; v < d->m.nr; v++)
		if (model_settle(&d->m, v))
			fuzz_expect_release(w, d, v, NULL);
	fuzz_sync_routes(d, 0, d->m.nr);
	fuzz_told_control(d, was_enabled);
}

void fuzz_expect_reset(struct world *w, struct fuzz_dev *d)
{
	bool was_masked[MODEL_MAX_VECTORS];
	u32 v;

	for (v = 0; v < d->m.nr; v++)
		was_masked[v] = model_masked(&d->m, v);
	model_reset(&d->m, d->m.nr);
	for (v = 0; v < d->m.nr; v++)
		fuzz_told_replace(d, v, was_masked[v]);
	fuzz_picture_all(d);
	fuzz_expect_control(w, d, 0);
}

/*
 * SET_ADDR, BIND.
 */

static bool overlap(u64 a, u32 a_size, u64 b, u32 b_size)
{
	return b != NOWHERE && a < b + b_size && b < a + a_size;
}

bool fuzz_occupied(const struct fuzz_vm *vm, const struct world *w, const struct fuzz_dev *but,
		   u64 gpa, u32 size)
{
	const struct fuzz_dev *d;
	u32 i;

	for (i = 0; i < FUZZ_DEVS; i++) {
		d = w->dev[i];
		if (!d || d == but || d->vm != vm)
			continue;
		if (overlap(gpa, size, d->table, model_table_bytes(&d->m)) ||
		    overlap(gpa, size, d->pba, model_pba_bytes(&d->m)))
			return true;
	}
	for (i = 0; i < FUZZ_BELLS; i++)
		if (vm->bell[i].event && overlap(gpa, size, vm->bell[i].gpa, vm->bell[i].len))
			return true;
	return !vm->pins && overlap(gpa, size, IOAPIC_GPA, IOAPIC_SIZE);
}

static bool bad_range(bool present, u64 gpa, u32 size)
{
	if (!present)
		return gpa;
	return gpa % 8 || gpa + size < gpa;
}

/* Check the arguments only: 0 or -errno. fuzz_occupied() checks the rest. */
int fuzz_expect_set_addr(struct fuzz_dev *d, u32 flags, u64 table, u64 pba)
{
	u32 table_size = model_table_bytes(&d->m), pba_size = model_pba_bytes(&d->m);
	bool with_table = flags & KVM_MSIX_ADDR_TABLE, with_pba = flags & KVM_MSIX_ADDR_PBA;

	if (bad_range(with_table, table, table_size) || bad_range(with_pba, pba, pba_size))
		return -EINVAL;
	if (with_table && with_pba && overlap(table, table_size, pba, pba_size))
		return -EINVAL;
	return 0;
}

static int expect_eventfd(struct fuzz_vec *vec, struct fuzz_event *e, u32 flags,
			  struct fuzz_vec **claimed)
{
	if (e->vec == vec)
		return 0;
	if (flags & KVM_MSIX_BIND_REMOVE)
		return -ENOENT;
	if (e->vec || e->irqfd >= 0 || *claimed)
		return -EBUSY;
	*claimed = vec;
	return 0;
}

static int expect_gsi(struct world *w, struct fuzz_vec *vec, int gsi)
{
	struct fuzz_vm *vm = vec->dev->vm;

	if (gsi == -1)
		return 0;
	if (gsi < (int)vm->pins || gsi >= FUZZ_GSIS)
		return -EINVAL;
	if (gsi == vec->gsi)
		return 0;
	if (fuzz_mapped(w, vec->dev) || vm->owner[gsi])
		return -EBUSY;
	if (gsi < vm->nr_routes && vm->route[gsi].kind != ROUTE_NONE)
		return -EEXIST;
	grow_routes(vm, gsi);
	vm->owner[gsi] = vec;
	return 0;
}

static void lose_event(struct fuzz_vec *vec, struct fuzz_event *e)
{
	if (e->vec != vec)
		return;
	e->vec = NULL;
	vec->nr_events--;
}

/* Unbind all eventfds of @vec but @e. */
static void lose_others(struct world *w, struct fuzz_vec *vec, const struct fuzz_event *e)
{
	u32 i;

	for (i = 0; i < FUZZ_EVENTS; i++)
		if (&w->event[i] != e)
			lose_event(vec, &w->event[i]);
	for (i = 0; i < w->nr_ghosts; i++)
		lose_event(vec, &w->ghost[i]);
}

void fuzz_forget_events(struct world *w, struct fuzz_vec *vec)
{
	lose_others(w, vec, NULL);
}

static void take_event(struct world *w, struct fuzz_vec *vec, struct fuzz_event *e, u32 flags)
{
	if (!flags)
		lose_others(w, vec, e);
	if (flags & KVM_MSIX_BIND_REMOVE && e)
		lose_event(vec, e);
	if (flags & KVM_MSIX_BIND_REMOVE || !e || e->vec == vec)
		return;
	e->vec = vec;
	vec->nr_events++;
	if (e->count) {
		consume(e);
		fuzz_expect_event(w, vec);
	}
}

/*
 * @events[i] is the eventfd of @bindings[i].eventfd, or NULL; @errs[i] is the
 * errno for a bad file descriptor. Returns 0 or -errno.
 */
int fuzz_expect_bind(struct world *w, struct fuzz_dev *d, u32 flags, u32 first, u32 count,
		     const struct kvm_msix_binding *bindings, struct fuzz_event **events,
		     const int *errs)
{
	struct fuzz_vec *claimed[FUZZ_EVENTS + FUZZ_GHOSTS] = { NULL };
	struct fuzz_vm *vm = d->vm;
	struct fuzz_vec *vec;
	int err = 0, old;
	u32 i;

	for (i = 0; i < count && !err; i++) {
		vec = &d->vec[first + i];
		err = flags && bindings[i].gsi != -1 ? -EINVAL : -errs[i];
		if (!err && events[i])
			err = expect_eventfd(vec, events[i], flags,
					     &claimed[events[i] - w->event]);
		if (!err && !flags)
			err = expect_gsi(w, vec, bindings[i].gsi);
	}
	if (err) {
		/* A routing table that has grown does not shrink. */
		for (i = 0; i < FUZZ_GSIS; i++)
			if (vm->owner[i] && vm->owner[i]->gsi != i)
				vm->owner[i] = NULL;
		return err;
	}
	for (i = 0; i < count; i++)
		take_event(w, &d->vec[first + i], events[i], flags);
	for (i = 0; i < count; i++) {
		vec = &d->vec[first + i];
		if (flags && events[i])
			fuzz_told_bind(d, first + i);
		if (flags) {
			sync_route(d, first + i);
			continue;
		}
		old = vec->gsi;
		if (old >= 0 && old != bindings[i].gsi) {
			vm->owner[old] = NULL;
			vm->route[old].kind = ROUTE_NONE;
		}
		vec->gsi = bindings[i].gsi;
		sync_route(d, first + i);
		fuzz_told_bind(d, first + i);
	}
	return 0;
}
