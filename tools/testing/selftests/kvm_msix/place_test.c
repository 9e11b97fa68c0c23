// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MSIX_LOCATE: what it refuses, and that a refusal changes nothing. How a
 * guest sees the table move is locate_test's.
 */
#include <sys/resource.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "witness.h"

FIXTURE(place) {
	struct witness w;
};

FIXTURE_SETUP(place)
{
	witness_create(&self->w);
}

FIXTURE_TEARDOWN(place)
{
	witness_check(&self->w);
}

/* 4: what cannot be. */
TEST_F(place, invalid)
{
	struct kvm_msix_locate args = { .size = sizeof(args) };
	int fd = self->w.d.fd, i, big;

	for (i = 1; i < 8; i++) {
		EXPECT_EQ(EINVAL, __msix_locate(fd, WITNESS_TABLE + i, WITNESS_PBA));
		EXPECT_EQ(EINVAL, __msix_locate(fd, WITNESS_TABLE, WITNESS_PBA + i));
	}
	EXPECT_EQ(EINVAL, __msix_locate(fd, -8ull, WITNESS_PBA));
	EXPECT_EQ(EINVAL, __msix_locate(fd, -(u64)WITNESS_TABLE_SIZE + 8, WITNESS_PBA));
	EXPECT_EQ(EINVAL, __msix_locate(fd, WITNESS_TABLE, WITNESS_TABLE));
	EXPECT_EQ(EINVAL, __msix_locate(fd, WITNESS_TABLE, WITNESS_TABLE + 8));
	EXPECT_EQ(EINVAL, __msix_locate(fd, WITNESS_TABLE, WITNESS_TABLE + WITNESS_TABLE_SIZE - 8));

	/* An address without its flag. */
	args.flags = KVM_MSIX_LOCATE_PBA;
	args.table_gpa = WITNESS_TABLE;
	args.pba_gpa = WITNESS_PBA;
	EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_LOCATE, &args));
	args.flags = KVM_MSIX_LOCATE_TABLE;
	EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_LOCATE, &args));

	/* A WITNESS_PBA of several quadwords: over the end, and into the table. */
	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 65, 0, &big));
	EXPECT_EQ(EINVAL, __msix_locate(big, WITNESS_TABLE + 0x10000, -8ull));
	EXPECT_EQ(EINVAL, __msix_locate(big, WITNESS_TABLE + 0x10000, WITNESS_TABLE + 0x10000 - 8));
	EXPECT_EQ(0, __msix_locate(big, WITNESS_TABLE + 0x10000, WITNESS_TABLE + 0x10000 - 16));
	close(big);
}

/* 4: occupied; 3: side by side is not. */
TEST_F(place, occupied)
{
	int fd = self->w.d.fd, io = event_create(), other;

	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 2, 0, &other));
	EXPECT_EQ(EEXIST, __msix_locate(other, WITNESS_TABLE, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_locate(other, WITNESS_TABLE - 24, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_locate(other, WITNESS_TABLE + WITNESS_TABLE_SIZE - 8, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_locate(other, WITNESS_PBA - 16, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_locate(other, NOWHERE, WITNESS_TABLE + 16));
	EXPECT_EQ(EEXIST, __msix_locate(other, WITNESS_TABLE + 0x10000, WITNESS_PBA));
	EXPECT_EQ(0, __msix_locate(other, WITNESS_TABLE - 32, WITNESS_TABLE + WITNESS_TABLE_SIZE));
	EXPECT_EQ(0, __msix_locate(other, WITNESS_PBA + 8, WITNESS_PBA - 8));
	/* What other takes after a failure is what it had before it. */
	EXPECT_EQ(EEXIST, __msix_locate(other, WITNESS_TABLE + 0x10000, WITNESS_PBA));
	EXPECT_EQ(EEXIST, __msix_locate(fd, WITNESS_PBA + 0x20, WITNESS_PBA));
	close(other);

	/* An in-kernel device: the I/O APIC. */
	EXPECT_EQ(EEXIST, __msix_locate(fd, 0xfec00000, WITNESS_PBA));
	EXPECT_EQ(EEXIST, __msix_locate(fd, WITNESS_TABLE, 0xfec00010));

	/* ioeventfds: a doorbell of 4 bytes, and one of any length. */
	ASSERT_EQ(0, __kvm_ioeventfd(self->w.vm, io, WITNESS_TABLE + 0x2004, 4, 0));
	EXPECT_EQ(EEXIST, __msix_locate(fd, WITNESS_TABLE + 0x2000, WITNESS_PBA));
	EXPECT_EQ(EEXIST, __msix_locate(fd, WITNESS_TABLE, WITNESS_TABLE + 0x2000));
	EXPECT_EQ(0, __msix_locate(fd, WITNESS_TABLE + 0x2008, WITNESS_PBA));
	ASSERT_EQ(0, __kvm_ioeventfd(self->w.vm, io, WITNESS_TABLE + 0x2004, 4,
				     KVM_IOEVENTFD_FLAG_DEASSIGN));
	ASSERT_EQ(0, __kvm_ioeventfd(self->w.vm, io, WITNESS_TABLE + 0x3000, 0, 0));
	EXPECT_EQ(EEXIST, __msix_locate(fd, WITNESS_TABLE + 0x3000, WITNESS_PBA));

	/* Its own place is not occupied: the same, shifted, table and WITNESS_PBA swapped. */
	EXPECT_EQ(0, __msix_locate(fd, WITNESS_TABLE, WITNESS_PBA));
	EXPECT_EQ(0, __msix_locate(fd, WITNESS_TABLE, WITNESS_PBA));
	EXPECT_EQ(0, __msix_locate(fd, WITNESS_TABLE + 8, WITNESS_PBA + 8));
	EXPECT_EQ(0, __msix_locate(fd, WITNESS_PBA, WITNESS_TABLE));
	EXPECT_EQ(0, __msix_locate(fd, NOWHERE, NOWHERE));
	EXPECT_EQ(0, __msix_locate(fd, WITNESS_TABLE, WITNESS_PBA));
	close(io);
}

/* KVM takes a limited number of MMIO devices; then all of a LOCATE fails. */
TEST_F_TIMEOUT(place, no_space, 120)
{
	struct rlimit lim = { .rlim_cur = 4096, .rlim_max = 4096 };
	int fd[2000], n, one, err = 0;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 1, 0, &one));
	for (n = 0; n < ARRAY_SIZE(fd); n++) {
		ASSERT_EQ(0, __msix_create(self->w.vm->fd, 1, 0, &fd[n]));
		err = __msix_locate(fd[n], WITNESS_TABLE + 0x100000 + n * 16, NOWHERE);
		if (err)
			break;
	}
	ASSERT_EQ(ENOSPC, err);

	/* One place is free now, of the two that one wants. */
	close(fd[--n]);
	EXPECT_EQ(ENOSPC, __msix_locate(one, WITNESS_TABLE + 0x200000, WITNESS_TABLE + 0x201000));
	EXPECT_EQ(0, __msix_locate(fd[n + 1], WITNESS_TABLE + 0x200000, NOWHERE));
	close(fd[n + 1]);
	EXPECT_EQ(0, __msix_locate(one, NOWHERE, WITNESS_TABLE + 0x201000));
	while (n--)
		close(fd[n]);
	close(one);
}

KVM_MSIX_TEST_MAIN
