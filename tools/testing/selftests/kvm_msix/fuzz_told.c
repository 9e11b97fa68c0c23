// SPDX-License-Identifier: GPL-2.0-only
/*
 * When unmask_eventfd tells the VMM of a lazy function that vectors are unmasked.
 *
 * A vector that is unmasked, unbound and untold while MSI-X is enabled is due:
 * within a bounded time after the vector became due, a signal follows. Empty the
 * eventfd before any change that makes a vector due. One signal may be for all
 * vectors that are due, but each signal needs a cause: at most @may_tell signals
 * come.
 *
 * The kernel may or may not have seen a mask between two unmasks, until it has
 * surely looked (fuzz_told_look()). Until then, the VMM may or may not be told
 * of the second unmask.
 */
#include <poll.h>

#include "fuzz.h"

#define PATIENCE_MS	20000

static bool unbound(const struct fuzz_dev *d, u32 v)
{
	return !fuzz_vec_bound(&d->vec[v]);
}

bool fuzz_tells(const struct fuzz_dev *d)
{
	u32 v;

	for (v = 0; v < d->m.nr && d->unmask_event >= 0 && d->m.enabled; v++)
		if (unbound(d, v))
			return true;
	return false;
}

/* Take the signals; on a signal, a VMM looks at all vectors. */
static void take_signals(struct fuzz_dev *d)
{
	u64 n = event_drain(d->unmask_event);
	u32 v;

	if (!n)
		return;
	fuzz_log("    device %i tells, %llu times", d->id, (unsigned long long)n);
	d->told += n;
	if (n > d->may_tell)
		fuzz_fail("device %i tells of unbound vectors, of which there are none", d->id);
	d->may_tell -= n;
	for (v = 0; v < d->m.nr; v++)
		if (d->tell[v] == DUE)
			d->tell[v] = TOLD;
}

static bool would_be_told(const struct fuzz_dev *d, u32 v)
{
	return d->m.enabled && unbound(d, v) && !model_masked(&d->m, v);
}

/* The next signal may be about @v, and must come if @v is due. */
static void next_is_for(struct fuzz_dev *d, u32 v)
{
	if (d->tell[v] == TOLD || !would_be_told(d, v))
		return;
	take_signals(d);
	d->may_tell++;
	if (d->tell[v] == UNTOLD)
		d->tell[v] = DUE;
}

void fuzz_told_write(struct fuzz_dev *d, u32 v, bool was_masked, bool trapped)
{
	if (d->unmask_event < 0 || was_masked == model_masked(&d->m, v))
		return;
	if (!was_masked) {
		/* The VMM may have been told, or the kernel may see the mask. */
		if (d->tell[v] == TOLD || (d->m.enabled && unbound(d, v)))
			d->tell[v] = MAYBE_TOLD;
		return;
	}
	next_is_for(d, v);
	/* The exit has told the VMM; the kernel's next look may signal as well. */
	if (trapped && would_be_told(d, v))
		d->tell[v] = MAYBE_TOLD;
}

void fuzz_told_bind(struct fuzz_dev *d, u32 v)
{
	if (d->unmask_event < 0)
		return;
	/* If the VMM unbinds an unmasked vector, no signal follows. */
	d->tell[v] = unbound(d, v) && !model_masked(&d->m, v) ? TOLD : UNTOLD;
}

void fuzz_told_control(struct fuzz_dev *d, bool was_enabled)
{
	u32 v;

	for (v = 0; v < d->m.nr && d->unmask_event >= 0; v++) {
		if (!d->m.enabled)
			d->tell[v] = UNTOLD;
		if (!was_enabled)
			next_is_for(d, v);
	}
}

void fuzz_told_replace(struct fuzz_dev *d, u32 v, bool was_masked)
{
	if (d->unmask_event < 0 || was_masked == model_masked(&d->m, v))
		return;
	if (!was_masked && d->tell[v] == TOLD)
		d->tell[v] = MAYBE_TOLD;
}

void fuzz_told_look(struct fuzz_dev *d)
{
	u32 v;

	take_signals(d);
	for (v = 0; v < d->m.nr; v++)
		if (unbound(d, v))
			d->tell[v] = model_masked(&d->m, v) ? UNTOLD : TOLD;
	d->may_tell = 0;
}

static bool any_due(const struct fuzz_dev *d)
{
	u32 v;

	for (v = 0; v < d->m.nr; v++)
		if (d->tell[v] == DUE && would_be_told(d, v))
			return true;
	return false;
}

void fuzz_told_settle(struct fuzz_dev *d)
{
	struct pollfd p = { .fd = d->unmask_event, .events = POLLIN };
	u32 tries;

	if (d->unmask_event < 0)
		return;
	if (any_due(d) && poll(&p, 1, PATIENCE_MS) != 1)
		fuzz_fail("device %i does not tell of an unbound vector", d->id);
	take_signals(d);
	/* The kernel counts a signal before it signals. */
	for (tries = 0; d->stats_fd >= 0 && d->told != fuzz_stat(d, STAT_TOLD); tries++) {
		if (tries == PATIENCE_MS)
			EXPECT_SAME("told", d->told, fuzz_stat(d, STAT_TOLD));
		usleep(1000);
		take_signals(d);
	}
}
