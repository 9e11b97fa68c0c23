// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables that are guest memory: where functions are mapped in this process, which
 * part of a mapping is a VM's memory, and what an access there does.
 *
 * An area is a range of addresses that is a mapping of a function, or a hole. A
 * memory slot names a part of an area, whatever is mapped there.
 *
 * The kernel notices a store to memory, by the guest or by the VMM, a little
 * later. So a pending vector that a store lets send is late: after the
 * operation the vector must send within a bound, and without an ioctl that
 * would find it. A late vector that was masked again has sent or has not;
 * GET_STATE tells.
 */
#include <sys/mman.h>

#include "fuzz.h"

#define FIRST_SLOT	2000
#define PATIENCE_MS	20000

/*
 * Areas and slots.
 */

/* Keep the addresses of areas in use: a slot must not name other memory. */
static u8 *make_hole(u8 *mem, u32 pages)
{
	mem = mmap(mem, pages * FUZZ_PAGE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | (mem ? MAP_FIXED : 0), -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

static void empty(struct fuzz_area *area)
{
	make_hole(area->mem, FUZZ_AREA_PAGES);
	area->dev = NULL;
	area->pages = 0;
}

void fuzz_areas_init(struct world *w)
{
	static u8 *kept[FUZZ_AREAS];
	u32 i;

	for (i = 0; i < FUZZ_AREAS; i++) {
		if (!kept[i])
			kept[i] = make_hole(NULL, FUZZ_AREA_PAGES);
		w->area[i].mem = kept[i];
	}
}

int fuzz_map(struct world *w, u32 i, struct fuzz_dev *d, u32 first, u32 pages, int prot, int flags)
{
	struct fuzz_area *area = &w->area[i];
	int err;

	fuzz_log("    area %u: device %i, %u pages from %u, prot %i", i, d ? d->id : -1, pages,
		 first, prot);
	empty(area);
	if (!d)
		return 0;
	if (mmap(area->mem, pages * FUZZ_PAGE, prot, flags | MAP_FIXED, d->fd,
		 first * FUZZ_PAGE) == MAP_FAILED) {
		err = errno;
		empty(area);
		return err;
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

/* With an old size of 0, mremap() leaves the old mapping in place. */
void fuzz_move_area(struct world *w, u32 from, u32 to, bool copy)
{
	struct fuzz_area *a = &w->area[from], *b = &w->area[to];
	size_t size = a->pages * FUZZ_PAGE;

	fuzz_log("    area %u %s %u", from, copy ? "is also" : "becomes", to);
	empty(b);
	TEST_ASSERT(mremap(a->mem, copy ? 0 : size, size, MREMAP_MAYMOVE | MREMAP_FIXED, b->mem) !=
		    MAP_FAILED, "mremap: %s", strerror(errno));
	b->dev = a->dev;
	b->first = a->first;
	b->pages = a->pages;
	b->writable = a->writable;
	if (!copy)
		empty(a);
}

void fuzz_cut_area(struct world *w, u32 i, u32 pages)
{
	struct fuzz_area *area = &w->area[i];

	fuzz_log("    area %u: the first %u pages", i, pages);
	make_hole(area->mem + pages * FUZZ_PAGE, FUZZ_AREA_PAGES - pages);
	area->pages = pages;
}

void fuzz_protect_area(struct world *w, u32 i, bool writable)
{
	struct fuzz_area *area = &w->area[i];

	fuzz_log("    area %u: %s", i, writable ? "writable" : "read-only");
	TEST_ASSERT(!mprotect(area->mem, area->pages * FUZZ_PAGE,
			      writable ? PROT_READ | PROT_WRITE : PROT_READ),
		    "mprotect: %s", strerror(errno));
	area->writable = writable;
}

static bool overlap(u64 a, u32 a_pages, u64 b, u32 b_pages)
{
	return a < b + (u64)b_pages * FUZZ_PAGE && b < a + (u64)a_pages * FUZZ_PAGE;
}

bool fuzz_slot_free(const struct fuzz_vm *vm, u32 but, u64 gpa, u32 pages)
{
	const struct fuzz_slot *slot;
	u32 i;

	for (i = 0; i < FUZZ_SLOTS; i++) {
		slot = &vm->slot[i];
		if (i != but && slot->pages && overlap(gpa, pages, slot->gpa, slot->pages))
			return false;
	}
	return true;
}

static void delete_slot(struct fuzz_vm *vm, u32 i)
{
	struct kvm_userspace_memory_region region = { .slot = FIRST_SLOT + i };

	fuzz_log("    slot %u: nothing", i);
	EXPECT_SAME("no memory", 0, __msix_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region));
	vm->slot[i].pages = 0;
}

/* KVM can move a slot, and switch its dirty log; other changes need a new slot. */
static bool same_memory(const struct fuzz_slot *a, const struct fuzz_slot *b)
{
	return a->pages == b->pages && a->area == b->area && a->first == b->first &&
	       a->read_only == b->read_only;
}

void fuzz_set_slot(struct world *w, struct fuzz_vm *vm, u32 i, const struct fuzz_slot *slot)
{
	struct kvm_userspace_memory_region region = { .slot = FIRST_SLOT + i };
	struct fuzz_slot *old = &vm->slot[i];
	u32 dirty = 0;

	if (old->pages && !(slot && same_memory(old, slot)))
		delete_slot(vm, i);
	if (!slot)
		return;
	fuzz_log("    slot %u: %u pages at %#llx, of area %u from %u%s%s", i, slot->pages,
		 (unsigned long long)slot->gpa, slot->area, slot->first,
		 slot->read_only ? ", read-only" : "", slot->log ? ", logged" : "");
	region.guest_phys_addr = slot->gpa;
	region.memory_size = slot->pages * FUZZ_PAGE;
	region.userspace_addr = (uintptr_t)w->area[slot->area].mem + slot->first * FUZZ_PAGE;
	region.flags = (slot->read_only ? KVM_MEM_READONLY : 0) |
		       (slot->log ? KVM_MEM_LOG_DIRTY_PAGES : 0);
	EXPECT_SAME("memory", 0, __msix_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region));
	if (old->pages && old->log && slot->log)
		dirty = old->dirty;
	*old = *slot;
	old->dirty = dirty;
}

struct fuzz_slot *fuzz_slot_at(struct fuzz_vm *vm, u64 gpa)
{
	u32 i;

	for (i = 0; i < FUZZ_SLOTS; i++)
		if (gpa >= vm->slot[i].gpa && gpa - vm->slot[i].gpa < vm->slot[i].pages * FUZZ_PAGE)
			return &vm->slot[i];
	return NULL;
}

void fuzz_read_log(struct world *w, struct fuzz_vm *vm, u32 i)
{
	struct fuzz_slot *slot = &vm->slot[i];
	u64 bits = 0;
	struct kvm_dirty_log log = { .slot = FIRST_SLOT + i, .dirty_bitmap = &bits };

	fuzz_log("    slot %u: dirty log", i);
	EXPECT_SAME("dirty log", 0, __msix_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_SAME("pages written", slot->dirty, slot->dirty & bits);
	slot->dirty = 0;
}

/* Find the function and the page at @gpa, if slot and mapping allow the access. */
static struct fuzz_dev *page_at(const struct world *w, const struct fuzz_slot *slot, bool write,
				u64 gpa, u32 *page)
{
	const struct fuzz_area *area = &w->area[slot->area];

	*page = slot->first + (gpa - slot->gpa) / FUZZ_PAGE;
	if (*page >= area->pages || (write && !area->writable))
		return NULL;
	*page += area->first;
	return area->dev;
}

bool fuzz_reachable(const struct world *w, struct fuzz_vm *vm, const struct access *a)
{
	bool write = a->insn != INSN_READ && a->insn != INSN_READ16 && a->insn != INSN_MOVS_FROM &&
		     a->insn != INSN_PUSH;
	u64 gpa = a->gpa, end = a->gpa + fuzz_access_bytes(a);
	const struct fuzz_slot *slot;
	u32 page;

	for (; gpa < end; gpa = (gpa / FUZZ_PAGE + 1) * FUZZ_PAGE) {
		slot = fuzz_slot_at(vm, gpa);
		if (slot && !page_at(w, slot, write && !slot->read_only, gpa, &page))
			return false;
	}
	return true;
}

bool fuzz_tame_memory(struct fuzz_vm *vm, struct access *a)
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

/*
 * The guest-visible PBA.
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

static void vector_written(struct fuzz_dev *d, u32 v)
{
	struct fuzz_late *late = &d->late[v];

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

void fuzz_poke(struct world *w, struct fuzz_dev *d, u32 at, u32 len, const u8 *bytes)
{
	u32 i, v, n;
	bool masked;

	for (; len; at += n, bytes += n, len -= n) {
		if (!in_table(d, at)) {
			n = 1;
			d->rest[at] = *bytes;
			d->drawn = true;
			continue;
		}
		/* An entry, or a part of one. */
		v = (at - d->table_offset) / ENTRY_SIZE;
		n = ENTRY_SIZE - (at - d->table_offset) % ENTRY_SIZE;
		n = n < len ? n : len;
		masked = model_masked(&d->m, v);
		for (i = 0; i < n; i++)
			*byte_of(d, at + i) = bytes[i];
		vector_written(d, v);
		fuzz_told_write(d, v, masked, false);
	}
}

void fuzz_memory_access(struct world *w, struct fuzz_vm *vm, bool write, u64 gpa, u32 len,
			u8 *bytes)
{
	struct fuzz_slot *slot = fuzz_slot_at(vm, gpa);
	u32 page, at, i;
	struct fuzz_dev *d = page_at(w, slot, write, gpa, &page);

	at = page * FUZZ_PAGE + gpa % FUZZ_PAGE;
	for (i = 0; i < len && !write; i++)
		bytes[i] = *byte_of(d, at + i);
	if (!write)
		return;
	if (slot->log)
		slot->dirty |= 1u << (gpa - slot->gpa) / FUZZ_PAGE;
	fuzz_poke(w, d, at, len, bytes);
}

/*
 * The end of an operation.
 */

/* If the kernel and a store raced for a bit's byte, take the byte from memory. */
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

/* Ask debugfs, as GET_STATE would send; without debugfs, return true. */
static bool all_sent(struct fuzz_dev *d)
{
	bool pending, all = true;
	char line[256];
	u32 v;
	FILE *f;

	if (d->stats_fd < 0)
		return true;
	snprintf(line, sizeof(line), "/sys/kernel/debug/kvm_msix/%i-%i/table", getpid(), d->id);
	f = fopen(line, "r");
	TEST_ASSERT(f && fgets(line, sizeof(line), f), "table: %s", strerror(errno));
	for (v = 0; v < d->m.nr && fgets(line, sizeof(line), f); v++) {
		pending = strstr(line, " pending");
		all &= !(d->late[v].is && pending && model_sends(&d->m, v));
	}
	fclose(f);
	return all && v == d->m.nr;
}

/* GET_STATE takes each vector's lock: no message is still being sent then. */
static void take_late(struct world *w, struct fuzz_dev *d)
{
	struct msix_state *state = msix_get_state(d->fd, d->m.nr);
	struct fuzz_late *late;
	u32 v;

	for (v = 0; v < d->m.nr; v++) {
		late = &d->late[v];
		if (!late->is)
			continue;
		if (!(state->pba[v / 64] >> v % 64 & 1)) {
			d->m.vector[v].pending = false;
			fuzz_expect_release(w, d, v, late);
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

	for (tries = 0; d->nr_late && !all_sent(d); tries++) {
		if (tries == PATIENCE_MS)
			fuzz_fail("device %i: a vector may send and is still pending", d->id);
		usleep(1000);
	}
	if (d->nr_late)
		take_late(w, d);
	fuzz_told_settle(d);
	d->drawn = false;
}

void fuzz_settle(struct world *w)
{
	u32 i;

	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[i] && w->dev[i]->pages)
			settle(w, w->dev[i]);
}

/* Compare the VMM's mappings with the model. */
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
