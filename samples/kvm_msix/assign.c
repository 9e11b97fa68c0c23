// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: assign [ADDRESS]
 *
 * An assigned device, with the calls in a VMM's order. ADDRESS names a PCI device
 * with MSI-X that vfio-pci has; without ADDRESS, an eventfd plays the device.
 *
 * No vector has a GSI: there is no KVM_IRQFD, and no KVM_SET_GSI_ROUTING. A VMM
 * that looks for a vector's GSI to know whether the device may interrupt has to
 * look for the vector's eventfd instead.
 */
#include <err.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guest.h"
#include "msix.h"
#include "vfio.h"

#define TABLE	0xd0000
#define PBA	0xd0800
#define VECTOR	0x40

static int device = -1;

static void connect_device(int event)
{
	if (device >= 0)
		vfio_connect(device, event);
}

static void raise_interrupt(int event)
{
	if (device >= 0)
		vfio_raise(device);
	else
		eventfd_write(event, 1);
}

int main(int argc, char **argv)
{
	struct guest g;
	int dev, event;

	if (argc > 1)
		device = vfio_open(argv[1]);
	guest_create(&g, open("/dev/kvm", O_RDWR | O_CLOEXEC));

	/* The guest has programmed the BARs: INFO, CREATE, SET_ADDR, BIND. */
	dev = msix_create(g.vm, TABLE, PBA, &event);
	if (dev < 0)
		err(1, "msix_create");

	/* The guest's driver sets up the entry and unmasks it. */
	guest_store(&g, TABLE, 0xfee00000);
	guest_store(&g, TABLE + 8, VECTOR);
	guest_store(&g, TABLE + 12, 0);

	/* The driver sets MSI-X Enable: first give VFIO the eventfd, then CONTROL. */
	connect_device(event);
	if (msix_control(dev, MSIX_ENABLE))
		err(1, "KVM_MSIX_CONTROL");
	raise_interrupt(event);
	expect(guest_takes(&g, VECTOR), "an interrupt arrives");

	guest_store(&g, TABLE + 12, 1);
	raise_interrupt(event);
	expect(!guest_takes(&g, VECTOR), "masked, it does not");
	guest_store(&g, TABLE + 12, 0);
	expect(guest_takes(&g, VECTOR), "unmasked, it arrives after all");

	/* The driver clears MSI-X Enable: first stop messages, then VFIO. */
	msix_control(dev, 0);
	connect_device(-1);
	expect(!guest_takes(&g, VECTOR), "nothing arrives after that");

	close(dev);
	close(event);
	guest_destroy(&g);
	return 0;
}
