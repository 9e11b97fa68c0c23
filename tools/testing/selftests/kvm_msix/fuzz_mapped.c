// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables that are guest memory: which function is mapped where in this process,
 * which of that a VM has as memory, and what an access there does.
 *
 * An area is a range of addresses that is a mapping of a function, or a hole. A
 * memory slot names a part of an area, whatever is there.
 *
 * What is written in memory is noticed at once where the pages are surely
 * watched (dev->watched). Where they may not be yet, a pending vector that may
 * send again is late: once the operation is over, it has to send within a bound.
 * Where nobody has to notice (dev->unseen: the VMM has changed the memory since
 * LOCATE, or wrote itself), LOCATE or CONTROL comes next, which finds it. A late
 * vector that was masked again has sent or has not: the kernel knows.
 */
#include <sys/mman.h>

#include "fuzz.h"

#define FIRST_SLOT	2000
#define PATIENCE_MS	20000

/*
 * Areas and slots.
 */

static void make_hole(struct fuzz_area *area)
{
	area->mem = mmap(area->mem, FUZZ_AREA_PAGES * FUZZ_PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | (area->mem ? MAP_FIXED : 0), -1, 0);
	TEST_ASSERT(area->mem != MAP_FAILED, "mmap: %s", strerror(errno));
	area->dev = NULL;
	area->pages = 0;
}

/* The addresses stay the same: nobody else shall have what a slot names. */
void fuzz_areas_init(struct world *w)
{
	static struct fuzz_area kept[FUZZ_AREAS];
	u32 i;

	for (i = 0; i < FUZZ_AREAS; i++) {
		if (!kept[i].mem)
			make_hole(&kept[i]);
		w->area[i] = kept[i];
	}
}

static bool overlap(u64 a, u32 a_pages, u64 b, u32 b_pages)
{
	return a < b + (u64)b_pages * FUZZ_PAGE && b < a + (u64)a_pages * FUZZ_PAGE;
}

/* Where the first page of a function in guest memory is. */
static u64 first_page(const struct fuzz_dev *d)
{
	return d->table - d->table_offset;
}

/* This memory is not what it was. */
static void memory_changes(struct world *w, const struct fuzz_vm *vm, const struct fuzz_slot *slot)
{
	struct fuzz_dev *d;
	u32 i;

	for (i = 0; i < FUZZ_DEVS; i++) {
		d = w->dev[i];
		if (!d || d->vm != vm || !d->mapped ||
		    !overlap(first_page(d), d->pages, slot->gpa, slot->pages))
			continue;
		d->told = false;
		d->watched = false;
	}
}

int fuzz_map(struct world *w, u32 i, struct fuzz_dev *d, u32 first, u32 pages, int prot, int flags)
{
	struct fuzz_area *area = &w->area[i];
	u32 v, s;

	fuzz_log("    area %u: device %i, %u pages from %u, prot %i", i, d ? d->id : -1, pages,
		 first, prot);
	for (v = 0; v < 2; v++)
		for (s = 0; s < FUZZ_SLOTS; s++)
			if (w->vm[v]->slot[s].pages && w->vm[v]->slot[s].area == i)
				memory_changes(w, w->vm[v], &w->vm[v]->slot[s]);
	make_hole(area);
	if (!d)
		return 0;
	if (mmap(area->mem, pages * FUZZ_PAGE, prot, flags | MAP_FIXED, d->fd,
		 first * FUZZ_PAGE) == MAP_FAILED) {
		v = errno;
		make_hole(area);
		return v;
	}
	area->dev = d;
	area->first = first;
	area->pages = pages;
	area->writable = prot & PROT_WRITE;
	return 0;
}

void fuzz_unmap_dev(struct world *w, struct fuzz_dev *d)
{
	u32 i;

	for (i = 0; i < FUZZ_AREAS; i++)
		if (w->area[i].dev == d)
			fuzz_map(w, i, NULL, 0, 0, 0, 0);
}

bool fuzz_mapped(const struct world *w, const struct fuzz_dev *d)
{
	u32 i;

	for (i = 0; i < FUZZ_AREAS; i++)
		if (w->area[i].dev == d)
			return true;
	return false;
}

bool fuzz_slot_free(const struct fuzz_vm *vm, u64 gpa, u32 pages)
{
	u32 i;

	for (i = 0; i < FUZZ_SLOTS; i++)
		if (vm->slot[i].pages && overlap(gpa, pages, vm->slot[i].gpa, vm->slot[i].pages))
			return false;
	return true;
}

void fuzz_set_slot(struct world *w, struct fuzz_vm *vm, u32 i, const struct fuzz_slot *slot)
{
	struct kvm_userspace_memory_region region = { .slot = FIRST_SLOT + i };
	struct fuzz_slot *old = &vm->slot[i];

	if (old->pages) {
		fuzz_log("    slot %u: nothing", i);
		EXPECT_SAME("no memory", 0,
			    __msix_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region));
		memory_changes(w, vm, old);
	}
	old->pages = 0;
	if (!slot)
		return;
	fuzz_log("    slot %u: %u pages at %#llx, of area %u from %u%s", i, slot->pages,
		 (unsigned long long)slot->gpa, slot->area, slot->first,
		 slot->read_only ? ", read-only" : "");
	region.guest_phys_addr = slot->gpa;
	region.memory_size = slot->pages * FUZZ_PAGE;
	region.userspace_addr = (uintptr_t)w->area[slot->area].mem + slot->first * FUZZ_PAGE;
	region.flags = slot->read_only ? KVM_MEM_READONLY : 0;
	EXPECT_SAME("memory", 0, __msix_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region));
	*old = *slot;
	memory_changes(w, vm, slot);
}

const struct fuzz_slot *fuzz_slot_at(const struct fuzz_vm *vm, u64 gpa)
{
	u32 i;

	for (i = 0; i < FUZZ_SLOTS; i++)
		if (gpa >= vm->slot[i].gpa && gpa - vm->slot[i].gpa < vm->slot[i].pages * FUZZ_PAGE)
			return &vm->slot[i];
	return NULL;
}

/* Whose page, and which, is in this slot there, if the guest may write to it? */
static struct fuzz_dev *page_at(const struct world *w, const struct fuzz_slot *slot, u64 gpa,
				u32 *page)
{
	const struct fuzz_area *area = &w->area[slot->area];

	*page = slot->first + (gpa - slot->gpa) / FUZZ_PAGE;
	if (*page >= area->pages || !area->writable)
		return NULL;
	*page += area->first;
	return area->dev;
}

bool fuzz_reachable(const struct world *w, const struct fuzz_vm *vm, u64 gpa, u32 len)
{
	const struct fuzz_slot *slot;
	u64 end = gpa + len;
	u32 page;

	for (; gpa < end; gpa = (gpa / FUZZ_PAGE + 1) * FUZZ_PAGE) {
		slot = fuzz_slot_at(vm, gpa);
		if (slot && !page_at(w, slot, gpa, &page))
			return false;
	}
	return true;
}

bool fuzz_tame_memory(const struct fuzz_vm *vm, struct access *a)
{
	const struct fuzz_slot *first = fuzz_slot_at(vm, a->gpa);
	const struct fuzz_slot *last = fuzz_slot_at(vm, a->gpa + fuzz_access_bytes(a) - 1);

	if (!first && !last)
		return false;
	if (first && last && !first->read_only && !last->read_only)
		fuzz_tame_access(a, BAR_GPA, BAR_SIZE);
	else
		fuzz_tame_access(a, NOWHERE, 0);
	return true;
}

int fuzz_expect_mapped(struct world *w, struct fuzz_dev *d, u32 flags, u64 table, u64 pba)
{
	u64 gpa = table - d->table_offset;
	const struct fuzz_slot *slot;
	u32 i, page;

	if (!d->pages || !(flags & KVM_MSIX_LOCATE_TABLE) || gpa % FUZZ_PAGE)
		return -EINVAL;
	if (d->flags & KVM_MSIX_CREATE_MMAP_PBA && flags & KVM_MSIX_LOCATE_PBA &&
	    pba - gpa != d->pba_offset)
		return -EINVAL;
	for (i = 0; i < d->pages; i++) {
		slot = fuzz_slot_at(d->vm, gpa + i * FUZZ_PAGE);
		if (!slot || slot->read_only ||
		    page_at(w, slot, gpa + i * FUZZ_PAGE, &page) != d || page != i)
			return -EINVAL;
	}
	return 0;
}

/*
 * The picture of the PBA.
 */

void fuzz_picture(struct fuzz_dev *d, u32 v)
{
	u8 *byte, bit = 1 << v % 8;

	if (!(d->flags & KVM_MSIX_CREATE_MMAP_PBA))
		return;
	byte = d->rest + d->pba_offset + v / 8;
	*byte = d->m.vector[v].pending ? *byte | bit : *byte & ~bit;
}

void fuzz_picture_all(struct fuzz_dev *d)
{
	u32 v;

	if (d->flags & KVM_MSIX_CREATE_MMAP_PBA)
		memset(d->rest + d->pba_offset, 0, model_pba_bytes(&d->m));
	for (v = 0; v < d->m.nr; v++)
		fuzz_picture(d, v);
}

u64 fuzz_pba_read(struct fuzz_dev *d, u32 offset, u32 len)
{
	u64 val = 0;

	if (!(d->flags & KVM_MSIX_CREATE_MMAP_PBA))
		return model_pba_read(&d->m, offset, len);
	memcpy(&val, d->rest + d->pba_offset + offset, len);
	return val;
}

/*
 * Accesses.
 */

bool fuzz_needs_watch(const struct fuzz_dev *d)
{
	u32 v;

	for (v = 0; v < d->m.nr; v++)
		if (d->m.vector[v].pending || d->vec[v].gsi >= 0)
			return true;
	return false;
}

void fuzz_looked(struct fuzz_dev *d)
{
	d->watched = d->told && fuzz_needs_watch(d);
}

static bool in_table(const struct fuzz_dev *d, u32 at)
{
	return at >= d->table_offset && at - d->table_offset < model_table_bytes(&d->m);
}

static u8 *byte_of(struct fuzz_dev *d, u32 at)
{
	u32 offset = at - d->table_offset;

	return in_table(d, at) ? &d->m.vector[offset / 16].byte[offset % 16] : &d->rest[at];
}

static bool same_message(const struct fuzz_dev *d, u32 v)
{
	return d->late[v].address == model_address(&d->m, v) &&
	       d->late[v].data == model_data(&d->m, v);
}

bool fuzz_take_late(struct fuzz_dev *d, u32 v)
{
	if (!d->late[v].is)
		return false;
	d->late[v].is = false;
	d->late[v].unsure |= !same_message(d, v);
	d->nr_late--;
	return true;
}

static void vector_written(struct world *w, struct fuzz_dev *d, u32 v, bool told)
{
	struct fuzz_late *late = &d->late[v];

	if (!told) {
		d->unseen = true;
	} else if (d->watched) {
		if (model_settle(&d->m, v))
			fuzz_expect_kick(w, d, v, NULL);
		fuzz_sync_routes(d, v, 1);
		d->watched = fuzz_needs_watch(d);
		return;
	}
	if (late->is && !same_message(d, v))
		late->unsure = true;
	if (late->is || !d->m.vector[v].pending || !model_sends(&d->m, v))
		return;
	*late = (struct fuzz_late) {
		.is = true,
		.address = model_address(&d->m, v),
		.data = model_data(&d->m, v),
	};
	d->nr_late++;
}

static void write_bytes(struct world *w, struct fuzz_dev *d, u32 at, u32 len, const u8 *bytes,
			bool told)
{
	u32 i, v, last = d->m.nr;

	for (i = 0; i < len; i++) {
		*byte_of(d, at + i) = bytes[i];
		d->drawn |= !in_table(d, at + i);
	}
	for (i = 0; i < len; i++) {
		if (!in_table(d, at + i))
			continue;
		v = (at + i - d->table_offset) / 16;
		if (v != last)
			vector_written(w, d, v, told);
		last = v;
	}
}

void fuzz_poke(struct world *w, struct fuzz_dev *d, u32 at, u32 len, const u8 *bytes)
{
	write_bytes(w, d, at, len, bytes, false);
}

static bool is_told(const struct fuzz_dev *d, u64 gpa)
{
	return d->told && overlap(first_page(d), d->pages, gpa, 1);
}

void fuzz_memory_access(struct world *w, struct fuzz_vm *vm, bool write, u64 gpa, u32 len,
			u8 *bytes)
{
	const struct fuzz_slot *slot = fuzz_slot_at(vm, gpa);
	u32 page, at, i;
	struct fuzz_dev *d = page_at(w, slot, gpa, &page);

	at = page * FUZZ_PAGE + gpa % FUZZ_PAGE;
	for (i = 0; i < len && !write; i++)
		bytes[i] = *byte_of(d, at + i);
	if (!write)
		return;
	/* Also where it is not their memory any more. */
	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[i] && w->dev[i]->vm == vm && w->dev[i]->mapped)
			w->dev[i]->maybe_writes++;
	write_bytes(w, d, at, len, bytes, is_told(d, gpa - gpa % FUZZ_PAGE));
}

/*
 * The end of an operation.
 */

/* After which all has been seen. */
static void look(struct world *w, struct fuzz_dev *d)
{
	struct kvm_msix_locate where = {
		.size = sizeof(where),
		.flags = KVM_MSIX_LOCATE_TABLE | KVM_MSIX_LOCATE_MAPPED,
		.table_gpa = d->table,
	};

	if (d->pba != NOWHERE) {
		where.flags |= KVM_MSIX_LOCATE_PBA;
		where.pba_gpa = d->pba;
	}
	if (d->mapped && !fuzz_expect_mapped(w, d, where.flags, d->table, d->pba)) {
		fuzz_log("    locate once more: device %i", d->id);
		EXPECT_SAME("LOCATE once more", 0, __msix_ioctl(d->fd, KVM_MSIX_LOCATE, &where));
		d->told = true;
	} else {
		fuzz_log("    control once more: device %i", d->id);
		EXPECT_SAME("CONTROL once more", 0,
			    __msix_control(d->fd, d->m.enabled * ENABLE +
						  d->m.function_masked * FUNCTION_MASK));
	}
	fuzz_looked(d);
}

/* A bit that was cleared and written at once is as one of both has left it. */
static void take_picture(struct world *w, struct fuzz_dev *d, u32 v)
{
	u32 at = d->pba_offset + v / 8, i, page = at / FUZZ_PAGE;
	struct fuzz_area *area;
	u8 bit = 1 << v % 8;

	if (!d->drawn || !(d->flags & KVM_MSIX_CREATE_MMAP_PBA))
		return;
	for (i = 0; i < FUZZ_AREAS; i++) {
		area = &w->area[i];
		if (area->dev != d || page < area->first || page - area->first >= area->pages)
			continue;
		d->rest[at] &= ~bit;
		d->rest[at] |= READ_ONCE(area->mem[at - area->first * FUZZ_PAGE]) & bit;
	}
}

static void take_late(struct world *w, struct fuzz_dev *d)
{
	struct msix_state *state = msix_get_state(d->fd, d->m.nr);
	struct fuzz_late *late;
	bool pending;
	u32 v;

	for (v = 0; v < d->m.nr; v++) {
		late = &d->late[v];
		if (!late->is)
			continue;
		pending = state->pba[v / 64] >> v % 64 & 1;
		if (pending && model_sends(&d->m, v))
			continue;
		if (!pending) {
			d->m.vector[v].pending = false;
			fuzz_expect_kick(w, d, v, late);
			take_picture(w, d, v);
		}
		late->is = false;
		d->nr_late--;
	}
	msix_state_free(state);
}

static void settle(struct world *w, struct fuzz_dev *d)
{
	u32 tries;

	if (d->unseen)
		look(w, d);
	for (tries = 0; d->nr_late; tries++) {
		if (tries == (d->unseen ? 1 : PATIENCE_MS))
			fuzz_fail("device %i: a vector may send and is still pending", d->id);
		if (tries)
			usleep(1000);
		take_late(w, d);
	}
	if (d->unseen)
		fuzz_sync_routes(d, 0, d->m.nr);
	d->unseen = false;
	d->drawn = false;
	d->watched = d->watched && fuzz_needs_watch(d);
}

void fuzz_settle(struct world *w)
{
	u32 i;

	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[i] && w->dev[i]->pages)
			settle(w, w->dev[i]);
}

/* The VMM's mappings show the same. */
void fuzz_compare_areas(struct world *w)
{
	struct fuzz_area *area;
	u32 i, n, at;

	for (i = 0; i < FUZZ_AREAS; i++) {
		area = &w->area[i];
		at = area->first * FUZZ_PAGE;
		for (n = 0; n < area->pages * FUZZ_PAGE; n++)
			if (area->mem[n] != *byte_of(area->dev, at + n)) {
				fuzz_log("in area %u: byte %#x of device %i", i, at + n,
					 area->dev->id);
				EXPECT_SAME("byte mapped", *byte_of(area->dev, at + n),
					    area->mem[n]);
			}
	}
}
