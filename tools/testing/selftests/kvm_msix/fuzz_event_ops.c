// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on eventfds and GSIs: bindings to vectors, KVM's routing table, and
 * events.
 */
#include "fuzz_ops.h"

static int draw_gsi(struct rng *r)
{
	static const int often[] = { -1, -1, -1, 24, 25, 30, 50, 63, 64, 1000 };

	switch (pick(r, 16)) {
	case 0:
		return pick(r, 24);
	case 1:
		return FUZZ_GSIS - 2 + pick(r, 4);
	case 2:
		return one_in(r, 2) ? -1 : rnd(r);
	default:
		return often[pick(r, ARRAY_SIZE(often))];
	}
}

/* A GSI to inject or to route to a message; not one of the irqchips' pins. */
static u32 draw_msi_gsi(struct rng *r)
{
	static const u32 often[] = { 24, 25, 30, 50, 63, 64, 1000, 4095 };

	return often[pick(r, ARRAY_SIZE(often))];
}

/*
 * Binding.
 */

#define MAX_BIND	12

/* Replace the eventfds of each vector, add one, or remove one. */
static u32 draw_bind_flags(struct rng *r)
{
	static const u32 flags[] = { 0, 0, KVM_MSIX_BIND_ADD, KVM_MSIX_BIND_REMOVE };

	return flags[pick(r, ARRAY_SIZE(flags))];
}

static void draw_binding(struct world *w, struct rng *r, struct fuzz_dev *d, u32 flags,
			 struct kvm_msix_binding *to, struct fuzz_event **event, int *err)
{
	u32 i;

	*event = NULL;
	*err = 0;
	to->eventfd = -1;
	to->gsi = d->no_gsi || (flags && !one_in(r, 24)) ? -1 : draw_gsi(r);
	if (one_in(r, 24)) {
		to->eventfd = fuzz_bad_fd(r, err);
	} else if (!one_in(r, 4)) {
		i = pick(r, FUZZ_EVENTS);
		to->eventfd = w->event[i].fd;
		*event = &w->event[i];
	}
}

void fuzz_op_bind(struct world *w, struct rng *r)
{
	struct kvm_msix_binding bindings[MAX_BIND], *at;
	struct kvm_msix_bind args = { .size = 0 };
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct fuzz_event *events[MAX_BIND];
	int errs[MAX_BIND], want, err;
	u32 i;

	if (!d)
		return;
	args.flags = draw_bind_flags(r);
	args.first = fuzz_draw_vector(r, d);
	args.count = one_in(r, 2) ? 1 : 1 + pick(r, MAX_BIND);
	if (args.count > d->m.nr - args.first)
		args.count = d->m.nr - args.first;
	for (i = 0; i < args.count; i++) {
		draw_binding(w, r, d, args.flags, &bindings[i], &events[i], &errs[i]);
		fuzz_log("bind: flags %u, device %i, vector %u to eventfd %i, gsi %i", args.flags,
			 d->id, args.first + i, bindings[i].eventfd, bindings[i].gsi);
	}
	at = fuzz_tight(0, args.count * sizeof(*at));
	memcpy(at, bindings, args.count * sizeof(*at));
	args.bindings = (uintptr_t)at;

	if (one_in(r, 12)) {
		want = EINVAL;
		switch (pick(r, 6)) {
		case 0:
			args.count = 0;
			break;
		case 4:
			/* The end of the range wraps. */
			args.count = -args.first - pick(r, 2);
			if (args.count <= d->m.nr)
				args.count = -1;
			break;
		case 1:
			args.first = d->m.nr + pick(r, 2) * pick(r, 0x7fffffff);
			break;
		case 2:
			args.count = d->m.nr - args.first + 1 + pick(r, 2) * pick(r, 0x7fffffff);
			break;
		case 3:
			args.first = -args.count;
			break;
		default:
			args.bindings = (uintptr_t)fuzz_bad_pointer(r, args.count * sizeof(*at));
			want = EFAULT;
		}
		fuzz_log("bind: really %u from %u at %#llx", args.count, args.first, args.bindings);
		fuzz_expect_errno("BIND", want, fuzz_call(r, d->fd, KVM_MSIX_BIND, &args));
		return;
	}
	want = -fuzz_expect_bind(w, d, args.flags, args.first, args.count, bindings, events, errs);
	err = fuzz_call(r, d->fd, KVM_MSIX_BIND, &args);
	fuzz_expect_errno("BIND", want, err);
}

/* Unbind all vectors of a function by one call. */
void fuzz_op_unbind(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_bind args = { .size = 0 };
	struct kvm_msix_binding *bindings;
	struct fuzz_event **events;
	int *errs;

	if (!d)
		return;
	fuzz_log("unbind: device %i", d->id);
	args.count = d->m.nr;
	bindings = fuzz_tight(0, args.count * sizeof(*bindings));
	memset(bindings, 0xff, args.count * sizeof(*bindings));
	args.bindings = (uintptr_t)bindings;
	events = calloc(args.count, sizeof(*events));
	errs = calloc(args.count, sizeof(*errs));
	TEST_ASSERT(events && errs, "calloc");
	fuzz_expect_bind(w, d, 0, 0, args.count, bindings, events, errs);
	fuzz_expect_errno("BIND", 0, fuzz_call(r, d->fd, KVM_MSIX_BIND, &args));
	free(events);
	free(errs);
}

/*
 * KVM's routing table.
 */

#define MAX_ROUTES	6

static u32 draw_routes(struct rng *r, struct fuzz_vm *vm, struct kvm_irq_routing_entry *e)
{
	u32 nr = pick(r, MAX_ROUTES + 1), i, j;

	for (i = 0; i < nr; i++) {
		e[i] = msi_route(draw_msi_gsi(r), MSI_ADDR(pick(r, 2)), 0x20 + pick(r, 0xe0));
		if (!vm->pins && one_in(r, 4)) {
			memset(&e[i], 0, sizeof(e[i]));
			e[i].gsi = pick(r, 24);
			e[i].type = KVM_IRQ_ROUTING_IRQCHIP;
			e[i].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
			e[i].u.irqchip.pin = e[i].gsi;
		}
		for (j = 0; j < i; j++)
			if (e[j].gsi == e[i].gsi)
				break;
		if (j < i) {
			i--;
			nr--;
		}
	}
	return nr;
}

/* Add an entry that KVM refuses. */
static void spoil_routes(struct rng *r, struct kvm_irq_routing_entry *e, u32 *nr)
{
	u32 i = *nr;

	*nr = i + 1;
	e[i] = msi_route(40, MSI_ADDR(0), 0x40);
	switch (pick(r, 4)) {
	case 0:
		e[i].gsi = FUZZ_GSIS + pick(r, 2) * pick(r, 0x7fffffff);
		break;
	case 1:
		e[i].type = 5 + pick(r, 1000);
		break;
	case 2:
		e[i].flags = 1u << (4 + pick(r, 28));
		break;
	default:
		e[i + 1] = e[i];
		*nr = i + 2;
	}
}

void fuzz_op_routing(struct world *w, struct rng *r)
{
	struct kvm_irq_routing_entry e[MAX_ROUTES + 2], *at;
	struct kvm_msix_gsi_routing args = { .size = 0 };
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	int want = 0;
	u32 nr, i;

	if (!d)
		return;
	nr = draw_routes(r, d->vm, e);
	if (one_in(r, 8)) {
		spoil_routes(r, e, &nr);
		want = EINVAL;
	}
	for (i = 0; i < nr; i++)
		if (e[i].gsi < FUZZ_GSIS && d->vm->owner[e[i].gsi])
			want = EEXIST;
	at = fuzz_tight(0, nr * sizeof(*at));
	memcpy(at, e, nr * sizeof(*at));
	args.nr = nr;
	args.entries = (uintptr_t)at;
	if (one_in(r, 12)) {
		args.nr = 4097 + pick(r, 2) * pick(r, 0x7fffffff);
		want = EINVAL;
	} else if (nr && one_in(r, 12)) {
		args.entries = (uintptr_t)fuzz_bad_pointer(r, nr * sizeof(*at));
		want = EFAULT;
	}
	fuzz_log("routing: device %i, %u entries", d->id, args.nr);
	for (i = 0; i < nr; i++)
		fuzz_log("    gsi %u type %u", e[i].gsi, e[i].type);
	if (!want)
		fuzz_expect_routing(d->vm, nr, e, true);
	fuzz_expect_errno("SET_GSI_ROUTING", want,
			  fuzz_call(r, d->fd, KVM_MSIX_SET_GSI_ROUTING, &args));
}

/* KVM's own ioctl drops the routes of the module's vectors. */
void fuzz_op_kvm_routing(struct world *w, struct rng *r)
{
	struct kvm_irq_routing_entry e[MAX_ROUTES];
	struct fuzz_vm *vm = w->vm[one_in(r, 4)];
	u32 nr, i;

	if (vm->fd < 0)
		return;
	nr = draw_routes(r, vm, e);
	fuzz_log("KVM_SET_GSI_ROUTING: %u entries", nr);
	for (i = 0; i < nr; i++)
		fuzz_log("    gsi %u type %u", e[i].gsi, e[i].type);
	fuzz_expect_routing(vm, nr, e, false);
	fuzz_expect_errno("KVM_SET_GSI_ROUTING", 0,
			  __kvm_set_gsi_routing(vm->m ? vm->m->vm : vm->bare, nr, e));
}

/* Mostly draw a GSI that a vector has. */
static u32 draw_inject_gsi(struct fuzz_vm *vm, struct rng *r)
{
	u32 first = pick(r, FUZZ_GSIS), i, gsi;

	for (i = 0; i < FUZZ_GSIS && !one_in(r, 4 * FUZZ_GSIS); i++) {
		gsi = (first + i) % FUZZ_GSIS;
		if (vm->owner[gsi])
			return gsi;
	}
	return one_in(r, 8) ? pick(r, 24) : draw_msi_gsi(r);
}

void fuzz_op_inject(struct world *w, struct rng *r)
{
	struct fuzz_vm *vm = w->vm[0];
	u32 gsi = draw_inject_gsi(vm, r);

	if (vm->route[gsi].kind == ROUTE_CHIP)
		return;
	fuzz_log("inject: gsi %u", gsi);
	fuzz_expect_inject(w, vm, gsi);
	kvm_irq_pulse(vm->m->vm, gsi);
}

void fuzz_op_irqfd(struct world *w, struct rng *r)
{
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS - 1)];
	struct fuzz_vm *vm = w->vm[0];
	u32 gsi = draw_msi_gsi(r);
	bool taken = e->irqfd >= 0 || (e->vec && w->irqfds_are_exclusive);

	if (e->irqfd >= 0 && !one_in(r, 8)) {
		fuzz_log("irqfd: eventfd %i leaves gsi %i", e->fd, e->irqfd);
		vm_irqfd(vm->m->vm, e->fd, e->irqfd, KVM_IRQFD_FLAG_DEASSIGN);
		e->irqfd = -1;
		return;
	}
	/* If the counter were not 0, KVM would inject some time later. */
	if (e->count)
		return;
	fuzz_log("irqfd: eventfd %i to gsi %u", e->fd, gsi);
	fuzz_expect_errno("KVM_IRQFD", taken ? EBUSY : 0,
			  __vm_irqfd(vm->m->vm, e->fd, gsi, 0));
	if (!taken)
		e->irqfd = gsi;
}

/*
 * Events.
 */

void fuzz_signal(struct world *w, struct fuzz_event *e, u64 n)
{
	fuzz_log("signal: eventfd %i by %llu", e->fd, (unsigned long long)n);
	fuzz_expect_signal(w, e, n);
	TEST_ASSERT(write(e->fd, &n, sizeof(n)) == sizeof(n), "eventfd write: %s",
		    strerror(errno));
}

void fuzz_op_signal(struct world *w, struct rng *r)
{
	static const u64 often[] = { 1, 1, 1, 1, 0, 2, 1000, 1ull << 32 };
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS)];
	u64 n = often[pick(r, ARRAY_SIZE(often))];

	fuzz_signal(w, e, n);
}

void fuzz_op_drain(struct world *w, struct rng *r)
{
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS)];

	fuzz_log("drain: eventfd %i", e->fd);
	EXPECT_SAME("what is in the eventfd", e->semaphore && e->count ? 1 : e->count,
		    event_drain(e->fd));
	e->count = e->semaphore && e->count ? e->count - 1 : 0;
}

static bool has_bell(struct world *w, struct fuzz_event *e)
{
	u32 i;

	for (i = 0; i < FUZZ_BELLS; i++)
		if (w->vm[0]->bell[i].event == e)
			return true;
	return false;
}

/* The VMM closes an eventfd; a bound vector keeps the eventfd alive. */
void fuzz_op_new_event(struct world *w, struct rng *r)
{
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS)], *ghost;

	if (e->irqfd >= 0 || has_bell(w, e) || w->nr_ghosts == FUZZ_GHOSTS)
		return;
	fuzz_log("close eventfd %i", e->fd);
	close(e->fd);
	if (e->vec) {
		ghost = &w->ghost[w->nr_ghosts++];
		*ghost = *e;
		ghost->fd = -1;
	}
	e->vec = NULL;
	e->count = 0;
	e->fd = eventfd(0, EFD_NONBLOCK | (e->semaphore ? EFD_SEMAPHORE : 0));
	TEST_ASSERT(e->fd >= 0, "eventfd");
}

/* An ioeventfd: the guest's write is an event. */
void fuzz_op_bell(struct world *w, struct rng *r)
{
	struct fuzz_bell *bell = &w->vm[0]->bell[pick(r, FUZZ_BELLS)];
	struct kvm_vm *vm = w->vm[0]->m->vm;

	if (bell->event) {
		fuzz_log("ioeventfd leaves %#llx", (unsigned long long)bell->gpa);
		fuzz_expect_errno("KVM_IOEVENTFD", 0,
				  __kvm_ioeventfd(vm, bell->event->fd, bell->gpa, bell->len,
						  KVM_IOEVENTFD_FLAG_DEASSIGN));
		bell->event = NULL;
		return;
	}
	bell->len = one_in(r, 2) ? 4 : 8;
	bell->gpa = BAR_GPA + pick(r, BAR_SIZE / 8) * 8;
	if (fuzz_occupied(w->vm[0], w, NULL, bell->gpa, bell->len))
		return;
	bell->event = &w->event[pick(r, FUZZ_EVENTS)];
	fuzz_log("ioeventfd at %#llx, len %u, eventfd %i", (unsigned long long)bell->gpa,
		 bell->len, bell->event->fd);
	fuzz_expect_errno("KVM_IOEVENTFD", 0,
			  __kvm_ioeventfd(vm, bell->event->fd, bell->gpa, bell->len, 0));
}
