// SPDX-License-Identifier: GPL-2.0-only
/*
 * The comparison of all that can be seen of the world with its model: states,
 * counters, interrupts, exits, eventfds.
 */
#include <poll.h>

#include "fuzz.h"

const char *const fuzz_stat_names[NR_STATS] = {
	"reads", "writes", "rejected", "mask_changes", "events", "latched", "coalesced", "released",
	"delivered", "dropped", "protected", "faults", "told",
};

static void read_stats(const struct fuzz_dev *d, u64 *seen)
{
	char text[1024], name[32], *at;
	ssize_t len;
	u32 i;

	text[0] = '\n';
	len = pread(d->stats_fd, text + 1, sizeof(text) - 2, 0);
	if (len <= 0)
		fuzz_fail("counters: %s", strerror(errno));
	text[1 + len] = 0;
	for (i = 0; i < NR_STATS; i++) {
		snprintf(name, sizeof(name), "\n%s ", fuzz_stat_names[i]);
		at = strstr(text, name);
		if (!at)
			fuzz_fail("counters: no %s in \"%s\"", fuzz_stat_names[i], text);
		seen[i] = strtoull(at + strlen(name), NULL, 10);
	}
}

u64 fuzz_stat(const struct fuzz_dev *d, enum fuzz_stat stat)
{
	u64 seen[NR_STATS];

	read_stats(d, seen);
	return seen[stat];
}

/*
 * The model does not know which of the unsure messages KVM refused in the
 * event's context and left to a work. A vector with a refused message was pending
 * until GET_STATE sent the message: the event counts as latched, the message as
 * released. A further event meanwhile has coalesced with the pending event, or, if
 * no event was latched anew, with a message that waits for the work.
 */
static void expect_deferred(struct fuzz_dev *d, const u64 *seen)
{
	u64 deferred = seen[STAT_LATCHED] - d->stat[STAT_LATCHED];
	u64 merged = seen[STAT_COALESCED] - d->stat[STAT_COALESCED];

	if (!d->unsure || deferred > seen[STAT_EVENTS] ||
	    merged > d->stat[STAT_DELIVERED] + d->unsure)
		return;
	d->stat[STAT_LATCHED] += deferred;
	d->stat[STAT_RELEASED] += deferred;
	d->stat[STAT_COALESCED] += merged;
	if (merged > d->unsure) {
		d->stat[STAT_DELIVERED] -= merged - d->unsure;
		d->unsure = 0;
	} else {
		d->unsure -= merged;
	}
}

static void compare_stats(struct fuzz_dev *d)
{
	u64 seen[NR_STATS];
	u32 i;

	if (d->stats_fd < 0)
		return;
	read_stats(d, seen);
	expect_deferred(d, seen);
	for (i = 0; i < STAT_DELIVERED; i++)
		EXPECT_SAME(fuzz_stat_names[i], d->stat[i], seen[i]);
	EXPECT_SAME("delivered and dropped",
		    d->stat[STAT_DELIVERED] + d->stat[STAT_DROPPED] + d->unsure,
		    seen[STAT_DELIVERED] + seen[STAT_DROPPED]);
	if (seen[STAT_DELIVERED] < d->stat[STAT_DELIVERED])
		EXPECT_SAME("delivered", d->stat[STAT_DELIVERED], seen[STAT_DELIVERED]);
	if (seen[STAT_DROPPED] < d->stat[STAT_DROPPED])
		EXPECT_SAME("dropped", d->stat[STAT_DROPPED], seen[STAT_DROPPED]);
	/* Only functions that can be mapped are watched: fuzz_op_rest(). */
	for (i = STAT_PROTECTED; i < NR_STATS && !d->pages; i++)
		EXPECT_SAME(fuzz_stat_names[i], 0, seen[i]);
	/* The counters now tell what became of the unsure messages. */
	d->stat[STAT_DELIVERED] = seen[STAT_DELIVERED];
	d->stat[STAT_DROPPED] = seen[STAT_DROPPED];
	d->unsure = 0;
}

/* GET_STATE must write all of both arrays and no byte beside the arrays. */
static void compare_state(struct fuzz_dev *d)
{
	static u8 table[16 + MODEL_MAX_VECTORS * 16 + 16], pba[16 + MODEL_MAX_VECTORS / 8 + 16];
	u32 table_bytes = model_table_bytes(&d->m), pba_bytes = model_pba_bytes(&d->m), v, i;
	struct kvm_msix_state state = {
		.size = sizeof(state),
		.nr_vectors = d->m.nr,
		.control = 0x5a5a5a5a,
		.table = (uintptr_t)table + 16,
		.pba = (uintptr_t)pba + 16,
	};
	static u8 guard;
	u64 word;

	guard += 0x35;
	memset(table, guard, 32 + table_bytes);
	memset(pba, guard, 32 + pba_bytes);
	EXPECT_SAME("GET_STATE", 0, __msix_ioctl(d->fd, KVM_MSIX_GET_STATE, &state));
	EXPECT_SAME("Message Control", d->m.enabled * 0x8000 + d->m.function_masked * 0x4000,
		    state.control);
	for (i = 0; i < 16; i++) {
		EXPECT_SAME("byte before the table", guard, table[i]);
		EXPECT_SAME("byte behind the table", guard, table[16 + table_bytes + i]);
		EXPECT_SAME("byte before the PBA", guard, pba[i]);
		EXPECT_SAME("byte behind the PBA", guard, pba[16 + pba_bytes + i]);
	}
	for (v = 0; v < d->m.nr; v++) {
		if (!memcmp(table + 16 + v * 16, d->m.vector[v].byte, 16))
			continue;
		fuzz_log("in the state of device %i: vector %u", d->id, v);
		for (i = 0; i < 16; i += 8) {
			memcpy(&word, table + 16 + v * 16 + i, 8);
			EXPECT_SAME("entry", model_read(&d->m, v * 16 + i, 8), word);
		}
	}
	for (i = 0; i < pba_bytes; i += 8) {
		memcpy(&word, pba + 16 + i, 8);
		EXPECT_SAME("pending bits", model_pba_read(&d->m, i, 8), word);
	}
}

static void compare_irqs(struct world *w)
{
	struct fuzz_vm *vm = w->vm[0];
	struct msix_vm *m = vm->m;
	u32 saved = m->current_cpu, cpu, i, tries;
	u64 got;
	bool all;

	for (cpu = 0; cpu < 2; cpu++) {
		m->current_cpu = cpu;
		for (tries = 0; tries < 100; tries++) {
			guest_nop(m);
			all = true;
			for (i = 0x20; i < 256; i++)
				all &= !w->sent[cpu][i] || m->cpu[cpu]->irqs[i] > vm->irqs[cpu][i];
			if (all)
				break;
		}
		if (w->unsure)
			guest_nop(m);
		for (i = 0; i < 256 && !w->unsure; i++) {
			got = m->cpu[cpu]->irqs[i] - vm->irqs[cpu][i];
			/* Messages while the vCPU does not run are one interrupt. */
			if (!!got == !!w->sent[cpu][i] &&
			    (got <= 1 || (w->by_guest && got <= w->sent[cpu][i])))
				continue;
			fuzz_fail("interrupt %#x on vCPU %u: %u messages, %llu interrupts", i, cpu,
				  w->sent[cpu][i], (unsigned long long)got);
		}
		memcpy(vm->irqs[cpu], m->cpu[cpu]->irqs, sizeof(vm->irqs[cpu]));
	}
	m->current_cpu = saved;
}

static void compare_exits(struct world *w)
{
	struct msix_vm *m = w->vm[0]->m;
	u32 i;

	for (i = 0; i < w->nr_exits && i < m->nr_exits; i++) {
		fuzz_log("    exit: %s %u at %#llx: %#llx", w->exit[i].is_write ? "write" : "read",
			 w->exit[i].len, (unsigned long long)w->exit[i].addr,
			 (unsigned long long)w->exit[i].data);
		EXPECT_SAME("address of an MMIO exit", w->exit[i].addr, m->exit[i].addr);
		EXPECT_SAME("length of an MMIO exit", w->exit[i].len, m->exit[i].len);
		EXPECT_SAME("MMIO exit is a write", w->exit[i].is_write, m->exit[i].is_write);
		EXPECT_SAME("value of an MMIO exit", w->exit[i].data, m->exit[i].data);
	}
	EXPECT_SAME("MMIO exits", w->nr_exits, m->nr_exits);
}

static void compare_events(struct world *w)
{
	struct pollfd fds[FUZZ_EVENTS];
	u32 i;

	for (i = 0; i < FUZZ_EVENTS; i++)
		fds[i] = (struct pollfd) { .fd = w->event[i].fd, .events = POLLIN };
	TEST_ASSERT(poll(fds, FUZZ_EVENTS, 0) >= 0, "poll");
	for (i = 0; i < FUZZ_EVENTS; i++)
		EXPECT_SAME("eventfd is readable", !!w->event[i].count,
			    !!(fds[i].revents & POLLIN));
}

/*
 * If an irqfd cannot inject at once, a work of KVM looks at the routes again and
 * injects. Deassigning the irqfd waits for the work.
 */
static void flush_irqfd(struct world *w)
{
	struct fuzz_event *e = w->flush;

	w->flush = NULL;
	if (!e || e->irqfd < 0)
		return;
	vm_irqfd(w->vm[0]->m->vm, e->fd, e->irqfd, KVM_IRQFD_FLAG_DEASSIGN);
	vm_irqfd(w->vm[0]->m->vm, e->fd, e->irqfd, 0);
}

void fuzz_compare(struct world *w)
{
	u32 i;

	fuzz_settle(w);
	flush_irqfd(w);
	compare_exits(w);
	/*
	 * Compare the states first: GET_STATE sends messages that await the work.
	 * The counters then include these messages, and the guest takes the interrupts.
	 */
	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[i])
			compare_state(w->dev[i]);
	compare_irqs(w);
	compare_events(w);
	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[i])
			compare_stats(w->dev[i]);
	fuzz_compare_areas(w);
	memset(w->sent, 0, sizeof(w->sent));
	w->unsure = false;
	w->by_guest = false;
	w->nr_exits = 0;
	msix_vm_forget_exits(w->vm[0]->m);
}
