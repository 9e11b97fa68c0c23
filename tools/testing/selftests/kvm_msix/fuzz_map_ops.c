// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on tables that are guest memory: see fuzz_mapped.c.
 */
#include <sys/mman.h>

#include "fuzz_ops.h"

/* Draw a layout, valid or not. */
void fuzz_draw_layout(struct rng *r, struct kvm_msix_create *args)
{
	u32 table_size = args->nr_vectors * ENTRY_SIZE, pba_size = msix_pba_size(args->nr_vectors);
	u32 end;

	args->flags |= KVM_MSIX_CREATE_MMAP;
	if (!one_in(r, 3))
		args->table_offset = pick(r, 256) * ENTRY_SIZE;
	end = args->table_offset + table_size;
	if (one_in(r, 2)) {
		args->flags |= KVM_MSIX_CREATE_MMAP_PBA;
		switch (pick(r, 6)) {
		case 0:
			args->pba_offset = end;
			break;
		case 1:
			args->pba_offset = args->table_offset - pba_size;
			break;
		case 2:
			args->pba_offset = -(-end & -FUZZ_PAGE) - pba_size;
			break;
		case 3:
		case 4:
			/* The page behind the table, or the next page. */
			args->pba_offset = -(-end & -FUZZ_PAGE) + pick(r, 520) * 8;
			break;
		default:
			args->pba_offset = pick(r, 512) * 8;
		}
		if (one_in(r, 12))
			args->pba_offset += one_in(r, 2) ? 8 : -8;
	}
	if (!one_in(r, 16))
		return;
	switch (pick(r, 5)) {
	case 0:
		args->flags &= ~KVM_MSIX_CREATE_MMAP;
		break;
	case 1:
		args->flags ^= KVM_MSIX_CREATE_MMAP_PBA;
		break;
	case 2:
		args->table_offset += one_in(r, 2) ? 8 : FUZZ_PAGE;
		break;
	case 3:
		args->pba_offset += 1 + pick(r, 7);
		break;
	default:
		args->table_offset = -ENTRY_SIZE;
	}
}

int fuzz_expect_layout(const struct kvm_msix_create *args)
{
	u64 table = args->table_offset, pba = args->pba_offset;
	u64 table_end = table + args->nr_vectors * ENTRY_SIZE;
	u64 pba_end = pba + msix_pba_size(args->nr_vectors);
	bool map = args->flags & KVM_MSIX_CREATE_MMAP;
	bool map_pba = args->flags & KVM_MSIX_CREATE_MMAP_PBA;

	if ((!map && (map_pba || table)) || (!map_pba && pba))
		return -EINVAL;
	if (table % ENTRY_SIZE || table >= FUZZ_PAGE || pba % 8)
		return -EINVAL;
	if (!map_pba)
		return 0;
	if (pba < table_end && table < pba_end)
		return -EINVAL;
	return pba / FUZZ_PAGE > (table_end + FUZZ_PAGE - 1) / FUZZ_PAGE ? -EINVAL : 0;
}

/* Find an area where all pages of @d are mapped, or map all pages. */
static u32 map_all(struct world *w, struct rng *r, struct fuzz_dev *d)
{
	struct fuzz_area *area;
	u32 i;

	for (i = 0; i < FUZZ_AREAS; i++) {
		area = &w->area[i];
		if (area->dev == d && area->pages == d->pages && area->writable)
			return i;
	}
	for (i = 0; i < FUZZ_AREAS && w->area[i].dev; i++)
		;
	if (i == FUZZ_AREAS)
		i = pick(r, FUZZ_AREAS);
	EXPECT_SAME("mmap", 0, fuzz_map(w, i, d, 0, d->pages, PROT_READ | PROT_WRITE, MAP_SHARED));
	return i;
}

static u64 draw_page(struct rng *r, u32 pages)
{
	return BAR_GPA + pick(r, BAR_SIZE / FUZZ_PAGE - pages + 1) * FUZZ_PAGE;
}

/* Find a slot that has all of an area, or set a slot. NULL: no room. */
static const struct fuzz_slot *slot_of(struct world *w, struct rng *r, struct fuzz_vm *vm,
				       u32 area)
{
	struct fuzz_slot slot = { .pages = w->area[area].pages, .area = area }, *at;
	u32 i;

	for (i = 0; i < FUZZ_SLOTS; i++) {
		at = &vm->slot[i];
		if (at->pages == slot.pages && at->area == area && !at->first && !at->read_only)
			return at;
	}
	for (i = 0; i < FUZZ_SLOTS && vm->slot[i].pages; i++)
		;
	if (i == FUZZ_SLOTS)
		i = pick(r, FUZZ_SLOTS);
	slot.gpa = draw_page(r, slot.pages);
	slot.log = one_in(r, 4);
	if (!fuzz_slot_free(vm, i, slot.gpa, slot.pages))
		return NULL;
	fuzz_set_slot(w, vm, i, &slot);
	return &vm->slot[i];
}

static bool has_gsi(const struct fuzz_dev *d)
{
	u32 v;

	for (v = 0; v < d->m.nr; v++)
		if (d->vec[v].gsi >= 0)
			return true;
	return false;
}

void fuzz_make_memory(struct world *w, struct rng *r, struct fuzz_dev *d)
{
	struct kvm_msix_addr args = { .flags = KVM_MSIX_ADDR_TABLE };
	const struct fuzz_slot *slot;

	if (d->vm->fd < 0 || has_gsi(d))
		return;
	slot = slot_of(w, r, d->vm, map_all(w, r, d));
	if (!slot)
		return;
	args.table_gpa = slot->gpa + d->table_offset;
	if (!one_in(r, 4)) {
		args.flags |= KVM_MSIX_ADDR_PBA;
		args.pba_gpa = d->flags & KVM_MSIX_CREATE_MMAP_PBA ?
			       slot->gpa + d->pba_offset : draw_page(r, 1) + pick(r, 500) * 8;
	}
	fuzz_set_addr(w, r, d, &args);
}

/* Map an area, or unmap it. */
void fuzz_op_map(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	u32 area = pick(r, FUZZ_AREAS), first = 0, pages;
	int want = 0, flags = MAP_SHARED, prot = PROT_READ;

	if (!d)
		return;
	if (w->area[area].dev && !one_in(r, 3)) {
		fuzz_map(w, area, NULL, 0, 0, 0, 0);
		return;
	}
	if (d->pages && one_in(r, 3))
		first = pick(r, d->pages + 1);
	pages = first < d->pages ? d->pages - first : 1;
	if (one_in(r, 3))
		pages = 1 + pick(r, FUZZ_AREA_PAGES);
	if (!one_in(r, 6))
		prot |= PROT_WRITE;
	if (one_in(r, 8))
		flags = MAP_PRIVATE;
	if (!d->pages)
		want = ENODEV;
	else if (flags == MAP_PRIVATE || first + pages > d->pages)
		want = EINVAL;
	else if (has_gsi(d))
		want = EBUSY;
	fuzz_expect_errno("mmap", want, fuzz_map(w, area, d, first, pages, prot, flags));
}

/* Move a mapping, duplicate it, shorten it, or change its protection. */
void fuzz_op_remap(struct world *w, struct rng *r)
{
	u32 from = pick(r, FUZZ_AREAS), to = (from + 1 + pick(r, FUZZ_AREAS - 1)) % FUZZ_AREAS;
	struct fuzz_area *area = &w->area[from];

	if (!area->dev)
		return;
	switch (pick(r, 6)) {
	case 0:
	case 1:
		fuzz_move_area(w, from, to, false);
		break;
	case 2:
		fuzz_move_area(w, from, to, true);
		break;
	case 3:
		if (area->pages > 1)
			fuzz_cut_area(w, from, 1 + pick(r, area->pages - 1));
		break;
	default:
		fuzz_protect_area(w, from, !area->writable);
	}
}

/* Call madvise(); whatever the advice, no data may be lost. */
void fuzz_op_advise(struct world *w, struct rng *r)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_REMOVE, MADV_HUGEPAGE,
		MADV_WILLNEED, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
	};
	struct fuzz_area *area = &w->area[pick(r, FUZZ_AREAS)];
	int what = advice[pick(r, ARRAY_SIZE(advice))];

	if (!area->dev)
		return;
	fuzz_log("advise: area %u, %i", (u32)(area - w->area), what);
	madvise(area->mem, area->pages * FUZZ_PAGE, what);
}

/* Create, move, change or delete a memory slot. */
void fuzz_op_slot(struct world *w, struct rng *r)
{
	struct fuzz_slot slot = { .area = pick(r, FUZZ_AREAS), .read_only = one_in(r, 6) };
	struct fuzz_vm *vm = w->vm[one_in(r, 8)];
	u32 i = pick(r, FUZZ_SLOTS);
	struct fuzz_slot old = vm->slot[i];

	if (vm->fd < 0)
		return;
	if (old.pages && one_in(r, 2)) {
		fuzz_set_slot(w, vm, i, NULL);
		/* Set the deleted slot again. */
		if (one_in(r, 2))
			fuzz_set_slot(w, vm, i, &old);
		return;
	}
	if (old.pages) {
		slot = old;
		slot.log = one_in(r, 2);
		slot.read_only ^= one_in(r, 6);
	} else {
		if (one_in(r, 4))
			slot.first = pick(r, FUZZ_AREA_PAGES);
		slot.pages = 1 + pick(r, FUZZ_AREA_PAGES - slot.first);
		if (!one_in(r, 4) && w->area[slot.area].pages > slot.first)
			slot.pages = w->area[slot.area].pages - slot.first;
		slot.log = one_in(r, 4);
	}
	if (!old.pages || one_in(r, 2))
		slot.gpa = draw_page(r, slot.pages);
	if (fuzz_slot_free(vm, i, slot.gpa, slot.pages))
		fuzz_set_slot(w, vm, i, &slot);
}

/* Read the dirty logs, as in a migration. */
void fuzz_op_log(struct world *w, struct rng *r)
{
	struct fuzz_vm *vm = w->vm[0];
	u32 i;

	for (i = 0; i < FUZZ_SLOTS; i++)
		if (vm->slot[i].pages && vm->slot[i].log)
			fuzz_read_log(w, vm, i);
}

/* The VMM stores to one field of a mapped entry. */
void fuzz_op_poke(struct world *w, struct rng *r)
{
	u32 field = pick(r, 4) * 4, first = pick(r, FUZZ_AREAS), i, v, at, val;
	struct fuzz_area *area;
	struct fuzz_dev *d;

	for (i = 0; i < FUZZ_AREAS; i++) {
		area = &w->area[(first + i) % FUZZ_AREAS];
		if (area->dev && area->writable)
			break;
	}
	if (i == FUZZ_AREAS)
		return;
	d = area->dev;
	v = pick(r, one_in(r, 4) || d->m.nr < 4 ? d->m.nr : 4);
	/* Prefer a pending vector, and its Vector Control. */
	for (i = 0; i < d->m.nr && one_in(r, 2) && !d->m.vector[v].pending; i++)
		v = (v + 1) % d->m.nr;
	if (d->m.vector[v].pending)
		field = ENTRY_CTRL;
	at = d->table_offset + v * ENTRY_SIZE + field;
	if (at / FUZZ_PAGE < area->first || at / FUZZ_PAGE - area->first >= area->pages)
		return;
	val = field == ENTRY_CTRL ? pick(r, 2) :
	      field == ENTRY_DATA ? fuzz_tame_data(0x20 + pick(r, 0xe0)) :
	      field == ENTRY_ADDR_LO ? MSI_ADDR(pick(r, 2)) : 0;
	fuzz_log("poke: device %i, byte %#x: %#x", d->id, at, val);
	fuzz_poke(w, d, at, 4, (u8 *)&val);
	WRITE_ONCE(*(u32 *)(area->mem + at - area->first * FUZZ_PAGE), val);
}

/* If a mapping grows beyond the function's end, the new page faults. */
void fuzz_op_grow(struct world *w, struct rng *r)
{
	struct fuzz_dev *d = fuzz_draw_dev(w, r);
	size_t size;
	int pipes[2];
	u8 *mem;

	if (!d || !d->pages || has_gsi(d))
		return;
	fuzz_log("grow: device %i", d->id);
	size = d->pages * FUZZ_PAGE;
	mem = mmap(NULL, size, PROT_READ, MAP_SHARED, d->fd, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	mem = mremap(mem, size, size + FUZZ_PAGE, MREMAP_MAYMOVE);
	TEST_ASSERT(mem != MAP_FAILED && !pipe(pipes), "mremap, pipe: %s", strerror(errno));
	EXPECT_SAME("last byte", 1, write(pipes[1], mem + size - 1, 1));
	EXPECT_SAME("byte behind", -1, write(pipes[1], mem + size, 1));
	EXPECT_SAME("errno", EFAULT, errno);
	close(pipes[0]);
	close(pipes[1]);
	munmap(mem, size + FUZZ_PAGE);
}

#define REST_MS	20000

/* An area where the VMM may write to the function's first page. */
static struct fuzz_area *first_page(struct world *w, const struct fuzz_dev *d)
{
	struct fuzz_area *area;
	u32 i;

	for (i = 0; i < FUZZ_AREAS; i++) {
		area = &w->area[i];
		if (area->dev == d && area->writable && !area->first)
			return area;
	}
	return NULL;
}

static void store_same(u8 *byte)
{
	asm volatile("lock; orb $0, %0" : "+m" (*byte) : : "memory");
}

static bool any_pending(const struct fuzz_dev *d)
{
	u32 v;

	for (v = 0; v < d->m.nr; v++)
		if (d->m.vector[v].pending)
			return true;
	return false;
}

/*
 * Wait until the pages are protected again, after a store. When this has happened
 * twice, the kernel's look after the first time is over.
 */
static void until_protected(const struct fuzz_dev *d, struct fuzz_area *area)
{
	u64 before = fuzz_stat(d, STAT_PROTECTED);
	u32 tries;

	for (tries = 0; tries < REST_MS; tries++) {
		/* A store just before the protection can go unseen: repeat the store. */
		if (!(tries % 100))
			store_same(area->mem + d->table_offset);
		usleep(1000);
		if (fuzz_stat(d, STAT_PROTECTED) != before)
			return;
	}
	fuzz_fail("device %i is not watched", d->id);
}

/* Wait until the kernel stops watching the pages, as no vector needs a store. */
static void until_open(const struct fuzz_dev *d, struct fuzz_area *area)
{
	u8 *page = area->mem + d->table_offset;
	u64 faults, protected;
	u32 tries;

	for (tries = 0; tries < REST_MS / 50; tries++) {
		faults = fuzz_stat(d, STAT_FAULTS);
		protected = fuzz_stat(d, STAT_PROTECTED);
		store_same(page);
		usleep(50000);
		store_same(page);
		if (fuzz_stat(d, STAT_FAULTS) == faults &&
		    fuzz_stat(d, STAT_PROTECTED) == protected)
			return;
	}
	fuzz_fail("device %i is still watched", d->id);
}

static void rest_watched(struct fuzz_dev *d, struct fuzz_area *area)
{
	until_protected(d, area);
	until_protected(d, area);
	if (fuzz_tells(d))
		fuzz_told_look(d);
}

void fuzz_op_rest(struct world *w, struct rng *r)
{
	u32 i, first = pick(r, FUZZ_DEVS);
	struct fuzz_area *area = NULL;
	struct fuzz_dev *d;

	for (i = 0; i < FUZZ_DEVS && !area; i++) {
		d = w->dev[(first + i) % FUZZ_DEVS];
		if (d && d->stats_fd >= 0)
			area = first_page(w, d);
	}
	if (!area)
		return;
	fuzz_log("rest: device %i", d->id);
	if (any_pending(d) || fuzz_tells(d))
		rest_watched(d, area);
	else
		until_open(d, area);
}

static void poke_control(struct world *w, struct fuzz_dev *d, struct fuzz_area *area, u32 v,
			 u32 val)
{
	u32 at = d->table_offset + v * ENTRY_SIZE + ENTRY_CTRL;

	fuzz_log("    vector %u: %u", v, val);
	fuzz_poke(w, d, at, 4, (u8 *)&val);
	WRITE_ONCE(*(u32 *)(area->mem + at), val);
}

/* Mask and unmask an unbound vector, once or several times. */
void fuzz_op_tell(struct world *w, struct rng *r)
{
	struct kvm_msix_control on = { .control = ENABLE };
	u32 i, v, first = pick(r, FUZZ_DEVS), times = 1 + pick(r, 3);
	struct fuzz_dev *d = NULL;
	struct fuzz_area *area;

	for (i = 0; i < FUZZ_DEVS && !(d && d->unmask_event >= 0); i++)
		d = w->dev[(first + i) % FUZZ_DEVS];
	if (!d || d->unmask_event < 0 || has_gsi(d))
		return;
	area = &w->area[map_all(w, r, d)];
	if (area->first)
		return;
	v = pick(r, d->m.nr < 4 ? d->m.nr : 4);
	fuzz_log("tell: device %i, %u times", d->id, times);
	if (!d->m.enabled || one_in(r, 4)) {
		fuzz_expect_control(w, d, ENABLE);
		fuzz_expect_errno("CONTROL", 0, fuzz_call(r, d->fd, KVM_MSIX_CONTROL, &on));
	}
	while (times--) {
		poke_control(w, d, area, v, MASKED);
		if (fuzz_tells(d) && d->stats_fd >= 0 && !one_in(r, 4))
			rest_watched(d, area);
		poke_control(w, d, area, v, 0);
		if (!one_in(r, 4))
			fuzz_settle(w);
	}
}
