// SPDX-License-Identifier: GPL-2.0-only
/* The core's caller: see caller.h. */
#include "caller.h"

/*
 * The storage ends where the structure ends, so that the address sanitizer catches
 * an access beyond. The structure is aligned to 8 bytes, not more unless @offset is.
 */
static void *storage_new(struct caller *c, unsigned int i, size_t offset,
			 size_t size)
{
	u8 *mem = calloc(1, offset + size);

	if (!mem)
		abort();
	c->storage[i] = mem;
	return mem + offset;
}

bool caller_shares;

/*
 * A function whose table is at @offset, a multiple of 8, of the table's storage, or,
 * if the table is shared, at the next multiple of 16.
 */
struct caller *caller_new_at(u32 nr, size_t offset)
{
	struct caller *c = malloc(sizeof(*c));

	if (!c)
		abort();
	/* Show fields that init forgets. */
	memset(&c->core, 0xa5, sizeof(c->core));
	c->rejected = 0;
	c->nr_sent = 0;
	if (caller_shares)
		offset = (offset + 15) & ~15UL;
	c->core.nr = nr;
	c->core.shared = caller_shares;
	c->core.table = storage_new(c, 0, offset, kvm_msix_table_size(nr));
	c->core.pba = storage_new(c, 1, 8, kvm_msix_pba_size(nr));
	c->core.pending = storage_new(c, 2, 8, kvm_msix_pba_size(nr));
	kvm_msix_core_init(&c->core);
	return c;
}

struct caller *caller_new(u32 nr)
{
	return caller_new_at(nr, 8);
}

void caller_free(struct caller *c)
{
	free(c->storage[0]);
	free(c->storage[1]);
	free(c->storage[2]);
	free(c);
}

static void send(struct caller *c, u32 v, const struct kvm_msix_entry *entry)
{
	if (c->nr_sent == ARRAY_SIZE(c->sent))
		abort();
	c->sent[c->nr_sent++] = (struct message) {
		.v = v,
		.address = entry->address,
		.data = entry->data,
	};
}

unsigned int caller_write(struct caller *c, u32 offset, unsigned int len,
			  u64 val)
{
	struct kvm_msix_entry entry;
	unsigned int effects;

	if (!kvm_msix_access_ok(kvm_msix_table_size(c->core.nr), offset, len)) {
		c->rejected++;
		return 0;
	}
	effects = kvm_msix_table_write(&c->core, offset, len, val, &entry);
	if (effects & KVM_MSIX_SEND)
		send(c, kvm_msix_vector_at(&c->core, offset), &entry);
	return effects;
}

static u64 all_ones(unsigned int len)
{
	return len < 8 ? (1ULL << (8 * len)) - 1 : ~0ULL;
}

u64 caller_read(struct caller *c, u32 offset, unsigned int len)
{
	if (!kvm_msix_access_ok(kvm_msix_table_size(c->core.nr), offset, len)) {
		c->rejected++;
		return all_ones(len);
	}
	return kvm_msix_table_read(&c->core, offset, len);
}

u64 caller_pba_read(struct caller *c, u32 offset, unsigned int len)
{
	if (!kvm_msix_access_ok(kvm_msix_pba_size(c->core.nr), offset, len)) {
		c->rejected++;
		return all_ones(len);
	}
	return kvm_msix_pba_read(&c->core, offset, len);
}

enum kvm_msix_verdict caller_event(struct caller *c, u32 v)
{
	struct kvm_msix_entry entry = kvm_msix_get_entry(&c->core, v);
	enum kvm_msix_verdict verdict =
		kvm_msix_decide_event(&c->core, v, &entry);

	if (verdict == KVM_MSIX_EVENT_SEND)
		send(c, v, &entry);
	return verdict;
}

unsigned int caller_visit(struct caller *c, u32 v)
{
	struct kvm_msix_entry entry = kvm_msix_get_entry(&c->core, v);
	unsigned int effects = kvm_msix_release_pending(&c->core, v, &entry);

	if (effects & KVM_MSIX_SEND)
		send(c, v, &entry);
	return effects;
}

bool caller_masked(const struct caller *c, u32 v)
{
	struct kvm_msix_entry entry = kvm_msix_get_entry(&c->core, v);

	return kvm_msix_masked(&entry);
}

bool caller_may_send(const struct caller *c, u32 v)
{
	struct kvm_msix_entry entry = kvm_msix_get_entry(&c->core, v);

	return kvm_msix_may_send(&c->core, &entry);
}

/* Software writes Message Control. */
void caller_control(struct caller *c, u16 control)
{
	u32 v;

	kvm_msix_set_control(&c->core, control);
	for (v = 0; v < c->core.nr; v++)
		caller_visit(c, v);
}

/* SET_STATE of one vector: the function is disabled meanwhile. */
void caller_set_entry(struct caller *c, u32 v, struct kvm_msix_entry entry,
		      bool pending)
{
	u16 control = c->core.control;

	kvm_msix_set_control(&c->core, 0);
	kvm_msix_set_entry(&c->core, v, entry, pending);
	caller_control(c, control);
}

void caller_reset(struct caller *c)
{
	u32 v;

	kvm_msix_set_control(&c->core, 0);
	for (v = 0; v < c->core.nr; v++)
		kvm_msix_reset_entry(&c->core, v);
}
