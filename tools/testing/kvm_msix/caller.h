/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core's caller: checks the guest's accesses, visits the vectors after a
 * change of Message Control, and records messages instead of sending them. One
 * thread, hence no locks; race_test.c has its own caller.
 */
#ifndef _KVM_MSIX_TEST_CALLER_H
#define _KVM_MSIX_TEST_CALLER_H

#include "core.h"

struct message {
	u32 v;
	u64 address;
	u32 data;
};

/**
 * struct caller - One function and its messages
 * @core: the function
 * @storage: memory of table, PBA and pending bits
 * @rejected: number of accesses that were dropped
 * @nr_sent: number of messages in @sent; the tests set it back to 0
 * @sent: messages in the order sent
 */
struct caller {
	struct kvm_msix_core core;
	void *storage[3];
	unsigned int rejected;
	unsigned int nr_sent;
	struct message sent[KVM_MSIX_MAX_VECTORS];
};

/* Tables of functions created from now on are guest memory. */
extern bool caller_shares;

struct caller *caller_new(u32 nr);
struct caller *caller_new_at(u32 nr, size_t offset);
void caller_free(struct caller *c);

unsigned int caller_write(struct caller *c, u32 offset, unsigned int len,
			  u64 val);
u64 caller_read(struct caller *c, u32 offset, unsigned int len);
u64 caller_pba_read(struct caller *c, u32 offset, unsigned int len);
enum kvm_msix_verdict caller_event(struct caller *c, u32 v);
unsigned int caller_visit(struct caller *c, u32 v);
bool caller_masked(const struct caller *c, u32 v);
bool caller_may_send(const struct caller *c, u32 v);
void caller_control(struct caller *c, u16 control);
void caller_set_entry(struct caller *c, u32 v, struct kvm_msix_entry entry,
		      bool pending);
void caller_reset(struct caller *c);

#endif /* _KVM_MSIX_TEST_CALLER_H */
