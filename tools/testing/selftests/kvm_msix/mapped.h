/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A function whose table begins anywhere in the first of its pages, and these pages
 * as guest memory: for mmap_test, mapped_test and mapped_lazy_test.
 */
#ifndef SELFTEST_KVM_MSIX_MAPPED_H
#define SELFTEST_KVM_MSIX_MAPPED_H

#include <sys/mman.h>

#include "kvm_msix_util.h"

#define NR	4
#define VEC(v)	(0x40 + (v))
#define SLOT	100
#define PAGE	0x1000u
#define PATIENCE_MS	20000

#define MMAP	KVM_MSIX_CREATE_MMAP
#define MMAP_PBA (KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA)
#define LAZY	KVM_MSIX_CREATE_LAZY

#define NO_MMAP	"this machine has no KVM_MSIX_CAP_MMAP"
#define NO_COUNTERS "no debugfs, so no counters"

struct mapped {
	struct msix_vm *m;
	struct msix_dev d;
	int event[NR];
	u8 *mem;
	u32 size;
	u64 irqs[256];	/* expected by now */
};

static inline int __create_lazy(int vm_fd, u32 nr, u32 flags, u32 table_offset, u32 pba_offset,
				int unmask_eventfd)
{
	struct kvm_msix_create args = {
		.flags = flags,
		.vm_fd = vm_fd,
		.nr_vectors = nr,
		.table_offset = table_offset,
		.pba_offset = pba_offset,
		.unmask_eventfd = unmask_eventfd,
	};
	int fd, err = __msix_create_args(&args, &fd);

	return err ? -err : fd;
}

static inline int __create(int vm_fd, u32 nr, u32 flags, u32 table_offset, u32 pba_offset)
{
	return __create_lazy(vm_fd, nr, flags, table_offset, pba_offset, 0);
}

static inline u32 pages_of(u64 end)
{
	return (end + PAGE - 1) / PAGE;
}

/* Set up a function in guest memory, with its table at @offset of the first page. */
static inline void setup(struct mapped *s, u32 nr, u32 offset, u32 flags, u32 pba_offset,
			 int unmask_eventfd)
{
	int i;

	s->m = msix_vm_create(1, NULL);
	s->d.nr = nr;
	s->d.fd = __create_lazy(s->m->vm->fd, nr, flags, offset, pba_offset, unmask_eventfd);
	TEST_ASSERT(s->d.fd >= 0, "KVM_MSIX_CREATE: %s", strerror(-s->d.fd));
	s->size = PAGE * pages_of(offset + nr * ENTRY_SIZE);
	if (flags & KVM_MSIX_CREATE_MMAP_PBA)
		s->size = max(s->size, PAGE * pages_of(pba_offset + msix_pba_size(nr)));
	s->mem = msix_map(s->d.fd, s->size);
	s->d.table = BAR_GPA + offset;
	s->d.pba = flags & KVM_MSIX_CREATE_MMAP_PBA ? BAR_GPA + pba_offset : BAR_GPA + s->size;
	for (i = 0; i < NR; i++)
		s->event[i] = event_create();
	TEST_ASSERT_EQ(__msix_set_addr(s->d.fd, s->d.table, s->d.pba), 0);
}

static inline void memory_on(struct mapped *s)
{
	msix_set_memory(s->m->vm, SLOT, BAR_GPA, s->size, s->mem);
}

static inline void memory_off(struct mapped *s)
{
	msix_set_memory(s->m->vm, SLOT, NOWHERE, 0, s->mem);
}

static inline void teardown(struct mapped *s)
{
	munmap(s->mem, s->size);
	close(s->d.fd);
	msix_vm_free(s->m);
}

/* Expect exactly @n more messages on @vector. */
#define EXPECT_SENT(s, vector, n)						\
do {										\
	struct mapped *_s = (s);						\
										\
	EXPECT_MORE_IRQS(_s->m, _s->irqs, vector, n);				\
} while (0)

#endif /* SELFTEST_KVM_MSIX_MAPPED_H */
