// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MSIX_CREATE_LAZY with a table in guest memory: an eventfd tells the VMM that the
 * guest has unmasked an unbound vector.
 */
#include <poll.h>

#include "kselftest_harness.h"
#include "mapped.h"

FIXTURE(lazy) {
	struct mapped s;
	int told;
};

FIXTURE_VARIANT(lazy) {
	u32 nr;
	u32 offset;
};

FIXTURE_VARIANT_ADD(lazy, one_page) {
	.nr = NR, .offset = 0,
};

FIXTURE_VARIANT_ADD(lazy, pages) {
	.nr = 512, .offset = PAGE - ENTRY_SIZE,
};

FIXTURE_SETUP(lazy)
{
	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	self->told = event_create();
	setup(&self->s, variant->nr, variant->offset, LAZY | MMAP, 0, self->told);
	memory_on(&self->s);
}

FIXTURE_TEARDOWN(lazy)
{
	EXPECT_EQ(0, self->s.m->nr_exits);
	close(self->told);
	teardown(&self->s);
}

static u64 wait_told(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE_MS) == 1 ? event_drain(fd) : 0;
}

/* Wait for the last look, which sees a mask; returns the number of signals. */
static u64 not_told(int fd)
{
	msix_wait_ms(200);
	return event_drain(fd);
}

TEST_F(lazy, unmask)
{
	struct mapped *s = &self->s;
	u32 v;

	msix_control(&s->d, ENABLE);
	for (v = 0; v < 2; v++) {
		entry_program(s->m, &s->d, v, MSI_ADDR(0), VEC(v));
		entry_mask(s->m, &s->d, v);
		EXPECT_EQ(0, not_told(self->told));
		entry_unmask(s->m, &s->d, v);
		EXPECT_EQ(1, wait_told(self->told));
		/* The VMM is told once, however often the kernel looks. */
		entry_write(s->m, &s->d, v, ENTRY_ADDR_HI, 0);
		EXPECT_EQ(0, not_told(self->told));
		/* An event comes before the VMM binds. */
		event_signal(s->event[v]);
		msix_bind_one(&s->d, v, s->event[v], -1);
		EXPECT_SENT(s, VEC(v), 1);
		entry_mask(s->m, &s->d, v);
		entry_unmask(s->m, &s->d, v);
		EXPECT_EQ(0, not_told(self->told));
	}
	/* Masked, unbound, and unmasked again. */
	entry_mask(s->m, &s->d, 0);
	msix_bind_one(&s->d, 0, -1, -1);
	EXPECT_EQ(0, not_told(self->told));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(1, wait_told(self->told));
	/* If the VMM does not bind, the next unmask signals again. */
	entry_mask(s->m, &s->d, 0);
	EXPECT_EQ(0, not_told(self->told));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(1, wait_told(self->told));
}

/* The VMM is not told while MSI-X is disabled; Enable tells of all unmasked. */
TEST_F(lazy, enable)
{
	struct mapped *s = &self->s;

	entry_unmask(s->m, &s->d, 0);
	entry_unmask(s->m, &s->d, 1);
	EXPECT_EQ(0, not_told(self->told));
	msix_control(&s->d, ENABLE | FUNCTION_MASK);
	EXPECT_EQ(1, wait_told(self->told));
	EXPECT_EQ(0, not_told(self->told));
	/* A reset masks and disables. */
	msix_reset(&s->d);
	EXPECT_EQ(0, not_told(self->told));
	msix_control(&s->d, ENABLE);
	EXPECT_EQ(0, not_told(self->told));
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(1, wait_told(self->told));
}

/* The store comes at any time after its fault, as in mapped_test's late_store. */
TEST_F(lazy, late_store)
{
	static const int late_ms[] = { 0, 1, 5, 15, 18, 30 };
	struct mapped *s = &self->s;
	int i;

	msix_control(&s->d, ENABLE);
	for (i = 0; i < (int)ARRAY_SIZE(late_ms); i++) {
		EXPECT_EQ(0, not_told(self->told));
		ASSERT_EQ(0, madvise(s->mem, PAGE, MADV_POPULATE_WRITE));
		usleep(1000 * late_ms[i]);
		entry_unmask(s->m, &s->d, 0);
		EXPECT_EQ(1, wait_told(self->told));
		entry_mask(s->m, &s->d, 0);
	}
}

/* 27: for a vector that BIND_ADD skips, the VMM is still told of unmasks. */
TEST_F(lazy, add_to_another)
{
	struct mapped *s = &self->s;
	struct kvm_msix_binding v[] = { { -1, -1 }, { s->event[1], -1 } };

	entry_unmask(s->m, &s->d, 0);
	entry_unmask(s->m, &s->d, 1);
	ASSERT_EQ(0, __msix_bind_flags(s->d.fd, KVM_MSIX_BIND_ADD, 0, ARRAY_SIZE(v), v));
	msix_control(&s->d, ENABLE);
	EXPECT_EQ(1, wait_told(self->told));
	msix_bind_one(&s->d, 0, s->event[0], -1);
	ASSERT_EQ(0, __msix_remove(s->d.fd, 1, s->event[1]));
	EXPECT_EQ(0, not_told(self->told));
	entry_mask(s->m, &s->d, 1);
	EXPECT_EQ(0, not_told(self->told));
	entry_unmask(s->m, &s->d, 1);
	EXPECT_EQ(1, wait_told(self->told));
}

/* The VMM is not told of bound vectors; if all are bound, the kernel awaits no store. */
TEST_F(lazy, all_bound)
{
	struct mapped *s = &self->s;
	struct kvm_msix_binding *v = calloc(s->d.nr, sizeof(*v));
	u32 i;

	if (!kvm_msix_has_counters())
		SKIP(return, NO_COUNTERS);
	for (i = 0; i < s->d.nr; i++)
		v[i] = (struct kvm_msix_binding) { .eventfd = event_create(), .gsi = -1 };
	ASSERT_EQ(0, __msix_bind(s->d.fd, 0, s->d.nr, v));
	msix_control(&s->d, ENABLE);
	entry_unmask(s->m, &s->d, 0);
	EXPECT_EQ(0, not_told(self->told));
	EXPECT_EQ(0, kvm_msix_counter("protected"));
	EXPECT_EQ(0, kvm_msix_counter("told"));
	for (i = 0; i < s->d.nr; i++)
		close(v[i].eventfd);
	free(v);
}

KVM_MSIX_TEST_MAIN
