// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of all operations, see fuzz_ops.h, and helpers of several operations.
 */
#include "fuzz_ops.h"

int fuzz_call(struct rng *r, int fd, unsigned long cmd, void *arg)
{
	u32 i;
	int ret;

	for (i = 0; fuzz_cmds[i].cmd != cmd; i++)
		;
	return fuzz_ioctl(r, fd, cmd, arg, fuzz_cmds[i].size, &ret);
}

void fuzz_expect_errno(const char *what, int want, int err)
{
	if (want != err)
		fuzz_fail("%s: the model says %s, the kernel %s", what,
			  want ? strerror(want) : "success", err ? strerror(err) : "success");
}

struct fuzz_dev *fuzz_draw_dev(struct world *w, struct rng *r)
{
	u32 i, first = pick(r, FUZZ_DEVS);

	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[(first + i) % FUZZ_DEVS])
			return w->dev[(first + i) % FUZZ_DEVS];
	return NULL;
}

/* Prefer a few vectors, so that operations meet more often. */
u32 fuzz_draw_vector(struct rng *r, struct fuzz_dev *d)
{
	if (one_in(r, 8))
		return d->m.nr - 1;
	return pick(r, one_in(r, 4) || d->m.nr < 4 ? d->m.nr : 4);
}

u64 fuzz_draw_address(struct rng *r, struct fuzz_vm *vm)
{
	switch (pick(r, 12)) {
	case 0:
		return rnd(r);
	case 1:
		return 0xfee00000 | pick(r, 0x100000);
	case 2:
		return 0xfee00000 | pick(r, 0x100) << 12 | (rnd(r) & (vm->x2apic_format ? ~0xffull :
							    ~0ull)) << 32;
	case 3:
		return MSI_ADDR(FUZZ_IDLE_CPU);
	case 4:
		return (u64)pick(r, 0x1000) << 20;
	case 5:
		return MSI_ADDR(0xff);
	default:
		return MSI_ADDR(pick(r, 2));
	}
}

u32 fuzz_draw_data(struct rng *r)
{
	u32 mode = one_in(r, 8) ? pick(r, 8) : 0;

	return fuzz_tame_data(one_in(r, 8) ? rnd(r) : MSI_MODE(mode) | pick(r, 256));
}

const struct fuzz_op fuzz_ops[] = {
	{ "create", 3, fuzz_op_create },
	{ "set_addr", 6, fuzz_op_set_addr },
	{ "bind", 8, fuzz_op_bind },
	{ "control", 6, fuzz_op_control },
	{ "program", 10, fuzz_op_program },
	{ "signal", 14, fuzz_op_signal },
	{ "mask", 12, fuzz_op_mask },
	{ "access", 16, fuzz_op_access },
	{ "access_any", 3, fuzz_op_access_any },
	{ "set_state", 4, fuzz_op_set_state },
	{ "get_state", 2, fuzz_op_get_state },
	{ "reset", 1, fuzz_op_reset },
	{ "close", 1, fuzz_op_close },
	{ "dup", 1, fuzz_op_dup },
	{ "close_vm", 1, fuzz_op_close_vm },
	{ "info", 1, fuzz_op_info },
	{ "unbind", 1, fuzz_op_unbind },
	{ "routing", 3, fuzz_op_routing },
	{ "kvm_routing", 3, fuzz_op_kvm_routing },
	{ "inject", 6, fuzz_op_inject },
	{ "irqfd", 3, fuzz_op_irqfd },
	{ "drain", 2, fuzz_op_drain },
	{ "new_event", 2, fuzz_op_new_event },
	{ "bell", 2, fuzz_op_bell },
	{ "sweep", 1, fuzz_op_sweep },
	{ "bad_ioctl", 8, fuzz_op_bad_ioctl },
	{ "foreign", 1, fuzz_op_foreign },
	{ "debugfs", 1, fuzz_op_debugfs },
	{ "stats", 2, fuzz_op_stats },
	{ "map", 3, fuzz_op_map },
	{ "remap", 3, fuzz_op_remap },
	{ "advise", 1, fuzz_op_advise },
	{ "slot", 4, fuzz_op_slot },
	{ "log", 2, fuzz_op_log },
	{ "poke", 3, fuzz_op_poke },
	{ "grow", 1, fuzz_op_grow },
	{ "rest", 3, fuzz_op_rest },
	{ "tell", 3, fuzz_op_tell },
	{ "cycle", 16, fuzz_op_cycle },
};

const u32 fuzz_nr_ops = ARRAY_SIZE(fuzz_ops);
