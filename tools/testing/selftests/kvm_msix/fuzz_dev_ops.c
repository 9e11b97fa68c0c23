// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on functions: create, close, addresses, Message Control, reset, saved
 * state; and calls that are not allowed.
 */
#include <sys/wait.h>

#include "fuzz_ops.h"

/*
 * Creating and closing functions.
 */

static u32 pages(u32 bytes)
{
	return (bytes + FUZZ_PAGE - 1) / FUZZ_PAGE;
}

/* Returns the eventfd's fd, or -1. A bad fd sets *want, unless another error has. */
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

void fuzz_op_create(struct world *w, struct rng *r)
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

void fuzz_op_close(struct world *w, struct rng *r)
{
	u32 i = pick(r, FUZZ_DEVS);

	fuzz_log("close device %u", i);
	if (w->dev[i])
		fuzz_dev_close(w, i, one_in(r, 2));
}

void fuzz_op_dup(struct world *w, struct rng *r)
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

/* The VMM closes the VM's fd; the functions keep the VM alive. */
void fuzz_op_close_vm(struct world *w, struct rng *r)
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

void fuzz_op_info(struct world *w, struct rng *r)
{
	const u64 want = KVM_MSIX_CAP_LAZY | KVM_MSIX_CAP_EXT_DEST_ID | KVM_MSIX_CAP_GSI |
			 KVM_MSIX_CAP_STATS | KVM_MSIX_CAP_BIND_ADD |
			 (w->can_map ? KVM_MSIX_CAP_MMAP : 0);
	struct kvm_msix_info info = { .size = 0 };

	fuzz_log("info");
	fuzz_expect_errno("INFO", 0, fuzz_call(r, w->node, KVM_MSIX_INFO, &info));
	EXPECT_SAME("capabilities", want,
		    info.capabilities & ~(KVM_MSIX_CAP_HOST_POSTS | KVM_MSIX_CAP_POSTED));
	EXPECT_SAME("vectors", 2048, info.max_vectors);
	EXPECT_SAME("GSIs", FUZZ_GSIS - 1, info.max_gsi);
}

/*
 * Addresses.
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

void fuzz_set_addr(struct world *w, struct rng *r, struct fuzz_dev *d, struct kvm_msix_addr *args)
{
	u32 table_size = model_table_bytes(&d->m), pba_size = model_pba_bytes(&d->m);
	int want, err;

	want = -fuzz_expect_set_addr(d, args->flags, args->table_gpa, args->pba_gpa);
	if (!want && args->flags & KVM_MSIX_ADDR_TABLE && args->table_gpa != d->table &&
	    fuzz_occupied(d->vm, w, d, args->table_gpa, table_size))
		want = EEXIST;
	if (!want && args->flags & KVM_MSIX_ADDR_PBA && args->pba_gpa != d->pba &&
	    fuzz_occupied(d->vm, w, d, args->pba_gpa, pba_size))
		want = EEXIST;
	fuzz_log("set_addr: device %i, %#llx, %#llx, flags %#x", d->id, args->table_gpa,
		 args->pba_gpa, args->flags);
	err = fuzz_call(r, d->fd, KVM_MSIX_SET_ADDR, args);
	fuzz_expect_errno("SET_ADDR", want, err);
	if (err)
		return;
	d->table = args->flags & KVM_MSIX_ADDR_TABLE ? args->table_gpa : NOWHERE;
	d->pba = args->flags & KVM_MSIX_ADDR_PBA ? args->pba_gpa : NOWHERE;
}

void fuzz_op_set_addr(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	struct kvm_msix_addr args = { .size = 0 };
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
		args.flags |= KVM_MSIX_ADDR_TABLE;
		args.table_gpa = draw_gpa(w, r, d, table_size);
	}
	if (!one_in(r, 6)) {
		args.flags |= KVM_MSIX_ADDR_PBA;
		args.pba_gpa = draw_gpa(w, r, d, pba_size);
		if (one_in(r, 4))
			args.pba_gpa = args.table_gpa + table_size - (one_in(r, 8) ? 8 : 0);
	}
	if (one_in(r, 24))
		args.flags ^= KVM_MSIX_ADDR_TABLE;
	if (one_in(r, 24))
		args.flags ^= KVM_MSIX_ADDR_PBA;
	fuzz_set_addr(w, r, d, &args);
}

/*
 * The function as a whole.
 */

void fuzz_op_control(struct world *w, struct rng *r)
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

void fuzz_op_reset(struct world *w, struct rng *r)
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
		address = fuzz_draw_address(r, d->vm);
		data = fuzz_draw_data(r);
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

void fuzz_op_set_state(struct world *w, struct rng *r)
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

/* Check the errors of GET_STATE; fuzz_compare() checks the state. */
void fuzz_op_get_state(struct world *w, struct rng *r)
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
 * Calls that must fail.
 */

void fuzz_op_bad_ioctl(struct world *w, struct rng *r)
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

/* Another process, with another address space, is refused. */
void fuzz_op_foreign(struct world *w, struct rng *r)
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

/* Compare each vector with its line in debugfs. */
void fuzz_op_debugfs(struct world *w, struct rng *r)
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
	TEST_ASSERT(f && fscanf(f, "vectors %u control %x%*[^\n]\n", &nr, &control) == 2, "table");
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

/* The VMM reads a part of a stats fd that is not aligned, or to where it may not. */
static void read_stats_part(struct rng *r, int fd)
{
	u32 offset = pick(r, 8192), size = 1 + pick(r, 4096);
	bool bad = one_in(r, 4);
	void *to = bad ? fuzz_bad_pointer(r, size) : fuzz_tight(0, size);
	ssize_t n = pread(fd, to, size, offset);

	if (n < 0 && !(bad && errno == EFAULT))
		fuzz_fail("read of statistics: %s", strerror(errno));
	if (bad)
		EXPECT_SAME("all bytes read", false, n == size);
}

/* Compare the vectors' sums with the model: nothing happens meanwhile. */
void fuzz_op_stats(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	u64 value[MODEL_MAX_VECTORS], sum;
	int fd, err;
	u32 i, v;

	if (!d)
		return;
	fuzz_log("stats: device %i", d->id);
	err = __msix_stats_fd(d->fd, &fd);
	EXPECT_SAME("GET_STATS_FD", 0, err);
	read_stats_part(r, fd);
	msix_stat_values(fd, "pending", 0, d->m.nr, value);
	for (v = 0; v < d->m.nr; v++)
		EXPECT_SAME("pending", d->m.vector[v].pending, value[v]);
	/* The model has learned from debugfs what became of some messages. */
	for (i = STAT_MASK_CHANGES; i <= STAT_DROPPED && d->stats_fd >= 0; i++) {
		msix_stat_values(fd, fuzz_stat_names[i], 0, d->m.nr, value);
		for (v = 0, sum = 0; v < d->m.nr; v++)
			sum += value[v];
		EXPECT_SAME(fuzz_stat_names[i], d->stat[i], sum);
	}
	close(fd);
}
