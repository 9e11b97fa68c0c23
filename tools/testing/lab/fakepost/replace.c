// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replace functions by ftrace: see replace.h.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kallsyms.h>
#include <linux/kprobes.h>

#include "replace.h"

static void notrace replace(unsigned long ip, unsigned long parent_ip,
			    struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct replacement *r = container_of(ops, struct replacement, ops);

	ftrace_get_regs(fregs)->ip = (unsigned long)r->function;
}

/**
 * replace_find - Find the address of a function
 * @symbol: the function's name, or MODULE:NAME
 *
 * A kprobe may be behind an ENDBR at the start of the function: subtract the offset.
 *
 * Return: the function's address, or 0 if there is no such function.
 */
unsigned long replace_find(const char *symbol)
{
	struct kprobe probe = {
		.symbol_name = symbol,
		.flags = KPROBE_FLAG_DISABLED,
	};
	char text[KSYM_SYMBOL_LEN];
	unsigned long address, offset;

	if (register_kprobe(&probe))
		return 0;
	address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	sprint_symbol(text, address);
	if (sscanf(strchrnul(text, '+'), "+0x%lx/", &offset) != 1)
		return 0;
	return address - offset;
}

/**
 * replace_start - Call the replacement instead from now on
 * @r: the replacement
 *
 * Return: 0 or a negative errno.
 */
int replace_start(struct replacement *r)
{
	unsigned long address = replace_find(r->symbol);
	int err = -ENOENT;

	r->ops.func = replace;
	r->ops.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY;
	if (address)
		err = ftrace_set_filter_ip(&r->ops, address, 0, 0);
	if (!err)
		err = register_ftrace_function(&r->ops);
	if (err)
		pr_err("cannot replace %s: %d\n", r->symbol, err);
	return err;
}

/**
 * replace_stop - Call the original function again
 * @r: the replacement, after replace_start()
 */
void replace_stop(struct replacement *r)
{
	unregister_ftrace_function(&r->ops);
	ftrace_free_filter(&r->ops);
}
