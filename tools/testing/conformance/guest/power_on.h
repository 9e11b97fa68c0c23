/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CONFORMANCE_POWER_ON_H
#define CONFORMANCE_POWER_ON_H

#include "cpu.h"

/* The MSI-X state that a guest can see, counted over all vectors. */
struct state {
	u16 control;
	u32 unmasked;
	u32 messages;
	u32 pending;
};

void look(struct state *s);
/* Record the state for the points about power-on: call this first. */
void look_at_power_on(void);
/* Change as much of the power-on state as a guest can. */
void make_dirty(void);
bool has_flr(void);

#endif /* CONFORMANCE_POWER_ON_H */
