// SPDX-License-Identifier: GPL-2.0-only
/*
 * All objects of one sequence of the fuzzer: VMs, functions, eventfds.
 */
#include <fcntl.h>

#include "fuzz.h"

static struct fuzz_vm *vm_new(int kind)
{
	struct fuzz_vm *vm = calloc(1, sizeof(*vm));

	TEST_ASSERT(vm, "calloc");
	vm->x2apic_format = kind == 1;
	if (kind < 2) {
		vm->m = msix_vm_create(0, NULL);
		if (vm->x2apic_format)
			vm_enable_cap(vm->m->vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS |
				      KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
		vm_install_exception_handler(vm->m->vm, 0, guest_irq_handler);
		msix_vm_add_cpu(vm->m, 0, fuzz_guest_code);
		msix_vm_add_cpu(vm->m, 1, fuzz_guest_code);
		msix_vm_add_cpu(vm->m, FUZZ_IDLE_CPU, fuzz_guest_code);
		msix_vcpu_run(vm->m, 0);
		msix_vcpu_run(vm->m, 1);
		vm->fd = vm->m->vm->fd;
	} else {
		vm->bare = vm_create_barebones();
		if (kind == 2) {
			vm_create_irqchip(vm->bare);
		} else {
			vm_enable_cap(vm->bare, KVM_CAP_SPLIT_IRQCHIP, 24);
			vm->pins = 24;
		}
		vm->fd = dup(vm->bare->fd);
	}
	fuzz_default_routes(vm);
	return vm;
}

/* Keep the VMs with vCPUs: they take the longest to create. */
static struct fuzz_vm *vm_kept(int kind)
{
	static struct fuzz_vm *kept[2];
	struct kvm_irq_routing_entry e[40];
	u32 gsi, nr = 0;

	if (!kept[kind]) {
		kept[kind] = vm_new(kind);
		return kept[kind];
	}
	memset(e, 0, sizeof(e));
	for (gsi = 0; gsi < 24; gsi++) {
		if (gsi < 16) {
			e[nr].gsi = gsi;
			e[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
			e[nr].u.irqchip.irqchip = gsi / 8;
			e[nr++].u.irqchip.pin = gsi % 8;
		}
		e[nr].gsi = gsi;
		e[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		e[nr].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e[nr++].u.irqchip.pin = gsi;
	}
	TEST_ASSERT_EQ(__kvm_set_gsi_routing(kept[kind]->m->vm, nr, e), 0);
	fuzz_default_routes(kept[kind]);
	return kept[kind];
}

/* New KVM refuses an eventfd of any irqfd, older KVM only of the same VM's irqfds. */
static bool irqfds_are_exclusive(struct world *w)
{
	static int known = -1;
	int fd;

	if (known < 0) {
		fd = event_create();
		vm_irqfd(w->vm[0]->m->vm, fd, 1, 0);
		known = __vm_irqfd(w->vm[1]->bare, fd, 1, 0) == EBUSY;
		vm_irqfd(w->vm[0]->m->vm, fd, 1, KVM_IRQFD_FLAG_DEASSIGN);
		close(fd);
	}
	return known;
}

struct world *fuzz_world_new(int vm_kind, struct rng *r)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fuzz_event *e;
	u32 i;

	TEST_ASSERT(w, "calloc");
	w->node = msix_open();
	w->can_map = msix_can_map();
	fuzz_areas_init(w);
	w->vm[0] = vm_kept(vm_kind);
	w->vm[1] = vm_new(2 + pick(r, 2));
	w->irqfds_are_exclusive = irqfds_are_exclusive(w);
	w->vm[0]->m->mmio_answer = rnd(r);
	for (i = 0; i < 2; i++)
		memcpy(w->vm[0]->irqs[i], w->vm[0]->m->cpu[i]->irqs, sizeof(w->vm[0]->irqs[i]));
	for (i = 0; i < FUZZ_EVENTS; i++) {
		e = &w->event[i];
		e->semaphore = i == FUZZ_EVENTS - 1;
		e->fd = eventfd(0, EFD_NONBLOCK | (e->semaphore ? EFD_SEMAPHORE : 0));
		TEST_ASSERT(e->fd >= 0, "eventfd");
		e->irqfd = -1;
	}
	return w;
}

/* The fd and each mapping hold the function. */
void fuzz_dev_close(struct world *w, u32 i, bool fd_first)
{
	struct fuzz_dev *d = w->dev[i];
	struct fuzz_vec *vec;
	u32 v;

	if (fd_first)
		close(d->fd);
	if (fd_first && fuzz_mapped(w, d) && d->stats_fd >= 0)
		fuzz_stat(d, STAT_EVENTS);
	fuzz_unmap_dev(w, d);
	if (!fd_first)
		close(d->fd);
	if (d->stats_fd >= 0)
		close(d->stats_fd);
	if (d->unmask_event >= 0)
		close(d->unmask_event);
	for (v = 0; v < d->m.nr; v++) {
		vec = &d->vec[v];
		fuzz_forget_events(w, vec);
		if (vec->gsi < 0)
			continue;
		d->vm->owner[vec->gsi] = NULL;
		if (vec->gsi < d->vm->nr_routes)
			d->vm->route[vec->gsi].kind = ROUTE_NONE;
	}
	free(d->rest);
	free(d);
	w->dev[i] = NULL;
}

void fuzz_world_free(struct world *w)
{
	struct fuzz_bell *bell;
	u32 i;

	for (i = 0; i < FUZZ_DEVS; i++)
		if (w->dev[i])
			fuzz_dev_close(w, i, i & 1);
	for (i = 0; i < FUZZ_SLOTS; i++)
		fuzz_set_slot(w, w->vm[0], i, NULL);
	for (i = 0; i < FUZZ_BELLS; i++) {
		bell = &w->vm[0]->bell[i];
		if (bell->event)
			__kvm_ioeventfd(w->vm[0]->m->vm, bell->event->fd, bell->gpa, bell->len,
					KVM_IOEVENTFD_FLAG_DEASSIGN);
		bell->event = NULL;
	}
	for (i = 0; i < FUZZ_EVENTS; i++) {
		if (w->event[i].irqfd >= 0)
			vm_irqfd(w->vm[0]->m->vm, w->event[i].fd, w->event[i].irqfd,
				 KVM_IRQFD_FLAG_DEASSIGN);
		close(w->event[i].fd);
	}
	if (w->vm[1]->fd >= 0)
		close(w->vm[1]->fd);
	if (w->vm[1]->bare)
		kvm_vm_free(w->vm[1]->bare);
	free(w->vm[1]);
	close(w->node);
	free(w);
	EXPECT_SAME("functions left in debugfs", 0, debugfs_entries("kvm_msix", getpid()));
}

/* A new function's number is a number in debugfs that no other function has. */
void fuzz_dev_find_stats(struct fuzz_dev *d, struct world *w)
{
	char path[64];
	u32 i;

	d->stats_fd = -1;
	for (d->id = 0; d->id < 256; d->id++) {
		for (i = 0; i < FUZZ_DEVS; i++)
			if (w->dev[i] && w->dev[i] != d && w->dev[i]->id == d->id)
				break;
		if (i < FUZZ_DEVS)
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/debug/kvm_msix/%i-%i/stats", getpid(),
			 d->id);
		d->stats_fd = open(path, O_RDONLY);
		if (d->stats_fd >= 0)
			return;
	}
	if (kvm_msix_has_counters())
		fuzz_fail("a new function is not in debugfs");
}
