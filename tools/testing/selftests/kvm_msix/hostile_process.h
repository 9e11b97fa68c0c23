/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A function that works, for hostile_process_test and hostile_eventfd_test:
 * whatever was tried, in the end an event must be an interrupt, and the counters
 * must add up (still_good()).
 *
 * A test includes kselftest_harness.h first.
 */
#ifndef SELFTEST_KVM_MSIX_HOSTILE_PROCESS_H
#define SELFTEST_KVM_MSIX_HOSTILE_PROCESS_H

#include "kvm_msix_util.h"
#include "hostile.h"

#define NR	4
#define VEC	0x60
#define PBA	(BAR_GPA + 0x800)

struct victim {
	struct msix_vm *m;
	struct msix_dev d;
	int event;
	int log;
};

FIXTURE(process) {
	struct victim v;
};

static inline void entry_ready(struct victim *v, u32 i)
{
	entry_program(v->m, &v->d, i, MSI_ADDR(0), VEC + i);
	entry_unmask(v->m, &v->d, i);
}

FIXTURE_SETUP(process)
{
	struct victim *v = &self->v;

	v->log = log_open();
	v->m = msix_vm_create(1, NULL);
	v->d = msix_create(v->m->vm, NR, 0);
	v->event = event_create();
	msix_set_addr(&v->d, BAR_GPA, PBA);
	msix_bind_one(&v->d, 0, v->event, -1);
	msix_control(&v->d, ENABLE);
	entry_ready(v, 0);
	log_mark(v->log);
}

/* Check that vector 0 works, masked and unmasked, and that no event is lost. */
static inline const char *still_good(struct victim *v)
{
	u64 before = msix_irqs(v->m, 0, VEC, 0);

	event_signal(v->event);
	if (msix_irqs(v->m, 0, VEC, before + 1) != before + 1)
		return "an event is no interrupt";
	entry_mask(v->m, &v->d, 0);
	event_signal(v->event);
	event_signal(v->event);
	if (!pba_read(v->m, &v->d, 0) || msix_irqs(v->m, 0, VEC, 0) != before + 1)
		return "an event is not latched";
	entry_unmask(v->m, &v->d, 0);
	if (msix_irqs(v->m, 0, VEC, before + 2) != before + 2)
		return "a pending message is not sent";
	if (v->m->nr_exits)
		return "an access has gone to the VMM";
	if (kvm_msix_lost_events())
		return "the books are wrong";
	if (log_lines(v->log))
		return "it has printed";
	return NULL;
}

FIXTURE_TEARDOWN(process)
{
	EXPECT_RIGHT(still_good(&self->v), "afterwards");
	close(self->v.d.fd);
	close(self->v.event);
	close(self->v.log);
	msix_vm_free(self->v.m);
}

#endif /* SELFTEST_KVM_MSIX_HOSTILE_PROCESS_H */
