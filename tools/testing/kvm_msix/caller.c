// SPDX-License-Identifier: GPL-2.0-only
/* The part of the core's caller: see caller.h. */
#include "caller.h"

/*
 * The storage ends where the structure ends, so that the address sanitizer sees
 * a byte too many, and is aligned to 8 and no more than the offset makes it.
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

/* A function with its table at @offset of its storage, a multiple of 8. */
struct caller *caller_new_at(u32 nr, size_t offset)
{
	struct caller *c = malloc(sizeof(*c));
	void *table, *pba;

	if (!c)
		abort();
	/* What init does not set shall be seen. */
	memset(&c->core, 0xa5, sizeof(c->core));
	c->rejected = 0;
	c->nr_sent = 0;
	table = storage_new(c, 0, offset, kvm_msix_table_size(nr));
	pba = storage_new(c, 1, 8, kvm_msix_pba_size(nr));
	kvm_msix_core_init(&c->core, nr, table, pba);
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
	free(c);
}

static void send(struct caller *c, u32 v)
{
	struct kvm_msix_entry entry = kvm_msix_get_entry(&c->core, v);

	if (c->nr_sent == ARRAY_SIZE(c->sent))
		abort();
	c->sent[c->nr_sent++] = (struct message) {
		.v = v,
		.address = entry.address,
		.data = entry.data,
	};
}

unsigned int caller_write(struct caller *c, u32 offset, unsigned int len,
			  u64 val)
{
	unsigned int effects;

	if (!kvm_msix_access_ok(kvm_msix_table_size(c->core.nr), offset, len)) {
		c->rejected++;
		return 0;
	}
	effects = kvm_msix_table_write(&c->core, offset, len, val);
	if (effects & KVM_MSIX_SEND)
		send(c, kvm_msix_vector_at(&c->core, offset));
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
	enum kvm_msix_verdict verdict = kvm_msix_event(&c->core, v);

	if (verdict == KVM_MSIX_EVENT_SEND)
		send(c, v);
	return verdict;
}

unsigned int caller_visit(struct caller *c, u32 v)
{
	unsigned int effects = kvm_msix_release_pending(&c->core, v);

	if (effects & KVM_MSIX_SEND)
		send(c, v);
	return effects;
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
