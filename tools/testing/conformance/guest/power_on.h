/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CONFORMANCE_POWER_ON_H
#define CONFORMANCE_POWER_ON_H

#include "cpu.h"

/* What is to be seen of MSI-X, counted over all vectors. */
struct state {
	u16 control;
	u32 unmasked;
	u32 messages;
	u32 pending;
};

void look(struct state *s);
/* For the points about power-on, before anything is changed. */
void look_at_power_on(void);
/* As far from that state as it gets. */
void make_dirty(void);
bool has_flr(void);

#endif /* CONFORMANCE_POWER_ON_H */
