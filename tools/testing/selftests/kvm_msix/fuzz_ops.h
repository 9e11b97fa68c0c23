/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What can happen in the fuzzer's world: each operation makes its random choices,
 * tells the model (fuzz.h), and does the same in the kernel. All random choices of
 * an operation follow from its seed and from the state of the world.
 */
#ifndef SELFTEST_KVM_MSIX_FUZZ_OPS_H
#define SELFTEST_KVM_MSIX_FUZZ_OPS_H

#include "fuzz.h"

struct fuzz_op {
	const char *name;
	u32 weight;
	void (*run)(struct world *w, struct rng *r);
};

extern const struct fuzz_op fuzz_ops[];
extern const u32 fuzz_nr_ops;

/*
 * Helpers of several operations (fuzz_ops.c).
 */

int fuzz_call(struct rng *r, int fd, unsigned long cmd, void *arg);
void fuzz_expect_errno(const char *what, int want, int err);
struct fuzz_dev *fuzz_draw_dev(struct world *w, struct rng *r);
u32 fuzz_draw_vector(struct rng *r, struct fuzz_dev *d);
u64 fuzz_draw_address(struct rng *r, struct fuzz_vm *vm);
u32 fuzz_draw_data(struct rng *r);

/*
 * Functions: what the VMM does to one as a whole, and what it may not do
 * (fuzz_dev_ops.c).
 */

void fuzz_set_addr(struct world *w, struct rng *r, struct fuzz_dev *d, struct kvm_msix_addr *args);
void fuzz_op_create(struct world *w, struct rng *r);
void fuzz_op_close(struct world *w, struct rng *r);
void fuzz_op_dup(struct world *w, struct rng *r);
void fuzz_op_close_vm(struct world *w, struct rng *r);
void fuzz_op_info(struct world *w, struct rng *r);
void fuzz_op_set_addr(struct world *w, struct rng *r);
void fuzz_op_control(struct world *w, struct rng *r);
void fuzz_op_reset(struct world *w, struct rng *r);
void fuzz_op_set_state(struct world *w, struct rng *r);
void fuzz_op_get_state(struct world *w, struct rng *r);
void fuzz_op_bad_ioctl(struct world *w, struct rng *r);
void fuzz_op_foreign(struct world *w, struct rng *r);
void fuzz_op_debugfs(struct world *w, struct rng *r);
void fuzz_op_stats(struct world *w, struct rng *r);

/*
 * Eventfds and GSIs: bindings, routes, events (fuzz_event_ops.c).
 */

void fuzz_signal(struct world *w, struct fuzz_event *e, u64 n);
void fuzz_op_bind(struct world *w, struct rng *r);
void fuzz_op_unbind(struct world *w, struct rng *r);
void fuzz_op_routing(struct world *w, struct rng *r);
void fuzz_op_kvm_routing(struct world *w, struct rng *r);
void fuzz_op_inject(struct world *w, struct rng *r);
void fuzz_op_irqfd(struct world *w, struct rng *r);
void fuzz_op_signal(struct world *w, struct rng *r);
void fuzz_op_drain(struct world *w, struct rng *r);
void fuzz_op_new_event(struct world *w, struct rng *r);
void fuzz_op_bell(struct world *w, struct rng *r);

/*
 * The guest (fuzz_guest_ops.c).
 */

void fuzz_do_access(struct world *w, struct fuzz_vm *vm, struct access *a);
void fuzz_op_access(struct world *w, struct rng *r);
void fuzz_op_access_any(struct world *w, struct rng *r);
void fuzz_op_program(struct world *w, struct rng *r);
void fuzz_op_mask(struct world *w, struct rng *r);
void fuzz_op_cycle(struct world *w, struct rng *r);
void fuzz_op_sweep(struct world *w, struct rng *r);

/*
 * Mappings and memory slots (fuzz_map_ops.c).
 */

void fuzz_draw_layout(struct rng *r, struct kvm_msix_create *args);
int fuzz_expect_layout(const struct kvm_msix_create *args);
/* Map @d, add a memory slot of the mapping, and set the address, as a VMM does. */
void fuzz_make_memory(struct world *w, struct rng *r, struct fuzz_dev *d);
void fuzz_op_map(struct world *w, struct rng *r);
void fuzz_op_remap(struct world *w, struct rng *r);
void fuzz_op_advise(struct world *w, struct rng *r);
void fuzz_op_slot(struct world *w, struct rng *r);
void fuzz_op_log(struct world *w, struct rng *r);
void fuzz_op_poke(struct world *w, struct rng *r);
void fuzz_op_grow(struct world *w, struct rng *r);
void fuzz_op_rest(struct world *w, struct rng *r);
void fuzz_op_tell(struct world *w, struct rng *r);

#endif /* SELFTEST_KVM_MSIX_FUZZ_OPS_H */
