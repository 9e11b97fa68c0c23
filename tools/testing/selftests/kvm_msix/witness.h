/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A function in a state that no error may change: no part of the state is zero.
 *
 * No guest runs. After an event, a masked vector's pending bit shows that the
 * eventfd is still bound to the vector; and if another function cannot take an
 * address (EEXIST), the address still belongs to this function.
 */
#ifndef SELFTEST_KVM_MSIX_WITNESS_H
#define SELFTEST_KVM_MSIX_WITNESS_H

#include "kvm_msix_util.h"

#define WITNESS_NR		5
#define WITNESS_TABLE		0xc0000000ull
#define WITNESS_TABLE_SIZE	(WITNESS_NR * ENTRY_SIZE)
#define WITNESS_PBA		0xc0001000ull

struct witness {
	struct kvm_vm *vm;
	struct msix_dev d;
	struct msix_state *before;
	int event;	/* vector 0's */
};

static inline void witness_create(struct witness *w)
{
	struct msix_state *s = msix_state_alloc(WITNESS_NR);

	w->vm = msix_bare_vm();
	w->d = msix_create(w->vm, WITNESS_NR, 0);
	w->event = event_create();

	memset(s->entry, 0xa5, WITNESS_NR * ENTRY_SIZE);
	s->pba[0] = 0x12;
	s->control = ENABLE | FUNCTION_MASK;
	TEST_ASSERT_EQ(__msix_set_state(w->d.fd, s), 0);
	msix_set_addr(&w->d, WITNESS_TABLE, WITNESS_PBA);
	msix_bind_one(&w->d, 0, w->event, -1);
	w->before = msix_get_state(w->d.fd, WITNESS_NR);
	TEST_ASSERT(msix_state_equal(s, w->before), "SET_STATE, then GET_STATE");
	msix_state_free(s);
}

static inline void witness_check(struct witness *w)
{
	struct msix_state *after = msix_get_state(w->d.fd, WITNESS_NR);
	struct msix_dev other = msix_create(w->vm, 1, 0);

	TEST_ASSERT(msix_state_equal(w->before, after), "the state has changed");
	msix_state_free(after);

	TEST_ASSERT_EQ(__msix_set_addr(other.fd, WITNESS_TABLE, NOWHERE), EEXIST);
	TEST_ASSERT_EQ(__msix_set_addr(other.fd, WITNESS_TABLE + WITNESS_TABLE_SIZE - 16, NOWHERE),
		       EEXIST);
	TEST_ASSERT_EQ(__msix_set_addr(other.fd, NOWHERE, WITNESS_PBA), EEXIST);

	TEST_ASSERT_EQ(__msix_bind_one(other.fd, 0, w->event, -1), EBUSY);
	event_signal(w->event);
	TEST_ASSERT_EQ(event_drain(w->event), 0);
	TEST_ASSERT(msix_pending(&w->d, 0), "vector 0 has lost its eventfd");
	close(other.fd);
}

#endif /* SELFTEST_KVM_MSIX_WITNESS_H */
