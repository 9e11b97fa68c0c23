/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replace a function of the kernel or of a module at run time.
 */
#ifndef FAKEPOST_REPLACE_H
#define FAKEPOST_REPLACE_H

#include <linux/ftrace.h>

/**
 * struct replacement - A function to replace
 * @ops: for replace_start() and replace_stop()
 * @symbol: name of the function, or MODULE:NAME
 * @function: the replacement
 */
struct replacement {
	struct ftrace_ops ops;
	const char *symbol;
	void *function;
};

unsigned long replace_find(const char *symbol);
int replace_start(struct replacement *r);
void replace_stop(struct replacement *r);

#endif /* FAKEPOST_REPLACE_H */
