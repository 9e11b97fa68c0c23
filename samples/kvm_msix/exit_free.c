// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table that is guest memory: the guest's accesses do not even exit to the
 * kernel. For devices that have only table and PBA on the pages.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm_msix.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"
#include "guest.h"
#include "msix.h"

#define TABLE	0xd0000		/* address of the page and of the table */
#define PBA_AT	0x800		/* offset of the PBA on the page */
#define PAGE	4096
#define VECTOR	0x40
#define SKIP	4

/* The kernel notices the unmask of a pending vector some microseconds later. */
static bool takes_soon(struct guest *g)
{
	int ms;

	for (ms = 0; ms < 1000; ms++) {
		if (guest_takes(g, VECTOR))
			return true;
		usleep(1000);
	}
	return false;
}

int main(void)
{
	int node = open("/dev/kvm_msix", O_RDWR | O_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
	struct guest g;
	uint32_t *page;
	int dev;

	if (!(msix_capabilities(node) & KVM_MSIX_CAP_MMAP)) {
		puts("no KVM_MSIX_CAP_MMAP on this machine");
		return SKIP;
	}
	guest_create(&g, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	dev = msix_create_at(node, g.vm, KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA, PBA_AT);
	if (dev < 0)
		err(1, "KVM_MSIX_CREATE");
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
	if (page == MAP_FAILED)
		err(1, "mmap");

	/* The guest has programmed the BAR. Without memory there, the kernel answers. */
	guest_add_memory(&g, 1, TABLE, page, PAGE);
	msix_set_addr(dev, TABLE, TABLE + PBA_AT);
	msix_bind(dev, event);

	guest_store(&g, TABLE, 0xfee00000);
	guest_store(&g, TABLE + 8, VECTOR);
	guest_store(&g, TABLE + 12, 0);
	expect(page[2] == VECTOR, "the VMM sees the guest's entry");
	if (msix_control(dev, MSIX_ENABLE))
		err(1, "KVM_MSIX_CONTROL");
	eventfd_write(event, 1);
	expect(guest_takes(&g, VECTOR), "an interrupt arrives");

	guest_store(&g, TABLE + 12, 1);
	eventfd_write(event, 1);
	expect(!guest_takes(&g, VECTOR), "masked, it does not");
	expect(page[PBA_AT / 4] == 1, "its bit in the PBA is set");
	guest_store(&g, TABLE + 12, 0);
	expect(takes_soon(&g), "unmasked, it arrives soon");

	/* The guest switches the BAR off, or the VMM wants to see accesses. */
	guest_add_memory(&g, 1, TABLE, page, 0);
	guest_store(&g, TABLE + 12, 1);
	expect(page[3] == 1, "without the memory, the kernel answers");

	munmap(page, PAGE);
	close(dev);
	guest_destroy(&g);
	return 0;
}
