/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A point is one thing that a guest can see, printed as one line of TAP. Each
 * point begins with MSI-X enabled, the first vectors masked, each with its own
 * message, nothing pending and no interrupt taken.
 *
 * A name begins with a number, whose part before the dot is the number of the
 * behaviour in kvm_msix-semantics.rst, as in the first comment of each file.
 * If the specification leaves open what happens, the name ends in "(choice)".
 */
#ifndef CONFORMANCE_POINT_H
#define CONFORMANCE_POINT_H

#include "msix.h"

/* What a point needs. A point with an unmet need is skipped. */
enum need {
	EVENTS = 1 << 0,	/* the device can be made to signal */
	TWO_VECTORS = 1 << 1,
	THREE_VECTORS = 1 << 2,
	IO_EVENTS = 1 << 3,	/* ... even with memory decode off */
	ODD_NR = 1 << 4,	/* the number of vectors is no multiple of 64 */
	GAP = 1 << 5,		/* bytes between table and PBA */
	REGISTER = 1 << 6,	/* a known register in the table's BAR */
	BAR_64 = 1 << 7,
	FLR = 1 << 8,
	X2APIC = 1 << 9,
	EXPECTED_NR = 1 << 10,	/* the command line has the number of vectors */
	IMPOSSIBLE = 1 << 11,	/* MSI-X events while MSI-X is disabled */
	END_IN_PAGE = 1 << 12,	/* the table ends before its last page does */
};

struct point {
	const char *name;
	unsigned int needs;
	void (*run)(void);
};

/* Lists end with a point without a name. */
extern const struct point power_on_points[], layout_points[], access_points[],
	pending_points[], mask_points[], message_points[], place_points[],
	reset_points[], reboot_points[];

/* The point fails if @seen is not @want. */
bool expect(const char *what, u64 want, u64 seen);

/* Have the device signal one event of vector @v. */
void raise(u32 v);
/* The point fails if this CPU takes an interrupt. */
void expect_none(const char *what);
/* The point fails unless this CPU takes one interrupt of @v, and no other. */
void expect_one(const char *what, u32 v);
/* Raise events of vector 1, and return the number of interrupts to expect. */
u64 wait_for_others(void);
/*
 * The point fails if vector 0's last event is sent. A dropped event leaves no
 * trace: later events of vector 1 show that the device has dropped the event.
 */
void expect_no_trace(const char *what);
/* Make a masked vector pending. */
void make_pending(u32 v);
/* The point fails if an event of the unmasked vector is not one interrupt. */
void expect_works(u32 v);

/* Establish the state in which a point begins. */
void tidy(void);

/* How many vectors the function should have; 0: unknown. */
extern u32 expected_nr;
/* How long the device's slowest event took, but no more than 10 ms. */
extern u64 slowest_us;

#endif /* CONFORMANCE_POINT_H */
