// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can happen, to the model and to the kernel. All that is random in an
 * operation comes from its seed, and from the world as it is.
 */
#include <sys/wait.h>

#include "fuzz.h"

int fuzz_call(struct rng *r, int fd, unsigned long cmd, void *arg)
{
	u32 i;
	int ret;

	for (i = 0; fuzz_cmds[i].cmd != cmd; i++)
		;
	return fuzz_ioctl(r, fd, cmd, arg, fuzz_cmds[i].size, &ret);
}

void fuzz_expect_errno(const char *what, int want, int err)
{
	if (want != err)
		fuzz_fail("%s: the model says %s, the kernel %s", what,
			  want ? strerror(want) : "success", err ? strerror(err) : "success");
}

struct fuzz_dev *fuzz_draw_dev(struct world *w, struct rng *r)
{
	u32 i, first = pick(r, FUZZ_DEVS);

	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[(first + i) % FUZZ_DEVS])
			return w->dev[(first + i) % FUZZ_DEVS];
	return NULL;
}

static bool in_reach(u64 gpa, u32 size)
{
	return gpa >= BAR_GPA && gpa <= BAR_GPA + BAR_SIZE - size;
}

/* One whose table the guest can access. */
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

/* Few vectors meet more often. */
static u32 draw_vector(struct rng *r, struct fuzz_dev *d)
{
	if (one_in(r, 8))
		return d->m.nr - 1;
	return pick(r, one_in(r, 4) || d->m.nr < 4 ? d->m.nr : 4);
}

static u64 draw_address(struct rng *r, struct fuzz_vm *vm)
{
	switch (pick(r, 12)) {
	case 0:
		return rnd(r);
	case 1:
		return 0xfee00000 | pick(r, 0x100000);
	case 2:
		return 0xfee00000 | pick(r, 0x100) << 12 | (rnd(r) & (vm->x2apic_format ? ~0xffull :
							    ~0ull)) << 32;
	case 3:
		return MSI_ADDR(FUZZ_IDLE_CPU);
	case 4:
		return (u64)pick(r, 0x1000) << 20;
	case 5:
		return MSI_ADDR(0xff);
	default:
		return MSI_ADDR(pick(r, 2));
	}
}

static u32 draw_data(struct rng *r)
{
	u32 mode = one_in(r, 8) ? pick(r, 8) : 0;

	return fuzz_tame_data(one_in(r, 8) ? rnd(r) : MSI_MODE(mode) | pick(r, 256));
}

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

/* A GSI to inject by, or to route: not to the irqchips. */
static u32 draw_msi_gsi(struct rng *r)
{
	static const u32 often[] = { 24, 25, 30, 50, 63, 64, 1000, 4095 };

	return often[pick(r, ARRAY_SIZE(often))];
}

/*
 * Functions come and go.
 */

static u32 pages(u32 bytes)
{
	return (bytes + FUZZ_PAGE - 1) / FUZZ_PAGE;
}

/* The fd of the eventfd, or -1; an error in place of 0 in *want. */
static int draw_unmask_event(struct world *w, struct rng *r, struct kvm_msix_create *args,
			     int *want)
{
	if (!(args->flags & KVM_MSIX_CREATE_LAZY) || !(args->flags & KVM_MSIX_CREATE_MMAP)) {
		if (one_in(r, 16)) {
			args->unmask_eventfd = w->event[0].fd;
			*want = EINVAL;
		}
		return -1;
	}
	if (one_in(r, 16)) {
		args->unmask_eventfd = fuzz_bad_fd(r, *want ? &(int){ 0 } : want);
		return -1;
	}
	args->unmask_eventfd = event_create();
	return args->unmask_eventfd;
}

static void op_create(struct world *w, struct rng *r)
{
	static const u32 nrs[] = { 1, 2, 3, 4, 5, 8, 63, 64, 65, 100 };
	struct fuzz_vm *vm = w->vm[one_in(r, 4)];
	struct kvm_msix_create args = { .vm_fd = vm->fd };
	struct fuzz_dev *d;
	int want = 0, err, fd, unmask_event;
	u32 i, v;

	args.nr_vectors = one_in(r, 32) ? 1 + pick(r, 2048) : nrs[pick(r, ARRAY_SIZE(nrs))];
	if (one_in(r, 3))
		args.flags |= KVM_MSIX_CREATE_LAZY;
	if (one_in(r, vm->x2apic_format ? 2 : 8))
		args.flags |= KVM_MSIX_CREATE_EXT_DEST_ID;
	if (one_in(r, 12)) {
		args.nr_vectors = one_in(r, 2) ? 0 : 2049 + pick(r, one_in(r, 2) ? 2 : 0x7fffffff);
		want = EINVAL;
	} else if (one_in(r, 12)) {
		args.vm_fd = fuzz_bad_fd(r, &want);
	} else if (one_in(r, 12)) {
		args.vm_fd = w->event[0].fd;
		want = EINVAL;
	} else if (vm->fd < 0) {
		want = EBADF;
	} else if (args.flags & KVM_MSIX_CREATE_EXT_DEST_ID && !vm->x2apic_format) {
		want = EINVAL;
	}
	if (w->can_map && !one_in(r, 6)) {
		fuzz_draw_layout(r, &args);
		if (fuzz_expect_layout(&args))
			want = EINVAL;
	}
	unmask_event = draw_unmask_event(w, r, &args, &want);

	fuzz_log("create: %u vectors, flags %#x, vm %i, table at %#x, PBA at %#x", args.nr_vectors,
		 args.flags, args.vm_fd, args.table_offset, args.pba_offset);
	for (i = 0; i < FUZZ_DEVS && w->dev[i]; i++)
		;
	if (i == FUZZ_DEVS) {
		i = pick(r, FUZZ_DEVS);
		fuzz_dev_close(w, i, one_in(r, 2));
	}
	err = fuzz_ioctl(r, w->node, KVM_MSIX_CREATE, &args, sizeof(args), &fd);
	fuzz_expect_errno("CREATE", want, err);
	if (err) {
		if (unmask_event >= 0)
			close(unmask_event);
		return;
	}

	d = calloc(1, sizeof(*d));
	TEST_ASSERT(d, "calloc");
	d->fd = fd;
	d->vm = vm;
	d->flags = args.flags;
	d->table = NOWHERE;
	d->pba = NOWHERE;
	d->unmask_event = unmask_event;
	if (args.flags & KVM_MSIX_CREATE_MMAP) {
		d->table_offset = args.table_offset;
		d->pba_offset = args.pba_offset;
		d->table_pages = pages(args.table_offset + args.nr_vectors * ENTRY_SIZE);
		d->pages = d->table_pages;
		if (args.flags & KVM_MSIX_CREATE_MMAP_PBA &&
		    pages(args.pba_offset + msix_pba_size(args.nr_vectors)) > d->pages)
			d->pages = pages(args.pba_offset + msix_pba_size(args.nr_vectors));
		d->rest = calloc(d->pages, FUZZ_PAGE);
		TEST_ASSERT(d->rest, "calloc");
		d->no_gsi = !one_in(r, 3);
	}
	model_reset(&d->m, args.nr_vectors);
	for (v = 0; v < d->m.nr; v++)
		d->vec[v] = (struct fuzz_vec) { .dev = d, .gsi = -1 };
	w->dev[i] = d;
	fuzz_dev_find_stats(d, w);
}

static void op_close(struct world *w, struct rng *r)
{
	u32 i = pick(r, FUZZ_DEVS);

	fuzz_log("close device %u", i);
	if (w->dev[i])
		fuzz_dev_close(w, i, one_in(r, 2));
}

static void op_dup(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	int fd;

	if (!d)
		return;
	fd = dup(d->fd);
	TEST_ASSERT(fd >= 0, "dup");
	close(d->fd);
	d->fd = fd;
	fuzz_log("dup: device %i", d->id);
}

/* The VMM lets go of the VM; its functions keep it. */
static void op_close_vm(struct world *w, struct rng *r)
{
	struct fuzz_vm *vm = w->vm[1];

	if (vm->fd < 0)
		return;
	fuzz_log("close the VM");
	close(vm->fd);
	vm->fd = -1;
	kvm_vm_free(vm->bare);
	vm->bare = NULL;
}

static void op_info(struct world *w, struct rng *r)
{
	struct kvm_msix_info info = { .size = 0 };

	fuzz_log("info");
	fuzz_expect_errno("INFO", 0, fuzz_call(r, w->node, KVM_MSIX_INFO, &info));
	EXPECT_SAME("capabilities", w->can_map ? 15 : 7,
		    info.capabilities & ~KVM_MSIX_CAP_HOST_POSTS);
	EXPECT_SAME("vectors", 2048, info.max_vectors);
	EXPECT_SAME("GSIs", FUZZ_GSIS - 1, info.max_gsi);
}

/*
 * Location.
 */

static u64 draw_gpa(struct world *w, struct rng *r, struct fuzz_dev *d, u32 size)
{
	struct fuzz_dev *other = fuzz_draw_dev(w, r);

	switch (pick(r, 16)) {
	case 0:
		return rnd(r);
	case 1:
		return rnd(r) & ~7ull;
	case 2:
		return -(u64)size - 16 + pick(r, 5) * 8;
	case 3:
		return 0xfec00000 - size + pick(r, 3) * 8;
	case 4:
		return other->table + (pick(r, 5) - 2) * 8;
	case 5:
		return other->table + model_table_bytes(&other->m) + pick(r, 3) * 8 - 8;
	case 6:
		return d->pba + pick(r, 3) * 8 - 8;
	case 7:
		return d->table;
	default:
		return BAR_GPA + pick(r, (BAR_SIZE - size) / 8) * 8;
	}
}

void fuzz_locate(struct world *w, struct rng *r, struct fuzz_dev *d, struct kvm_msix_locate *args)
{
	u32 table_size = model_table_bytes(&d->m), pba_size = model_pba_bytes(&d->m);
	int want, err;

	want = -fuzz_expect_locate(d, args->flags, args->table_gpa, args->pba_gpa);
	if (!want && args->flags & KVM_MSIX_LOCATE_TABLE && args->table_gpa != d->table &&
	    fuzz_occupied(d->vm, w, d, args->table_gpa, table_size))
		want = EEXIST;
	if (!want && args->flags & KVM_MSIX_LOCATE_PBA && args->pba_gpa != d->pba &&
	    fuzz_occupied(d->vm, w, d, args->pba_gpa, pba_size))
		want = EEXIST;
	fuzz_log("locate: device %i, %#llx, %#llx, flags %#x", d->id, args->table_gpa,
		 args->pba_gpa, args->flags);
	err = fuzz_call(r, d->fd, KVM_MSIX_LOCATE, args);
	fuzz_expect_errno("LOCATE", want, err);
	if (err)
		return;
	d->table = args->flags & KVM_MSIX_LOCATE_TABLE ? args->table_gpa : NOWHERE;
	d->pba = args->flags & KVM_MSIX_LOCATE_PBA ? args->pba_gpa : NOWHERE;
}

static void op_locate(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_locate args = { .size = 0 };
	u32 table_size, pba_size;

	if (!d)
		return;
	if (d->pages && !one_in(r, 3)) {
		fuzz_make_memory(w, r, d);
		return;
	}
	table_size = model_table_bytes(&d->m);
	pba_size = model_pba_bytes(&d->m);
	if (!one_in(r, 8)) {
		args.flags |= KVM_MSIX_LOCATE_TABLE;
		args.table_gpa = draw_gpa(w, r, d, table_size);
	}
	if (!one_in(r, 6)) {
		args.flags |= KVM_MSIX_LOCATE_PBA;
		args.pba_gpa = draw_gpa(w, r, d, pba_size);
		if (one_in(r, 4))
			args.pba_gpa = args.table_gpa + table_size - (one_in(r, 8) ? 8 : 0);
	}
	if (one_in(r, 24))
		args.flags ^= KVM_MSIX_LOCATE_TABLE;
	if (one_in(r, 24))
		args.flags ^= KVM_MSIX_LOCATE_PBA;
	fuzz_locate(w, r, d, &args);
}

/*
 * Binding.
 */

#define MAX_BIND	12

static void draw_binding(struct world *w, struct rng *r, struct fuzz_dev *d,
			 struct kvm_msix_vector *to, struct fuzz_event **event, int *err)
{
	u32 i;

	*event = NULL;
	*err = 0;
	to->eventfd = -1;
	to->gsi = d->no_gsi ? -1 : draw_gsi(r);
	if (one_in(r, 24)) {
		to->eventfd = fuzz_bad_fd(r, err);
	} else if (!one_in(r, 4)) {
		i = pick(r, FUZZ_EVENTS);
		to->eventfd = w->event[i].fd;
		*event = &w->event[i];
	}
}

static void op_bind(struct world *w, struct rng *r)
{
	struct kvm_msix_vector vectors[MAX_BIND], *at;
	struct kvm_msix_bind args = { .size = 0 };
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct fuzz_event *events[MAX_BIND];
	int errs[MAX_BIND], want, err;
	u32 i;

	if (!d)
		return;
	args.first = draw_vector(r, d);
	args.count = one_in(r, 2) ? 1 : 1 + pick(r, MAX_BIND);
	if (args.count > d->m.nr - args.first)
		args.count = d->m.nr - args.first;
	for (i = 0; i < args.count; i++) {
		draw_binding(w, r, d, &vectors[i], &events[i], &errs[i]);
		fuzz_log("bind: device %i, vector %u to eventfd %i, gsi %i", d->id, args.first + i,
			 vectors[i].eventfd, vectors[i].gsi);
	}
	at = fuzz_tight(0, args.count * sizeof(*at));
	memcpy(at, vectors, args.count * sizeof(*at));
	args.vectors = (uintptr_t)at;

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
			args.vectors = (uintptr_t)fuzz_bad_pointer(r, args.count * sizeof(*at));
			want = EFAULT;
		}
		fuzz_log("bind: really %u from %u at %#llx", args.count, args.first, args.vectors);
		fuzz_expect_errno("BIND", want, fuzz_call(r, d->fd, KVM_MSIX_BIND, &args));
		return;
	}
	want = -fuzz_expect_bind(w, d, args.first, args.count, vectors, events, errs);
	err = fuzz_call(r, d->fd, KVM_MSIX_BIND, &args);
	fuzz_expect_errno("BIND", want, err);
}

/* All at once, a call for each device. */
static void op_unbind(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_bind args = { .size = 0 };
	struct kvm_msix_vector *vectors;
	struct fuzz_event **events;
	int *errs;

	if (!d)
		return;
	fuzz_log("unbind: device %i", d->id);
	args.count = d->m.nr;
	vectors = fuzz_tight(0, args.count * sizeof(*vectors));
	memset(vectors, 0xff, args.count * sizeof(*vectors));
	args.vectors = (uintptr_t)vectors;
	events = calloc(args.count, sizeof(*events));
	errs = calloc(args.count, sizeof(*errs));
	TEST_ASSERT(events && errs, "calloc");
	fuzz_expect_bind(w, d, 0, args.count, vectors, events, errs);
	fuzz_expect_errno("BIND", 0, fuzz_call(r, d->fd, KVM_MSIX_BIND, &args));
	free(events);
	free(errs);
}

/*
 * The function as a whole.
 */

static void op_control(struct world *w, struct rng *r)
{
	static const u32 often[] = { ENABLE, ENABLE, ENABLE, ENABLE | FUNCTION_MASK, 0,
				     FUNCTION_MASK };
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_control args = { .size = 0 };
	int want = 0;

	if (!d)
		return;
	args.control = often[pick(r, ARRAY_SIZE(often))];
	if (one_in(r, 8))
		args.control |= pick(r, 0x10000);
	if (one_in(r, 16)) {
		args.control |= 1u << (16 + pick(r, 16));
		want = EINVAL;
	}
	fuzz_log("control: device %i, %#x", d->id, args.control);
	if (!want)
		fuzz_expect_control(w, d, args.control);
	fuzz_expect_errno("CONTROL", want, fuzz_call(r, d->fd, KVM_MSIX_CONTROL, &args));
}

static void op_reset(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_reset args = { .size = 0 };

	if (!d)
		return;
	fuzz_log("reset: device %i", d->id);
	fuzz_expect_reset(w, d);
	fuzz_expect_errno("RESET", 0, fuzz_call(r, d->fd, KVM_MSIX_RESET, &args));
}

static void draw_image(struct rng *r, struct fuzz_dev *d, u8 *table, u8 *pba)
{
	u64 address;
	u32 v, data, control;

	memset(pba, 0, model_pba_bytes(&d->m));
	for (v = 0; v < d->m.nr; v++) {
		address = draw_address(r, d->vm);
		data = draw_data(r);
		control = one_in(r, 8) ? rnd(r) : pick(r, 2);
		memcpy(table + v * 16, &address, 8);
		memcpy(table + v * 16 + 8, &data, 4);
		memcpy(table + v * 16 + 12, &control, 4);
		if (one_in(r, 3))
			pba[v / 8] |= 1 << v % 8;
	}
}

static void expect_image(struct world *w, struct fuzz_dev *d, const u8 *table, const u8 *pba,
			 u32 control)
{
	bool was_masked;
	u64 qword[2];
	u32 v;

	for (v = 0; v < d->m.nr; v++) {
		was_masked = model_masked(&d->m, v);
		memcpy(qword, table + v * 16, 16);
		model_restore(&d->m, v, qword[0], qword[1], pba[v / 8] >> v % 8 & 1);
		fuzz_told_replace(d, v, was_masked);
	}
	d->m.enabled = false;
	fuzz_picture_all(d);
	fuzz_expect_control(w, d, control);
}

static void op_set_state(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_state args = { .size = 0 };
	u8 *table, *pba;
	int want = 0;
	u32 v;

	if (!d)
		return;
	table = fuzz_tight(0, model_table_bytes(&d->m));
	pba = fuzz_tight(1, model_pba_bytes(&d->m));
	draw_image(r, d, table, pba);
	args.nr_vectors = d->m.nr;
	args.control = pick(r, 4) << 14;
	args.table = (uintptr_t)table;
	args.pba = (uintptr_t)pba;
	if (one_in(r, 5)) {
		want = EINVAL;
		switch (pick(r, 5)) {
		case 0:
			args.nr_vectors = one_in(r, 2) ? rnd(r) : d->m.nr + pick(r, 3) - 1;
			if (args.nr_vectors == d->m.nr)
				args.nr_vectors++;
			break;
		case 1:
			args.control |= one_in(r, 2) ? 1u << pick(r, 14) : 1u << (16 + pick(r, 16));
			break;
		case 2:
			if (d->m.nr % 64 == 0)
				return;
			v = d->m.nr + pick(r, 64 - d->m.nr % 64);
			pba[v / 8] |= 1 << v % 8;
			break;
		case 3:
			args.table = (uintptr_t)fuzz_bad_pointer(r, model_table_bytes(&d->m));
			want = EFAULT;
			break;
		default:
			args.pba = (uintptr_t)fuzz_bad_pointer(r, model_pba_bytes(&d->m));
			want = EFAULT;
		}
	}
	fuzz_log("set state: device %i, %u vectors, control %#x", d->id, args.nr_vectors,
		 args.control);
	if (!want)
		expect_image(w, d, table, pba, args.control);
	fuzz_expect_errno("SET_STATE", want, fuzz_call(r, d->fd, KVM_MSIX_SET_STATE, &args));
}

/* That what it says is right is always looked at: fuzz_compare(). */
static void op_get_state(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_state args = { .size = 0 };
	int want = 0;

	if (!d)
		return;
	args.nr_vectors = d->m.nr;
	args.table = (uintptr_t)fuzz_tight(0, model_table_bytes(&d->m));
	args.pba = (uintptr_t)fuzz_tight(1, model_pba_bytes(&d->m));
	args.control = rnd(r);
	switch (pick(r, 4)) {
	case 0:
		args.nr_vectors += one_in(r, 2) ? 1 : -1;
		want = EINVAL;
		break;
	case 1:
		args.table = (uintptr_t)fuzz_bad_pointer(r, model_table_bytes(&d->m));
		want = EFAULT;
		break;
	case 2:
		args.pba = (uintptr_t)fuzz_bad_pointer(r, model_pba_bytes(&d->m));
		want = EFAULT;
		break;
	default:
		break;
	}
	fuzz_log("get state: device %i", d->id);
	fuzz_expect_errno("GET_STATE", want, fuzz_call(r, d->fd, KVM_MSIX_GET_STATE, &args));
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

/* Something that KVM does not take. */
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

static void op_routing(struct world *w, struct rng *r)
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

/* The VMM does not know better. */
static void op_kvm_routing(struct world *w, struct rng *r)
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

/* Mostly one that a vector has. */
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

static void op_inject(struct world *w, struct rng *r)
{
	struct fuzz_vm *vm = w->vm[0];
	u32 gsi = draw_inject_gsi(vm, r);

	if (vm->route[gsi].kind == ROUTE_CHIP)
		return;
	fuzz_log("inject: gsi %u", gsi);
	fuzz_expect_inject(w, vm, gsi);
	kvm_irq_pulse(vm->m->vm, gsi);
}

static void op_irqfd(struct world *w, struct rng *r)
{
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS - 1)];
	struct fuzz_vm *vm = w->vm[0];
	u32 gsi = draw_msi_gsi(r);

	if (e->irqfd >= 0 && !one_in(r, 8)) {
		fuzz_log("irqfd: eventfd %i leaves gsi %i", e->fd, e->irqfd);
		kvm_irqfd(vm->m->vm, e->fd, e->irqfd, KVM_IRQFD_FLAG_DEASSIGN);
		e->irqfd = -1;
		return;
	}
	/* What is in it already would be injected some time later. */
	if (e->count)
		return;
	fuzz_log("irqfd: eventfd %i to gsi %u", e->fd, gsi);
	fuzz_expect_errno("KVM_IRQFD", e->irqfd >= 0 ? EBUSY : 0,
			  __kvm_irqfd(vm->m->vm, e->fd, gsi, 0));
	if (e->irqfd < 0)
		e->irqfd = gsi;
}

/*
 * Events.
 */

static void signal_event(struct world *w, struct fuzz_event *e, u64 n)
{
	fuzz_log("signal: eventfd %i by %llu", e->fd, (unsigned long long)n);
	fuzz_expect_signal(w, e, n);
	TEST_ASSERT(write(e->fd, &n, sizeof(n)) == sizeof(n), "eventfd write: %s",
		    strerror(errno));
}

static void op_signal(struct world *w, struct rng *r)
{
	static const u64 often[] = { 1, 1, 1, 1, 0, 2, 1000, 1ull << 32 };
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS)];
	u64 n = often[pick(r, ARRAY_SIZE(often))];

	signal_event(w, e, n);
}

static void op_drain(struct world *w, struct rng *r)
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

/* The VMM closes an eventfd, maybe of a vector, which then keeps it. */
static void op_new_event(struct world *w, struct rng *r)
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
		ghost->vec->event = ghost;
	}
	e->vec = NULL;
	e->count = 0;
	e->fd = eventfd(0, EFD_NONBLOCK | (e->semaphore ? EFD_SEMAPHORE : 0));
	TEST_ASSERT(e->fd >= 0, "eventfd");
}

/* An ioeventfd: the guest makes an event by itself. */
static void op_bell(struct world *w, struct rng *r)
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

/*
 * The guest.
 */

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

static void op_access(struct world *w, struct rng *r)
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
	/* Somebody's memory, also where nobody is told of it. */
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

/* Beside everything, or where something was. */
static void op_access_any(struct world *w, struct rng *r)
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

	/* Memory of another's, whose fields lie elsewhere. */
	if (d->table % ENTRY_SIZE && fuzz_slot_at(d->vm, a.gpa))
		return;
	fuzz_do_access(w, d->vm, &a);
}

/* As a driver does. */
static void op_program(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = draw_guest_dev(w, r);
	u64 address;
	u32 v;

	if (!d)
		return;
	v = draw_vector(r, d);
	d->vm->m->current_cpu = pick(r, 2);
	address = draw_address(r, d->vm);
	guest_store(w, d, v, ENTRY_DATA, 4, draw_data(r));
	guest_store(w, d, v, ENTRY_ADDR_LO, 8, address);
	if (!one_in(r, 4))
		guest_store(w, d, v, ENTRY_CTRL, 4, 0);
}

static void op_mask(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = draw_guest_dev(w, r);
	u64 val = pick(r, 2);
	u32 v;

	if (!d)
		return;
	v = draw_vector(r, d);
	d->vm->m->current_cpu = pick(r, 2);
	if (one_in(r, 4))
		guest_store(w, d, v, ENTRY_DATA, 8, val << 32 | draw_data(r));
	else
		guest_store(w, d, v, ENTRY_CTRL, 1 << pick(r, 3), val);
	/* And back, maybe before anybody has seen it. */
	while (one_in(r, 4)) {
		val = !val;
		guest_store(w, d, v, ENTRY_CTRL, 4, val);
	}
}

/* A vector with an eventfd, or one that has it now. */
static struct fuzz_event *draw_bound(struct world *w, struct rng *r, struct fuzz_dev *d, u32 *v)
{
	struct fuzz_event *e = &w->event[pick(r, FUZZ_EVENTS)];
	struct kvm_msix_bind args = { .count = 1 };
	struct kvm_msix_vector *vector;
	int err = 0;
	u32 i;

	for (i = 0; i < FUZZ_EVENTS; i++, e = &w->event[(e - w->event + 1) % FUZZ_EVENTS]) {
		if (!e->vec || e->vec->dev != d)
			continue;
		*v = e->vec - d->vec;
		return e;
	}
	args.first = draw_vector(r, d);
	vector = fuzz_tight(0, sizeof(*vector));
	*vector = (struct kvm_msix_vector) { e->fd, d->vec[args.first].gsi };
	args.vectors = (uintptr_t)vector;
	fuzz_log("bind: device %i, vector %u to eventfd %i", d->id, args.first, e->fd);
	err = -fuzz_expect_bind(w, d, args.first, 1, vector, &e, &err);
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

/* What a driver and its device do all the time: an event while it is masked. */
static void op_cycle(struct world *w, struct rng *r)
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
		guest_store(w, d, v, ENTRY_DATA, 4, draw_data(r));
		guest_store(w, d, v, ENTRY_ADDR_LO, 8, draw_address(r, d->vm));
	}
	if (!one_in(r, 4))
		switch_on(w, r, d);
	guest_store(w, d, v, ENTRY_CTRL, 4, 1);
	signal_event(w, e, 1);
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
		signal_event(w, e, 1);
}

/* All that the guest can read of a small function. */
static void op_sweep(struct world *w, struct rng *r)
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

/*
 * What is not allowed.
 */

static void op_bad_ioctl(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	const char *what = fuzz_bad_ioctl(r, w->node, d ? d->fd : -1);

	if (what)
		fuzz_log("bad ioctl: %s", what);
}

static int foreign_errno(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? errno : 0;
}

/* Another address space has no business here. */
static void op_foreign(struct world *w, struct rng *r)
{
	struct kvm_msix_create create = { .size = sizeof(create), .nr_vectors = 1 };
	struct kvm_msix_reset reset = { .size = sizeof(reset) };
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	int status;
	pid_t pid;

	if (!d || !one_in(r, 4))
		return;
	fuzz_log("foreign: device %i", d->id);
	create.vm_fd = w->vm[0]->fd;
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (!pid)
		_exit(foreign_errno(d->fd, KVM_MSIX_RESET, &reset) != EIO ||
		      foreign_errno(w->node, KVM_MSIX_CREATE, &create) != EIO);
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	EXPECT_SAME("another process, refused", 0, status);
}

/* debugfs shows each vector. */
static void op_debugfs(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	u32 lines = 0, nr, control;
	char text[256];
	FILE *f;

	if (!d || d->stats_fd < 0)
		return;
	fuzz_log("debugfs: device %i", d->id);
	snprintf(text, sizeof(text), "/sys/kernel/debug/kvm_msix/%i-%i/table", getpid(), d->id);
	f = fopen(text, "r");
	TEST_ASSERT(f && fscanf(f, "vectors %u control %x\n", &nr, &control) == 2, "table");
	EXPECT_SAME("vectors", d->m.nr, nr);
	EXPECT_SAME("Message Control", d->m.enabled * 0x8000 + d->m.function_masked * 0x4000,
		    control);
	while (fgets(text, sizeof(text), f)) {
		EXPECT_SAME("vector", lines, strtoul(text, NULL, 10));
		EXPECT_SAME("masked", model_masked(&d->m, lines), !!strstr(text, " masked"));
		EXPECT_SAME("pending", d->m.vector[lines].pending, !!strstr(text, " pending"));
		EXPECT_SAME("bound", fuzz_vec_bound(&d->vec[lines]), !!strstr(text, " bound"));
		lines++;
	}
	fclose(f);
	EXPECT_SAME("lines", nr, lines);
}

const struct fuzz_op fuzz_ops[] = {
	{ "create", 3, op_create },
	{ "locate", 6, op_locate },
	{ "bind", 8, op_bind },
	{ "control", 6, op_control },
	{ "program", 10, op_program },
	{ "signal", 14, op_signal },
	{ "mask", 12, op_mask },
	{ "access", 16, op_access },
	{ "access_any", 3, op_access_any },
	{ "set_state", 4, op_set_state },
	{ "get_state", 2, op_get_state },
	{ "reset", 1, op_reset },
	{ "close", 1, op_close },
	{ "dup", 1, op_dup },
	{ "close_vm", 1, op_close_vm },
	{ "info", 1, op_info },
	{ "unbind", 1, op_unbind },
	{ "routing", 3, op_routing },
	{ "kvm_routing", 3, op_kvm_routing },
	{ "inject", 6, op_inject },
	{ "irqfd", 3, op_irqfd },
	{ "drain", 2, op_drain },
	{ "new_event", 2, op_new_event },
	{ "bell", 2, op_bell },
	{ "sweep", 1, op_sweep },
	{ "bad_ioctl", 8, op_bad_ioctl },
	{ "foreign", 1, op_foreign },
	{ "debugfs", 1, op_debugfs },
	{ "map", 3, fuzz_op_map },
	{ "remap", 3, fuzz_op_remap },
	{ "advise", 1, fuzz_op_advise },
	{ "slot", 4, fuzz_op_slot },
	{ "log", 2, fuzz_op_log },
	{ "poke", 3, fuzz_op_poke },
	{ "grow", 1, fuzz_op_grow },
	{ "rest", 3, fuzz_op_rest },
	{ "tell", 3, fuzz_op_tell },
	{ "cycle", 16, op_cycle },
};

const u32 fuzz_nr_ops = ARRAY_SIZE(fuzz_ops);
