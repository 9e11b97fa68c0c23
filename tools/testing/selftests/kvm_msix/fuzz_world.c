// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the fuzzer's operations ought to do. Table, mask and pending bits are
 * the model's of core.c's tests (tools/testing/kvm_msix/model.h); here is what
 * the uapi adds: where a function answers, what its vectors are bound to, KVM's
 * routing table, the messages, the counters.
 */
#include <fcntl.h>
#include <poll.h>

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

void fuzz_expect_kick(struct world *w, struct fuzz_dev *d, u32 v, const struct fuzz_late *late)
{
	d->stat[STAT_KICKS]++;
	fuzz_picture(d, v);
	/* What was written before is seen by now, or was already. */
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
	return vec->event || vec->gsi >= 0;
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

/* What KVM_CREATE_IRQCHIP makes. */
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

/* KVM makes a table that ends with its last entry. */
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

/* Somebody injects by a GSI. A route of the VMM's is always an exact one. */
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
			fuzz_expect_kick(w, d, v, NULL);
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
 * The guest's accesses.
 */

static bool within(u64 gpa, u32 len, u64 window, u32 size)
{
	return window != NOWHERE && gpa >= window && gpa + len <= window + size;
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
		fuzz_expect_kick(w, d, v, NULL);
	if (change.mask || change.message || change.sent)
		sync_route(d, v);
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

/* One access of KVM's bus; false: it goes on to the VMM. All ones if rejected. */
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
 * One memory operand. KVM splits it where the page ends, and each part that is
 * not memory by 8 bytes, up to the first that nobody answers: from there on, the
 * VMM gets it.
 *
 * Returns whether the value read is known: where both have a part in it, KVM
 * does not put them together.
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

/*
 * LOCATE, BIND.
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

/* What the arguments alone are worth, 0 or -errno; the rest is fuzz_occupied(). */
int fuzz_expect_locate(struct fuzz_dev *d, u32 flags, u64 table, u64 pba)
{
	u32 table_size = model_table_bytes(&d->m), pba_size = model_pba_bytes(&d->m);
	bool with_table = flags & KVM_MSIX_LOCATE_TABLE, with_pba = flags & KVM_MSIX_LOCATE_PBA;

	if (bad_range(with_table, table, table_size) || bad_range(with_pba, pba, pba_size))
		return -EINVAL;
	if (with_table && with_pba && overlap(table, table_size, pba, pba_size))
		return -EINVAL;
	return 0;
}

static int expect_hook(struct fuzz_vec *vec, struct fuzz_event *e, struct fuzz_vec **claimed)
{
	if (vec->event == e)
		return 0;
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

static void take_event(struct world *w, struct fuzz_vec *vec, struct fuzz_event *e)
{
	if (vec->event == e)
		return;
	if (vec->event)
		vec->event->vec = NULL;
	vec->event = e;
	if (!e)
		return;
	e->vec = vec;
	if (e->count) {
		consume(e);
		fuzz_expect_event(w, vec);
	}
}

/*
 * @events[i] is what @vectors[i].eventfd is, or NULL; then @errs[i] says what is
 * wrong with it, if it is not -1. Returns 0 or -errno.
 */
int fuzz_expect_bind(struct world *w, struct fuzz_dev *d, u32 first, u32 count,
		     const struct kvm_msix_vector *vectors, struct fuzz_event **events,
		     const int *errs)
{
	struct fuzz_vec *claimed[FUZZ_EVENTS + FUZZ_GHOSTS] = { NULL };
	struct fuzz_vm *vm = d->vm;
	struct fuzz_vec *vec;
	int err = 0, old;
	u32 i;

	for (i = 0; i < count && !err; i++) {
		vec = &d->vec[first + i];
		err = -errs[i];
		if (!err && events[i])
			err = expect_hook(vec, events[i], &claimed[events[i] - w->event]);
		if (!err)
			err = expect_gsi(w, vec, vectors[i].gsi);
	}
	if (err) {
		/* A larger table stays. */
		for (i = 0; i < FUZZ_GSIS; i++)
			if (vm->owner[i] && vm->owner[i]->gsi != i)
				vm->owner[i] = NULL;
		return err;
	}
	for (i = 0; i < count; i++)
		take_event(w, &d->vec[first + i], events[i]);
	for (i = 0; i < count; i++) {
		vec = &d->vec[first + i];
		old = vec->gsi;
		if (old >= 0 && old != vectors[i].gsi) {
			vm->owner[old] = NULL;
			vm->route[old].kind = ROUTE_NONE;
		}
		vec->gsi = vectors[i].gsi;
		sync_route(d, first + i);
		fuzz_told_bind(d, first + i);
	}
	return 0;
}

/*
 * The world.
 */

static struct fuzz_vm *vm_new(int kind)
{
	struct fuzz_vm *vm = calloc(1, sizeof(*vm));

	TEST_ASSERT(vm, "calloc");
	vm->x2apic_format = kind == 1;
	if (kind < 2) {
		vm->m = msix_vm_create(0, NULL);
		if (vm->x2apic_format)
			vm_enable_cap(vm->m->vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
				      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
		vm_install_exception_handler(vm->m->vm, 0, guest_irq_handler);
		msix_vm_add_cpu(vm->m, 0, fuzz_guest_code);
		msix_vm_add_cpu(vm->m, 1, fuzz_guest_code);
		msix_vm_add_cpu(vm->m, FUZZ_IDLE_CPU, fuzz_guest_code);
		msix_vcpu_run(vm->m, 0);
		msix_vcpu_run(vm->m, 1);
		vm->fd = vm->m->vm->fd;
	} else {
		vm->bare = vm_create_barebones();
		if (kind == 2) {
			vm_create_irqchip(vm->bare);
		} else {
			vm_enable_cap(vm->bare, KVM_CAP_SPLIT_IRQCHIP, 24);
			vm->pins = 24;
		}
		vm->fd = dup(vm->bare->fd);
	}
	fuzz_default_routes(vm);
	return vm;
}

/* The VMs with vCPUs are kept: they take the longest to make. */
static struct fuzz_vm *vm_kept(int kind)
{
	static struct fuzz_vm *kept[2];
	struct kvm_irq_routing_entry e[40];
	u32 gsi, nr = 0;

	if (!kept[kind]) {
		kept[kind] = vm_new(kind);
		return kept[kind];
	}
	memset(e, 0, sizeof(e));
	for (gsi = 0; gsi < 24; gsi++) {
		if (gsi < 16) {
			e[nr].gsi = gsi;
			e[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
			e[nr].u.irqchip.irqchip = gsi / 8;
			e[nr++].u.irqchip.pin = gsi % 8;
		}
		e[nr].gsi = gsi;
		e[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		e[nr].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e[nr++].u.irqchip.pin = gsi;
	}
	TEST_ASSERT_EQ(__kvm_set_gsi_routing(kept[kind]->m->vm, nr, e), 0);
	fuzz_default_routes(kept[kind]);
	return kept[kind];
}

struct world *fuzz_world_new(int vm_kind, struct rng *r)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fuzz_event *e;
	u32 i;

	TEST_ASSERT(w, "calloc");
	w->node = msix_open();
	w->can_map = msix_can_map();
	fuzz_areas_init(w);
	w->vm[0] = vm_kept(vm_kind);
	w->vm[1] = vm_new(2 + pick(r, 2));
	w->vm[0]->m->mmio_answer = rnd(r);
	for (i = 0; i < 2; i++)
		memcpy(w->vm[0]->irqs[i], w->vm[0]->m->cpu[i]->irqs, sizeof(w->vm[0]->irqs[i]));
	for (i = 0; i < FUZZ_EVENTS; i++) {
		e = &w->event[i];
		e->semaphore = i == FUZZ_EVENTS - 1;
		e->fd = eventfd(0, EFD_NONBLOCK | (e->semaphore ? EFD_SEMAPHORE : 0));
		TEST_ASSERT(e->fd >= 0, "eventfd");
		e->irqfd = -1;
	}
	return w;
}

/* Either of fd and mappings holds the function. */
void fuzz_dev_close(struct world *w, u32 i, bool fd_first)
{
	struct fuzz_dev *d = w->dev[i];
	struct fuzz_vec *vec;
	u32 v;

	if (fd_first)
		close(d->fd);
	if (fd_first && fuzz_mapped(w, d) && d->stats_fd >= 0)
		fuzz_stat(d, STAT_EVENTS);
	fuzz_unmap_dev(w, d);
	if (!fd_first)
		close(d->fd);
	if (d->stats_fd >= 0)
		close(d->stats_fd);
	if (d->unmask_event >= 0)
		close(d->unmask_event);
	for (v = 0; v < d->m.nr; v++) {
		vec = &d->vec[v];
		if (vec->event)
			vec->event->vec = NULL;
		if (vec->gsi < 0)
			continue;
		d->vm->owner[vec->gsi] = NULL;
		if (vec->gsi < d->vm->nr_routes)
			d->vm->route[vec->gsi].kind = ROUTE_NONE;
	}
	free(d->rest);
	free(d);
	w->dev[i] = NULL;
}

void fuzz_world_free(struct world *w)
{
	struct fuzz_bell *bell;
	u32 i;

	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[i])
			fuzz_dev_close(w, i, i & 1);
	for (i = 0; i < FUZZ_SLOTS; i++)
		fuzz_set_slot(w, w->vm[0], i, NULL);
	for (i = 0; i < FUZZ_BELLS; i++) {
		bell = &w->vm[0]->bell[i];
		if (bell->event)
			__kvm_ioeventfd(w->vm[0]->m->vm, bell->event->fd, bell->gpa, bell->len,
					KVM_IOEVENTFD_FLAG_DEASSIGN);
		bell->event = NULL;
	}
	for (i = 0; i < FUZZ_EVENTS; i++) {
		if (w->event[i].irqfd >= 0)
			kvm_irqfd(w->vm[0]->m->vm, w->event[i].fd, w->event[i].irqfd,
				  KVM_IRQFD_FLAG_DEASSIGN);
		close(w->event[i].fd);
	}
	if (w->vm[1]->fd >= 0)
		close(w->vm[1]->fd);
	if (w->vm[1]->bare)
		kvm_vm_free(w->vm[1]->bare);
	free(w->vm[1]);
	close(w->node);
	free(w);
	EXPECT_SAME("functions left in debugfs", 0, debugfs_entries("kvm_msix", getpid()));
}

/* The number of a new function is the one that is in debugfs and nobody has. */
void fuzz_dev_find_stats(struct fuzz_dev *d, struct world *w)
{
	char path[64];
	u32 i;

	d->stats_fd = -1;
	for (d->id = 0; d->id < 256; d->id++) {
		for (i = 0; i < FUZZ_DEVS; i++)
			if (w->dev[i] && w->dev[i] != d && w->dev[i]->id == d->id)
				break;
		if (i < FUZZ_DEVS)
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/debug/kvm_msix/%i-%i/stats", getpid(),
			 d->id);
		d->stats_fd = open(path, O_RDONLY);
		if (d->stats_fd >= 0)
			return;
	}
	if (kvm_msix_has_counters())
		fuzz_fail("a new function is not in debugfs");
}

/*
 * Comparison.
 */

static const char *const stat_names[NR_STATS] = {
	"reads", "writes", "rejected", "mask_changes", "events", "latched", "coalesced", "kicks",
	"delivered", "dropped", "protected", "faults", "told",
};

static void read_stats(const struct fuzz_dev *d, u64 *seen)
{
	char text[512], *at = text;
	ssize_t len;
	u32 i;

	len = pread(d->stats_fd, text, sizeof(text) - 1, 0);
	if (len <= 0)
		fuzz_fail("counters: %s", strerror(errno));
	text[len] = 0;
	for (i = 0; i < NR_STATS; i++) {
		if (strncmp(at, stat_names[i], strlen(stat_names[i])))
			fuzz_fail("counters: \"%s\" is not %s", at, stat_names[i]);
		seen[i] = strtoull(at + strlen(stat_names[i]), &at, 10);
		at++;
	}
}

u64 fuzz_stat(const struct fuzz_dev *d, enum fuzz_stat stat)
{
	u64 seen[NR_STATS];

	read_stats(d, seen);
	return seen[stat];
}

/*
 * Which messages KVM does not take from an event, but from a work, is its own
 * affair. These were pending meanwhile, and GET_STATE has sent them: latched, and
 * kicked as often; and an event that came meanwhile is one with them.
 */
static void expect_deferred(struct fuzz_dev *d, const u64 *seen)
{
	u64 deferred = seen[STAT_LATCHED] - d->stat[STAT_LATCHED];
	u64 merged = seen[STAT_COALESCED] - d->stat[STAT_COALESCED];

	if (!deferred || deferred > seen[STAT_EVENTS] ||
	    merged > d->stat[STAT_DELIVERED] + d->unsure)
		return;
	d->stat[STAT_LATCHED] += deferred;
	d->stat[STAT_KICKS] += deferred;
	d->stat[STAT_COALESCED] += merged;
	if (merged > d->unsure) {
		d->stat[STAT_DELIVERED] -= merged - d->unsure;
		d->unsure = 0;
	} else {
		d->unsure -= merged;
	}
}

static void compare_stats(struct fuzz_dev *d)
{
	u64 seen[NR_STATS];
	u32 i;

	if (d->stats_fd < 0)
		return;
	read_stats(d, seen);
	expect_deferred(d, seen);
	for (i = 0; i < STAT_DELIVERED; i++)
		EXPECT_SAME(stat_names[i], d->stat[i], seen[i]);
	EXPECT_SAME("delivered and dropped",
		    d->stat[STAT_DELIVERED] + d->stat[STAT_DROPPED] + d->unsure,
		    seen[STAT_DELIVERED] + seen[STAT_DROPPED]);
	if (seen[STAT_DELIVERED] < d->stat[STAT_DELIVERED])
		EXPECT_SAME("delivered", d->stat[STAT_DELIVERED], seen[STAT_DELIVERED]);
	if (seen[STAT_DROPPED] < d->stat[STAT_DROPPED])
		EXPECT_SAME("dropped", d->stat[STAT_DROPPED], seen[STAT_DROPPED]);
	/* What can be mapped alone is watched: fuzz_op_rest(). */
	for (i = STAT_PROTECTED; i < NR_STATS && !d->pages; i++)
		EXPECT_SAME(stat_names[i], 0, seen[i]);
	/* Now it is known. */
	d->stat[STAT_DELIVERED] = seen[STAT_DELIVERED];
	d->stat[STAT_DROPPED] = seen[STAT_DROPPED];
	d->unsure = 0;
}

/* GET_STATE must write all of both arrays and nothing beside them. */
static void compare_state(struct fuzz_dev *d)
{
	static u8 table[16 + MODEL_MAX_VECTORS * 16 + 16], pba[16 + MODEL_MAX_VECTORS / 8 + 16];
	u32 table_bytes = model_table_bytes(&d->m), pba_bytes = model_pba_bytes(&d->m), v, i;
	struct kvm_msix_state state = {
		.size = sizeof(state),
		.nr_vectors = d->m.nr,
		.control = 0x5a5a5a5a,
		.table = (uintptr_t)table + 16,
		.pba = (uintptr_t)pba + 16,
	};
	static u8 guard;
	u64 word;

	guard += 0x35;
	memset(table, guard, 32 + table_bytes);
	memset(pba, guard, 32 + pba_bytes);
	EXPECT_SAME("GET_STATE", 0, __msix_ioctl(d->fd, KVM_MSIX_GET_STATE, &state));
	EXPECT_SAME("Message Control", d->m.enabled * 0x8000 + d->m.function_masked * 0x4000,
		    state.control);
	for (i = 0; i < 16; i++) {
		EXPECT_SAME("byte before the table", guard, table[i]);
		EXPECT_SAME("byte behind the table", guard, table[16 + table_bytes + i]);
		EXPECT_SAME("byte before the PBA", guard, pba[i]);
		EXPECT_SAME("byte behind the PBA", guard, pba[16 + pba_bytes + i]);
	}
	for (v = 0; v < d->m.nr; v++) {
		if (!memcmp(table + 16 + v * 16, d->m.vector[v].byte, 16))
			continue;
		fuzz_log("in the state of device %i: vector %u", d->id, v);
		for (i = 0; i < 16; i += 8) {
			memcpy(&word, table + 16 + v * 16 + i, 8);
			EXPECT_SAME("entry", model_read(&d->m, v * 16 + i, 8), word);
		}
	}
	for (i = 0; i < pba_bytes; i += 8) {
		memcpy(&word, pba + 16 + i, 8);
		EXPECT_SAME("pending bits", model_pba_read(&d->m, i, 8), word);
	}
}

static void compare_irqs(struct world *w)
{
	struct fuzz_vm *vm = w->vm[0];
	struct msix_vm *m = vm->m;
	u32 saved = m->current_cpu, cpu, i, tries;
	u64 got;
	bool all;

	for (cpu = 0; cpu < 2; cpu++) {
		m->current_cpu = cpu;
		for (tries = 0; tries < 100; tries++) {
			guest_nop(m);
			all = true;
			for (i = 0x20; i < 256; i++)
				all &= !w->sent[cpu][i] || m->cpu[cpu]->irqs[i] > vm->irqs[cpu][i];
			if (all)
				break;
		}
		if (w->unsure)
			guest_nop(m);
		for (i = 0; i < 256 && !w->unsure; i++) {
			got = m->cpu[cpu]->irqs[i] - vm->irqs[cpu][i];
			/* Several while the vCPU does not run are one interrupt. */
			if (!!got == !!w->sent[cpu][i] &&
			    (got <= 1 || (w->by_guest && got <= w->sent[cpu][i])))
				continue;
			fuzz_fail("interrupt %#x on vCPU %u: %u messages, %llu interrupts", i, cpu,
				  w->sent[cpu][i], (unsigned long long)got);
		}
		memcpy(vm->irqs[cpu], m->cpu[cpu]->irqs, sizeof(vm->irqs[cpu]));
	}
	m->current_cpu = saved;
}

static void compare_exits(struct world *w)
{
	struct msix_vm *m = w->vm[0]->m;
	u32 i;

	for (i = 0; i < w->nr_exits && i < m->nr_exits; i++) {
		fuzz_log("    exit: %s %u at %#llx: %#llx", w->exit[i].is_write ? "write" : "read",
			 w->exit[i].len, (unsigned long long)w->exit[i].addr,
			 (unsigned long long)w->exit[i].data);
		EXPECT_SAME("address of an MMIO exit", w->exit[i].addr, m->exit[i].addr);
		EXPECT_SAME("length of an MMIO exit", w->exit[i].len, m->exit[i].len);
		EXPECT_SAME("MMIO exit is a write", w->exit[i].is_write, m->exit[i].is_write);
		EXPECT_SAME("value of an MMIO exit", w->exit[i].data, m->exit[i].data);
	}
	EXPECT_SAME("MMIO exits", w->nr_exits, m->nr_exits);
}

static void compare_events(struct world *w)
{
	struct pollfd fds[FUZZ_EVENTS];
	u32 i;

	for (i = 0; i < FUZZ_EVENTS; i++)
		fds[i] = (struct pollfd) { .fd = w->event[i].fd, .events = POLLIN };
	TEST_ASSERT(poll(fds, FUZZ_EVENTS, 0) >= 0, "poll");
	for (i = 0; i < FUZZ_EVENTS; i++)
		EXPECT_SAME("eventfd is readable", !!w->event[i].count,
			    !!(fds[i].revents & POLLIN));
}

/*
 * What an irqfd cannot inject at once goes to a work, that looks at the routes
 * again. To take the irqfd away waits for it.
 */
static void flush_irqfd(struct world *w)
{
	struct fuzz_event *e = w->flush;

	w->flush = NULL;
	if (!e || e->irqfd < 0)
		return;
	kvm_irqfd(w->vm[0]->m->vm, e->fd, e->irqfd, KVM_IRQFD_FLAG_DEASSIGN);
	kvm_irqfd(w->vm[0]->m->vm, e->fd, e->irqfd, 0);
}

void fuzz_compare(struct world *w)
{
	u32 i;

	fuzz_settle(w);
	flush_irqfd(w);
	compare_exits(w);
	compare_irqs(w);
	compare_events(w);
	for (i = 0; i < FUZZ_DEVS; i++) {
		if (!w->dev[i])
			continue;
		compare_stats(w->dev[i]);
		compare_state(w->dev[i]);
	}
	fuzz_compare_areas(w);
	memset(w->sent, 0, sizeof(w->sent));
	w->unsure = false;
	w->by_guest = false;
	w->nr_exits = 0;
	msix_vm_forget_exits(w->vm[0]->m);
}
