// SPDX-License-Identifier: GPL-2.0-only
/*
 * eventfds, which a device signals that may be posted, and KVM's own interrupts, see
 * kvm_msix_util.h.
 */
#include "fakepost.h"
#include "kvm_msix_util.h"

void msix_set_post_events(u32 nr)
{
	FILE *f = fopen("/sys/module/kvm_msix/parameters/post_events", "w");

	TEST_ASSERT(f, "post_events: %s", strerror(errno));
	fprintf(f, "%u\n", nr);
	TEST_ASSERT(!fclose(f), "post_events: %s", strerror(errno));
}

/* /dev/fakepost, if the events must be interrupts of a device, else -1. */
static int posting_device(void)
{
	static int fd = -1;

	if (fd < 0 && getenv("KVM_MSIX_POSTED")) {
		fd = open("/dev/fakepost", O_RDWR | O_CLOEXEC);
		TEST_ASSERT(fd >= 0, "KVM_MSIX_POSTED: /dev/fakepost: %s", strerror(errno));
		msix_set_post_events(1);
	}
	return fd;
}

u64 events_posted(void)
{
	struct fakepost_stats s = {};

	if (posting_device() >= 0)
		TEST_ASSERT(!ioctl(posting_device(), FAKEPOST_STATS, &s), "FAKEPOST_STATS: %s",
			    strerror(errno));
	return s.posted;
}

bool event_is_posted(int fd)
{
	return posting_device() >= 0 &&
	       ioctl(posting_device(), FAKEPOST_IS_POSTED, (long)fd) == 1;
}

int event_create(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	TEST_ASSERT(fd >= 0, "eventfd: %s", strerror(errno));
	if (posting_device() >= 0)
		TEST_ASSERT(!ioctl(posting_device(), FAKEPOST_ATTACH, (long)fd),
			    "FAKEPOST_ATTACH: %s", strerror(errno));
	return fd;
}

void event_signal(int fd)
{
	u64 one = 1;

	/* An eventfd that event_create() did not make is not attached. */
	if (posting_device() >= 0 && !ioctl(posting_device(), FAKEPOST_FIRE, (long)fd))
		return;
	TEST_ASSERT(write(fd, &one, sizeof(one)) == sizeof(one), "eventfd write: %s",
		    strerror(errno));
}

u64 event_drain(int fd)
{
	u64 count = 0;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		TEST_ASSERT(errno == EAGAIN, "eventfd read: %s", strerror(errno));
	return count;
}

int __vm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags)
{
	struct kvm_irqfd args = { .fd = fd, .gsi = gsi, .flags = flags };

	return __msix_ioctl(vm->fd, KVM_IRQFD, &args);
}

void vm_irqfd(struct kvm_vm *vm, int fd, u32 gsi, u32 flags)
{
	MSIX_CHECK(__vm_irqfd(vm, fd, gsi, flags));
}

int __kvm_ioeventfd(struct kvm_vm *vm, int fd, u64 addr, u32 len, u32 flags)
{
	struct kvm_ioeventfd args = { .fd = fd, .addr = addr, .len = len, .flags = flags };

	return __msix_ioctl(vm->fd, KVM_IOEVENTFD, &args);
}

struct kvm_irq_routing_entry msi_route(u32 gsi, u64 addr, u32 data)
{
	struct kvm_irq_routing_entry e = {
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = addr, .address_hi = addr >> 32, .data = data },
	};

	return e;
}

int __kvm_set_gsi_routing(struct kvm_vm *vm, u32 nr,
			  const struct kvm_irq_routing_entry *entries)
{
	struct kvm_irq_routing *table = calloc(1, sizeof(*table) + nr * sizeof(*entries));
	int err;

	TEST_ASSERT(table, "calloc");
	table->nr = nr;
	memcpy(table->entries, entries, nr * sizeof(*entries));
	err = __msix_ioctl(vm->fd, KVM_SET_GSI_ROUTING, table);
	free(table);
	return err;
}

void kvm_irq_pulse(struct kvm_vm *vm, u32 gsi)
{
	kvm_irq_line(vm, gsi, 1);
	kvm_irq_line(vm, gsi, 0);
}
