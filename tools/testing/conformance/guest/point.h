/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A point is one thing that a guest can see, told as one line of TAP. Each
 * begins with MSI-X enabled and its first vectors masked, their messages their
 * own, nothing pending and no interrupt taken.
 *
 * Names begin with a number: before the dot is the subject, as in the comment on
 * top of each file. They end in "(choice)" where the specification leaves open
 * what happens.
 */
#ifndef CONFORMANCE_POINT_H
#define CONFORMANCE_POINT_H

#include "msix.h"

/* What a point needs; the first that is missing is why it is skipped. */
enum need {
	EVENTS = 1 << 0,	/* the device can be made to signal */
	TWO_VECTORS = 1 << 1,
	THREE_VECTORS = 1 << 2,
	IO_EVENTS = 1 << 3,	/* also with memory decode off */
	ODD_NR = 1 << 4,	/* the number of vectors is no multiple of 64 */
	GAP = 1 << 5,		/* bytes between table and PBA */
	REGISTER = 1 << 6,	/* a known register in the table's BAR */
	BAR_64 = 1 << 7,
	FLR = 1 << 8,
	X2APIC = 1 << 9,
	EXPECTED_NR = 1 << 10,	/* told how many vectors there should be */
	IMPOSSIBLE = 1 << 11,	/* MSI-X events while MSI-X is disabled */
	END_IN_PAGE = 1 << 12,	/* the table does not end where its page does */
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

/* It is @seen, and should be @want; the point fails if that differs. */
bool expect(const char *what, u64 want, u64 seen);

/* One event, and nothing else. */
void raise(u32 v);
/* Nothing is sent to this CPU; one message is, of that vector. */
void expect_none(const char *what);
void expect_one(const char *what, u32 v);
/* Later events of vector 1, whose interrupts are counted. */
u64 wait_for_others(void);
/*
 * Vector 0's last event sends nothing and leaves no trace, so that only others
 * that came later can say that it is over.
 */
void expect_no_trace(const char *what);
/* The vector is masked: make it pending. */
void make_pending(u32 v);
/* An event is sent as it should be. */
void expect_works(u32 v);

/* The state in which a point begins, whatever was before. */
void tidy(void);

/* How many vectors the machine is said to have; 0: unknown. */
extern u32 expected_nr;
/* The slowest of the device's events, but no more than 10 ms. */
extern u64 slowest_us;

#endif /* CONFORMANCE_POINT_H */
