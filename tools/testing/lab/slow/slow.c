// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hold each CPU that runs a function, at any of the function's instructions:
 * function=NAME, or MODULE:NAME. If a state lasts only from one instruction to
 * the next, other CPUs then have the time to see it, whatever the compiler made
 * of the function.
 *
 * Of all instructions that run, every @seldom-th is held, for @us microseconds.
 * If @seldom is prime, each run through a loop is held at another instruction.
 * Interrupts are off meanwhile, as always in a kprobe's handler.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/slab.h>

static char *function = "";
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "whom to hold");

static unsigned int us = 3000;
module_param(us, uint, 0444);
MODULE_PARM_DESC(us, "for so many microseconds");

static unsigned int seldom = 61;
module_param(seldom, uint, 0444);
MODULE_PARM_DESC(seldom, "at one instruction of so many that it runs");

static atomic_t run;

static int held;
module_param(held, int, 0444);
MODULE_PARM_DESC(held, "how often it was (read only)");

static struct kprobe *probes;
static unsigned int size;

static int hold(struct kprobe *probe, struct pt_regs *regs)
{
	if ((unsigned int)atomic_inc_return(&run) % seldom)
		return 0;
	mdelay(us / 1000);
	udelay(us % 1000);
	WRITE_ONCE(held, held + 1);
	return 0;
}

static int probe_at(unsigned int offset)
{
	struct kprobe *probe = &probes[offset];

	probe->symbol_name = function;
	probe->offset = offset;
	probe->pre_handler = hold;
	return register_kprobe(probe);
}

/* In bytes; 0: no such function. A module gets the size only from a text. */
static unsigned int size_of_function(void)
{
	struct kprobe first = { .symbol_name = function };
	char text[KSYM_SYMBOL_LEN];
	unsigned int bytes;

	if (register_kprobe(&first))
		return 0;
	sprint_symbol(text, (unsigned long)first.addr);
	unregister_kprobe(&first);
	return sscanf(strchrnul(text, '/'), "/0x%x", &bytes) == 1 ? bytes : 0;
}

static void remove_probes(void)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		if (probes[i].pre_handler)
			unregister_kprobe(&probes[i]);
	kvfree(probes);
}

static int __init slow_init(void)
{
	unsigned int i, nr = 0;

	if (!seldom)
		return -EINVAL;
	size = size_of_function();
	if (!size)
		return -ENOENT;
	probes = kvcalloc(size, sizeof(*probes), GFP_KERNEL);
	if (!probes)
		return -ENOMEM;
	/* Probes inside an instruction, and where code is patched, are refused. */
	for (i = 0; i < size; i++) {
		if (probe_at(i))
			probes[i].pre_handler = NULL;
		else
			nr++;
	}
	pr_info("slow: %s: %u instructions\n", function, nr);
	if (!nr) {
		remove_probes();
		return -ENOENT;
	}
	return 0;
}
module_init(slow_init);

static void __exit slow_exit(void)
{
	remove_probes();
}
module_exit(slow_exit);

MODULE_DESCRIPTION("Hold a function at each of its instructions");
MODULE_LICENSE("GPL");
