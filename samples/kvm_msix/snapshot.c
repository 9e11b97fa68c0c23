// SPDX-License-Identifier: GPL-2.0-only
/*
 * Save a function and restore the function in another VM, while the vector is masked
 * and has an event pending, and while another event comes in between.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_msix.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "calls.h"
#include "guest.h"
#include "msix.h"

#define TABLE	0xd0000
#define PBA	0xd0800
#define VECTOR	0x40

/* The state that migrates. Bindings and addresses belong to the VMM, and stay. */
struct snapshot {
	uint32_t control;
	uint32_t table[4];
	uint64_t pba;
	struct kvm_lapic_state lapic;
};

static void do_state(int dev, unsigned long request, struct snapshot *s)
{
	struct kvm_msix_state state = {
		.size = sizeof(state),
		.nr_vectors = 1,
		.control = s->control,
		.table = (uintptr_t)s->table,
		.pba = (uintptr_t)&s->pba,
	};

	if (ioctl(dev, request, &state))
		err(1, "KVM_MSIX_GET_STATE or KVM_MSIX_SET_STATE");
	s->control = state.control;
}

/* The vCPUs and the device have been stopped. */
static void save(struct guest *g, int dev, struct snapshot *s)
{
	do_state(dev, KVM_MSIX_GET_STATE, s);
	/* After GET_STATE: until then, messages are sent to the local APICs. */
	guest_get_lapic(g, &s->lapic);
	/* A signal from here on stays in the eventfd. */
	msix_bind(dev, -1);
}

static int restore(struct guest *g, int node, struct snapshot *s, int event)
{
	int dev = msix_create_at(node, g->vm, 0, 0);

	if (dev < 0)
		err(1, "KVM_MSIX_CREATE");
	/* Before SET_STATE, which sends pending events of vectors that may send. */
	guest_set_lapic(g, &s->lapic);
	do_state(dev, KVM_MSIX_SET_STATE, s);
	msix_set_addr(dev, TABLE, PBA);
	msix_bind(dev, event);
	return dev;
}

int main(void)
{
	int node = open("/dev/kvm_msix", O_RDWR | O_CLOEXEC);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct snapshot s = { 0 };
	struct guest from, to;
	int event, dev;

	guest_create(&from, kvm);
	dev = msix_create(from.vm, TABLE, PBA, &event);
	if (dev < 0 || msix_control(dev, MSIX_ENABLE))
		err(1, "msix_create");
	guest_store(&from, TABLE, 0xfee00000);
	guest_store(&from, TABLE + 8, VECTOR);
	eventfd_write(event, 1);

	save(&from, dev, &s);
	expect(s.pba == 1 && s.table[2] == VECTOR && s.control == MSIX_ENABLE,
	       "the state has the entry, the pending bit and MSI-X Enable");
	close(dev);
	guest_destroy(&from);
	eventfd_write(event, 1);

	guest_create(&to, kvm);
	dev = restore(&to, node, &s, event);
	expect(!guest_takes(&to, VECTOR), "nothing arrives while it is masked");
	guest_store(&to, TABLE + 12, 0);
	expect(guest_takes(&to, VECTOR), "unmasked, one interrupt arrives");
	guest_store(&to, TABLE + 12, 1);
	guest_store(&to, TABLE + 12, 0);
	expect(!guest_takes(&to, VECTOR), "and not another one");
	eventfd_write(event, 1);
	expect(guest_takes(&to, VECTOR), "later ones arrive as before");

	close(dev);
	close(event);
	guest_destroy(&to);
	return 0;
}
