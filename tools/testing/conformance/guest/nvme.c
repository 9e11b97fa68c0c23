// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's NVMe controller: vector 0 is the admin queue's, and I/O queue v
 * signals by vector v. Each completed command is an event.
 */
#include "msix.h"

#define VS		0x08
#define CC		0x14
#define  CC_ENABLE	(1u | 6u << 16 | 4u << 20)	/* 64 and 16 byte entries */
#define CSTS		0x1c
#define AQA		0x24
#define ASQ		0x28
#define ACQ		0x30
#define DOORBELLS	0x1000

#define QUEUE_LEN	4
#define MAX_QUEUES	65

#define CREATE_SQ	0x01
#define CREATE_CQ	0x05
#define GET_FEATURES	0x0a
#define FLUSH		0x00		/* an I/O command */

struct command {
	u32 opcode;
	u32 nsid;
	u32 reserved[4];
	u64 prp1;
	u64 prp2;
	u32 dword10;
	u32 dword11;
	u32 more[4];
};

struct completion {
	u32 result;
	u32 reserved;
	u16 sq_head;
	u16 sq_id;
	u16 id;
	u16 status;		/* bit 0: phase */
};

/* Each submission queue and each completion queue has a page of its own. */
static struct queue {
	struct command sq[64];
	struct completion cq[256];
} queues[MAX_QUEUES] __attribute__((aligned(4096)));

static struct place {
	u32 tail, head, phase;
} places[MAX_QUEUES];

static u32 nvme_read(u32 reg)
{
	return rd32(bar_addr(0) + reg);
}

static void nvme_write(u32 reg, u32 val)
{
	wr32(bar_addr(0) + reg, val);
}

static bool ready(bool enabled)
{
	u64 end = in_us(long_us());

	while ((nvme_read(CSTS) & 1) != enabled)
		if (after(end))
			return false;
	return true;
}

static void submit(u32 q, const struct command *command)
{
	struct place *p = &places[q];

	queues[q].sq[p->tail] = *command;
	p->tail = (p->tail + 1) % QUEUE_LEN;
	barrier();
	nvme_write(DOORBELLS + q * 8, p->tail);
}

static bool complete(u32 q)
{
	struct place *p = &places[q];
	u64 end = in_us(long_us());

	while ((queues[q].cq[p->head].status & 1) != p->phase) {
		if (after(end))
			return false;
		relax();
	}
	p->head = (p->head + 1) % QUEUE_LEN;
	if (!p->head)
		p->phase = !p->phase;
	nvme_write(DOORBELLS + q * 8 + 4, p->head);
	return true;
}

static bool create(u32 opcode, u32 q, void *memory, u32 dword11)
{
	submit(0, &(struct command) {
		.opcode = opcode,
		.prp1 = (u64)memory,
		.dword10 = (QUEUE_LEN - 1) << 16 | q,
		.dword11 = dword11,
	});
	return complete(0);
}

static bool nvme_start(void)
{
	u32 q;

	/* While MSI-X is disabled, QEMU's model refuses all vectors but 0. */
	set_message_control(MSIX_ENABLE);
	nvme_write(CC, 0);
	if (!ready(false))
		return false;
	for (q = 0; q < MAX_QUEUES; q++) {
		places[q] = (struct place) { .phase = 1 };
		__builtin_memset(&queues[q], 0, sizeof(queues[q]));
	}
	nvme_write(AQA, (QUEUE_LEN - 1) << 16 | (QUEUE_LEN - 1));
	nvme_write(ASQ, (u64)queues[0].sq);
	nvme_write(ASQ + 4, 0);
	nvme_write(ACQ, (u64)queues[0].cq);
	nvme_write(ACQ + 4, 0);
	nvme_write(CC, CC_ENABLE);
	if (!ready(true))
		return false;
	for (q = 1; q < MAX_QUEUES; q++) {
		/* contiguous, with interrupts, by vector q; then, contiguous */
		if (!create(CREATE_CQ, q, queues[q].cq, q << 16 | 2 | 1) ||
		    !create(CREATE_SQ, q, queues[q].sq, q << 16 | 1))
			return false;
	}
	return true;
}

static void nvme_raise(u32 v)
{
	submit(v, &(struct command) {
		.opcode = v ? FLUSH : GET_FEATURES,
		.nsid = v ? 1 : 0,
		.dword10 = v ? 0 : 7,		/* number of queues */
	});
	complete(v);
}

const struct device nvme = {
	.name = "nvme",
	.id = 0x00101b36,
	.start = nvme_start,
	.raise = nvme_raise,
	.reg = VS,
	.reg_mask = 0xffffffff,
	.reg_value = 0x10400,
};
