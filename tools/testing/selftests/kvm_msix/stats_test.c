// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MSIX_GET_STATS_FD: check the format, as kvm_binary_stats_test checks the format
 * of KVM's statistics, and the values, after known events.
 */
#include <grp.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"

#define NR	3
#define VEC(v)	(0x40 + (v))
#define NOBODY	65534

FIXTURE(stats) {
	struct msix_vm *m;
	struct msix_dev d;
	int event[NR];
	int fd;
};

/* All vectors enabled, bound, masked; entry v sends VEC(v) to vCPU 0. */
FIXTURE_SETUP(stats)
{
	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, NR, 0);
	self->fd = msix_stats_fd(&self->d);
	msix_start(self->m, &self->d, VEC(0), self->event);
}

FIXTURE_TEARDOWN(stats)
{
	close(self->fd);
	close(self->d.fd);
	msix_vm_free(self->m);
}

/* A statistic of vector 1, which the tests use. */
#define EXPECT_STAT(name, want)	EXPECT_EQ(want, msix_stat(self->fd, name, 1))

/* Check a descriptor, as KVM's test does; returns the end of the descriptor's data. */
static size_t check_desc(const struct kvm_stats_desc *desc, u32 name_size)
{
	u32 type = desc->flags & KVM_STATS_TYPE_MASK, unit = desc->flags & KVM_STATS_UNIT_MASK;

	TEST_ASSERT(desc->name[0] && strnlen(desc->name, name_size) < name_size, "name");
	TEST_ASSERT(type <= KVM_STATS_TYPE_MAX, "%s: type %u", desc->name, type);
	TEST_ASSERT(unit <= KVM_STATS_UNIT_MAX, "%s: unit %u", desc->name, unit);
	TEST_ASSERT((desc->flags & KVM_STATS_BASE_MASK) <= KVM_STATS_BASE_MAX, "%s: base",
		    desc->name);
	TEST_ASSERT(!(desc->flags & ~(KVM_STATS_TYPE_MASK | KVM_STATS_UNIT_MASK |
				      KVM_STATS_BASE_MASK)), "%s: flags", desc->name);
	switch (unit) {
	case KVM_STATS_UNIT_SECONDS:
		TEST_ASSERT(desc->exponent <= 0, "%s: exponent %i", desc->name, desc->exponent);
		break;
	case KVM_STATS_UNIT_BOOLEAN:
		TEST_ASSERT(!desc->exponent, "%s: exponent %i", desc->name, desc->exponent);
		break;
	default:
		TEST_ASSERT(desc->exponent >= 0, "%s: exponent %i", desc->name, desc->exponent);
	}
	TEST_ASSERT(desc->size, "%s: size", desc->name);
	TEST_ASSERT(type == KVM_STATS_TYPE_LINEAR_HIST ? desc->bucket_size : !desc->bucket_size,
		    "%s: bucket size", desc->name);
	return desc->offset + desc->size * sizeof(u64);
}

/* Parse all of a stats fd; returns its size in bytes. */
static size_t parse(int fd, u32 nr_vectors)
{
	struct kvm_stats_desc *descs, *desc, *other;
	struct kvm_stats_header header;
	size_t size_desc, size = 0, i, j, end;
	u64 *data;
	char *id;

	read_stats_header(fd, &header);
	size_desc = get_stats_descriptor_size(&header);
	TEST_ASSERT(!header.flags, "flags %#x", header.flags);

	id = malloc(header.name_size);
	TEST_ASSERT(pread(fd, id, header.name_size, header.id_offset) == header.name_size, "id");
	TEST_ASSERT(!strncmp(id, "kvm_msix-", 9) && strnlen(id, header.name_size) <
		    header.name_size, "id: %.*s", header.name_size, id);
	free(id);

	TEST_ASSERT(header.num_desc, "nothing in it");
	TEST_ASSERT(header.desc_offset >= sizeof(header) && header.data_offset >= sizeof(header),
		    "offsets");
	TEST_ASSERT(header.desc_offset > header.data_offset ||
		    header.desc_offset + size_desc * header.num_desc <= header.data_offset,
		    "the descriptors overlap the data");

	descs = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		end = check_desc(desc, header.name_size);
		size = max(size, end);
		TEST_ASSERT(desc->size == 1 || desc->size == nr_vectors, "%s has %u values",
			    desc->name, desc->size);
		for (j = 0; j < i; j++) {
			other = get_stats_descriptor(descs, j, &header);
			TEST_ASSERT(strcmp(desc->name, other->name), "%s twice", desc->name);
			TEST_ASSERT(desc->offset >= other->offset + other->size * sizeof(u64) ||
				    other->offset >= end, "%s overlaps %s", desc->name,
				    other->name);
		}
	}
	TEST_ASSERT(header.data_offset >= header.desc_offset ||
		    header.data_offset + size <= header.desc_offset,
		    "the data overlap the descriptors");
	TEST_ASSERT(size >= header.num_desc * sizeof(*data), "size");

	data = malloc(size);
	TEST_ASSERT(pread(fd, data, size, header.data_offset) == size, "the data at once");
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		read_stat_data(fd, &header, desc, data, desc->size);
	}
	free(data);
	free(descs);
	return header.data_offset + size;
}

TEST_F(stats, format)
{
	static const u32 counts[] = { 1, NR, 65, 2048 };
	struct msix_dev d;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		d = msix_create(self->m->vm, counts[i], 0);
		fd = msix_stats_fd(&d);
		parse(dup(fd), counts[i]);
		parse(fd, counts[i]);
		close(fd);
		close(d.fd);
	}
}

/* Reads of any size give the same bytes; a write fails. */
TEST_F(stats, reads)
{
	size_t size = parse(self->fd, NR), i, step;
	u8 *whole = malloc(size + 8), *parts = malloc(size + 8);
	void *nowhere = mmap(NULL, getpagesize(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, nowhere);
	ASSERT_EQ(size, pread(self->fd, whole, size + 8, 0));
	for (step = 1; step < 40; step += 6) {
		memset(parts, 0xff, size);
		for (i = 0; i < size; i += step)
			ASSERT_EQ(min(step, size - i), pread(self->fd, parts + i, step, i));
		EXPECT_EQ(0, memcmp(whole, parts, size));
	}
	memset(parts, 0xff, size);
	for (i = 0; i < size; i += 100)
		ASSERT_EQ(min(size - i, 100ul), read(self->fd, parts + i, 100));
	EXPECT_EQ(0, memcmp(whole, parts, size));
	EXPECT_EQ(0, read(self->fd, parts, 8));
	EXPECT_EQ(0, pread(self->fd, parts, 8, size));
	EXPECT_EQ(0, pread(self->fd, parts, 8, INT64_MAX - 8));
	EXPECT_EQ(0, pread(self->fd, parts, 0, 0));
	EXPECT_EQ(-1, pread(self->fd, parts, 8, -1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pread(self->fd, nowhere, 8, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(self->fd, nowhere, 8, size - 8));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, write(self->fd, parts, 8));
	EXPECT_EQ(EBADF, errno);
	munmap(nowhere, getpagesize());
	free(parts);
	free(whole);
}

TEST_F(stats, events)
{
	entry_unmask(self->m, &self->d, 1);
	EXPECT_STAT("event_age", 0);
	/* The first message is still in the APIC: both messages are one interrupt. */
	event_signal(self->event[1]);
	event_signal(self->event[1]);
	EXPECT_STAT("events", 2);
	EXPECT_STAT("delivered", 2);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	event_signal(self->event[1]);
	EXPECT_EQ(2, msix_irqs(self->m, 0, VEC(1), 2));
	EXPECT_STAT("events", 3);
	EXPECT_STAT("delivered", 3);
	EXPECT_STAT("latched", 0);
	EXPECT_STAT("dropped", 0);

	usleep(200 * 1000);
	EXPECT_LE(190, msix_stat(self->fd, "event_age", 1));
	event_signal(self->event[1]);
	EXPECT_GT(190, msix_stat(self->fd, "event_age", 1));

	/* Vectors 0 and 2 have had no event. */
	EXPECT_EQ(0, msix_stat(self->fd, "events", 0));
	EXPECT_EQ(0, msix_stat(self->fd, "events", 2));
	EXPECT_EQ(0, msix_stat(self->fd, "event_age", 2));
	EXPECT_EQ(0, msix_stat(self->fd, "delivered", 0));
}

TEST_F(stats, masked)
{
	u64 changes = msix_stat(self->fd, "mask_changes", 1);

	event_signal(self->event[1]);
	event_signal(self->event[1]);
	event_signal(self->event[1]);
	EXPECT_STAT("latched", 1);
	EXPECT_STAT("coalesced", 2);
	EXPECT_STAT("delivered", 0);
	EXPECT_STAT("released", 0);
	EXPECT_STAT("pending", 1);
	EXPECT_EQ(0, msix_stat(self->fd, "pending", 0));
	EXPECT_EQ(0, msix_stat(self->fd, "pending_age", 0));
	usleep(200 * 1000);
	/* The age is that of the first pending event. */
	event_signal(self->event[1]);
	EXPECT_LE(190, msix_stat(self->fd, "pending_age", 1));
	EXPECT_GT(190, msix_stat(self->fd, "event_age", 1));

	entry_unmask(self->m, &self->d, 1);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	EXPECT_STAT("released", 1);
	EXPECT_STAT("delivered", 1);
	EXPECT_STAT("coalesced", 3);
	EXPECT_STAT("pending", 0);
	EXPECT_STAT("pending_age", 0);
	EXPECT_STAT("mask_changes", msix_mapped() ? changes : changes + 1);
}

/* The age of a pending bit set by SET_STATE counts from SET_STATE. */
TEST_F(stats, restored)
{
	struct msix_state *s = msix_get_state(self->d.fd, NR);

	usleep(200 * 1000);
	s->pba[0] = 1 << 1;
	ASSERT_EQ(0, __msix_set_state(self->d.fd, s));
	msix_state_free(s);
	EXPECT_STAT("pending", 1);
	EXPECT_STAT("latched", 0);
	EXPECT_GT(190, msix_stat(self->fd, "pending_age", 1));
	entry_unmask(self->m, &self->d, 1);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	EXPECT_STAT("released", 1);
	EXPECT_STAT("delivered", 1);
}

TEST_F(stats, dropped)
{
	static const struct {
		u64 addr;
		u32 data;
		const char *why;
	} bad[] = {
		/* The entry as after power-on, when the vector has no message yet. */
		{ 0, 0, "dropped_address" },
		{ 0xfed00000, VEC(1), "dropped_address" },
		{ MSI_ADDR(0) | 1ull << 32, VEC(1), "dropped_address" },
		{ MSI_ADDR(0), MSI_MODE(3) | VEC(1), "dropped_mode" },
		{ MSI_ADDR(200), VEC(1), "dropped_destination" },
		{ MSI_ADDR(8) | MSI_LOGICAL, VEC(1), "dropped_destination" },
		/* A mode for which KVM has to visit each vCPU. */
		{ MSI_ADDR(200), MSI_MODE(1) | VEC(1), "dropped_destination" },
	};
	u64 before;
	int i;

	entry_unmask(self->m, &self->d, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		entry_program(self->m, &self->d, 1, bad[i].addr, bad[i].data);
		before = msix_stat(self->fd, bad[i].why, 1);
		event_signal(self->event[1]);
		EXPECT_STAT(bad[i].why, before + 1) {
			TH_LOG("%s", bad[i].why);
		}
		EXPECT_STAT("dropped", i + 1);
	}
	EXPECT_STAT("dropped_address", 3);
	EXPECT_STAT("events", ARRAY_SIZE(bad));
	EXPECT_STAT("delivered", 0);
	EXPECT_EQ(0, msix_irqs(self->m, 0, VEC(1), 0));
}

/* A message for which KVM has to visit each vCPU is sent later, and counts once. */
TEST_F(stats, deferred)
{
	entry_unmask(self->m, &self->d, 1);
	entry_write(self->m, &self->d, 1, ENTRY_ADDR_LO, MSI_ADDR(0xff));
	event_signal(self->event[1]);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	EXPECT_STAT("events", 1);
	EXPECT_STAT("latched", msix_stat(self->fd, "released", 1));
	EXPECT_STAT("delivered", 1);
}

TEST_F(stats, accesses)
{
	u64 reads = msix_stat(self->fd, "reads", 0), writes = msix_stat(self->fd, "writes", 0);

	if (msix_mapped())
		SKIP(return, "accesses to memory are not counted");
	entry_read(self->m, &self->d, 0, ENTRY_CTRL);
	entry_mask(self->m, &self->d, 0);
	entry_mask(self->m, &self->d, 0);
	guest_read(self->m, self->d.table + 2, 4);
	EXPECT_EQ(reads + 1, msix_stat(self->fd, "reads", 0));
	EXPECT_EQ(writes + 2, msix_stat(self->fd, "writes", 0));
	EXPECT_EQ(1, msix_stat(self->fd, "rejected", 0));
}

/* Closing the device fd ends the function; a stats fd can be read but keeps none alive. */
TEST_F(stats, outlives)
{
	entry_unmask(self->m, &self->d, 1);
	event_signal(self->event[1]);
	EXPECT_EQ(1, msix_irqs(self->m, 0, VEC(1), 1));
	close(self->d.fd);
	event_signal(self->event[1]);
	EXPECT_EQ(1, event_drain(self->event[1]));
	if (kvm_msix_has_counters())
		EXPECT_EQ(0, debugfs_entries("kvm_msix", getpid()));
	parse(self->fd, NR);
	EXPECT_STAT("events", 1);
	EXPECT_STAT("pending", 0);

	msix_vm_free(self->m);
	parse(self->fd, NR);
	EXPECT_STAT("delivered", 1);

	self->m = msix_vm_create(1, NULL);
	self->d = msix_create(self->m->vm, NR, 0);
}

/* Any process may read a stats fd; only the VM's process may use the device fd. */
TEST_F(stats, other_process)
{
	int status, fd;
	pid_t pid;

	event_signal(self->event[1]);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(msix_stat(self->fd, "latched", 1) != 1 ||
		      __msix_stats_fd(self->d.fd, &fd) != EIO);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* An unprivileged VMM that has been given open fds of /dev/kvm and /dev/kvm_msix. */
TEST_F(stats, unprivileged)
{
	int status, kvm = open_kvm_dev_path_or_exit(), dev = msix_open(), vm, fd, stats_fd, event;
	struct kvm_msix_binding binding = { .gsi = -1 };
	struct kvm_msix_create create = { .size = sizeof(create), .nr_vectors = 1 };
	pid_t pid;

	if (getuid())
		SKIP(return, "needs root, to give it up");
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY) || !access("/sys/kernel/debug/.", R_OK))
			_exit(1);
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
		if (vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0))
			_exit(2);
		create.vm_fd = vm;
		fd = ioctl(dev, KVM_MSIX_CREATE, &create);
		event = eventfd(0, 0);
		binding.eventfd = event;
		if (fd < 0 || __msix_bind(fd, 0, 1, &binding) || __msix_stats_fd(fd, &stats_fd))
			_exit(3);
		if (eventfd_write(event, 1) || msix_stat(stats_fd, "latched", 0) != 1)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(dev);
	close(kvm);
}

KVM_MSIX_TEST_MAIN
