// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hold who runs through a function, at any of its instructions: function=NAME,
 * or MODULE:NAME. What another CPU can only see between two of them, it then has
 * the time to see, wherever it is and whatever the compiler made of it.
 *
 * Of all instructions run, every @seldom-th is held, for @us microseconds. With
 * a prime number there that is a different one in each run through a loop.
 * Interrupts are off meanwhile, as is the way of kprobes.
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

/* In bytes; kallsyms does not tell a module more than this. 0: no such function. */
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
	/* In the middle of an instruction, and where code is patched, there can be none. */
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
