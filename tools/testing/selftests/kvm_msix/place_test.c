// SPDX-License-Identifier: GPL-2.0-only
/*
 * 3, 4 of kvm_msix-semantics.rst: the addresses that KVM_MSIX_SET_ADDR refuses,
 * and that a refusal changes nothing. addr_test shows how a guest sees the table
 * move.
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

/* 4: invalid addresses. */
TEST_F(place, invalid)
{
	struct kvm_msix_addr args = { .size = sizeof(args) };
	int fd = self->w.d.fd, i, big;

	for (i = 1; i < 8; i++) {
		EXPECT_EQ(EINVAL, __msix_set_addr(fd, WITNESS_TABLE + i, WITNESS_PBA));
		EXPECT_EQ(EINVAL, __msix_set_addr(fd, WITNESS_TABLE, WITNESS_PBA + i));
	}
	EXPECT_EQ(EINVAL, __msix_set_addr(fd, -8ull, WITNESS_PBA));
	EXPECT_EQ(EINVAL, __msix_set_addr(fd, -(u64)WITNESS_TABLE_SIZE + 8, WITNESS_PBA));
	EXPECT_EQ(EINVAL, __msix_set_addr(fd, WITNESS_TABLE, WITNESS_TABLE));
	EXPECT_EQ(EINVAL, __msix_set_addr(fd, WITNESS_TABLE, WITNESS_TABLE + 8));
	EXPECT_EQ(EINVAL, __msix_set_addr(fd, WITNESS_TABLE,
					  WITNESS_TABLE + WITNESS_TABLE_SIZE - 8));

	/* An address without its flag. */
	args.flags = KVM_MSIX_ADDR_PBA;
	args.table_gpa = WITNESS_TABLE;
	args.pba_gpa = WITNESS_PBA;
	EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_SET_ADDR, &args));
	args.flags = KVM_MSIX_ADDR_TABLE;
	EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_SET_ADDR, &args));

	/* A PBA of several quadwords: over the end, and into the table. */
	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 65, 0, &big));
	EXPECT_EQ(EINVAL, __msix_set_addr(big, WITNESS_TABLE + 0x10000, -8ull));
	EXPECT_EQ(EINVAL, __msix_set_addr(big, WITNESS_TABLE + 0x10000,
					  WITNESS_TABLE + 0x10000 - 8));
	EXPECT_EQ(0, __msix_set_addr(big, WITNESS_TABLE + 0x10000, WITNESS_TABLE + 0x10000 - 16));
	close(big);
}

/* 4: overlapping another range; 3: side by side is allowed. */
TEST_F(place, occupied)
{
	int fd = self->w.d.fd, io = event_create(), other;

	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 2, 0, &other));
	EXPECT_EQ(EEXIST, __msix_set_addr(other, WITNESS_TABLE, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_set_addr(other, WITNESS_TABLE - 24, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_set_addr(other, WITNESS_TABLE + WITNESS_TABLE_SIZE - 8, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_set_addr(other, WITNESS_PBA - 16, NOWHERE));
	EXPECT_EQ(EEXIST, __msix_set_addr(other, NOWHERE, WITNESS_TABLE + 16));
	EXPECT_EQ(EEXIST, __msix_set_addr(other, WITNESS_TABLE + 0x10000, WITNESS_PBA));
	EXPECT_EQ(0, __msix_set_addr(other, WITNESS_TABLE - 32,
				     WITNESS_TABLE + WITNESS_TABLE_SIZE));
	EXPECT_EQ(0, __msix_set_addr(other, WITNESS_PBA + 8, WITNESS_PBA - 8));
	/* After a failure, other still has what it had before. */
	EXPECT_EQ(EEXIST, __msix_set_addr(other, WITNESS_TABLE + 0x10000, WITNESS_PBA));
	EXPECT_EQ(EEXIST, __msix_set_addr(fd, WITNESS_PBA + 0x20, WITNESS_PBA));
	close(other);

	/* An in-kernel device: the I/O APIC. */
	EXPECT_EQ(EEXIST, __msix_set_addr(fd, 0xfec00000, WITNESS_PBA));
	EXPECT_EQ(EEXIST, __msix_set_addr(fd, WITNESS_TABLE, 0xfec00010));

	/* ioeventfds: a doorbell of 4 bytes, and one of any length. */
	ASSERT_EQ(0, __kvm_ioeventfd(self->w.vm, io, WITNESS_TABLE + 0x2004, 4, 0));
	EXPECT_EQ(EEXIST, __msix_set_addr(fd, WITNESS_TABLE + 0x2000, WITNESS_PBA));
	EXPECT_EQ(EEXIST, __msix_set_addr(fd, WITNESS_TABLE, WITNESS_TABLE + 0x2000));
	EXPECT_EQ(0, __msix_set_addr(fd, WITNESS_TABLE + 0x2008, WITNESS_PBA));
	ASSERT_EQ(0, __kvm_ioeventfd(self->w.vm, io, WITNESS_TABLE + 0x2004, 4,
				     KVM_IOEVENTFD_FLAG_DEASSIGN));
	ASSERT_EQ(0, __kvm_ioeventfd(self->w.vm, io, WITNESS_TABLE + 0x3000, 0, 0));
	EXPECT_EQ(EEXIST, __msix_set_addr(fd, WITNESS_TABLE + 0x3000, WITNESS_PBA));

	/* The function's own place is free: the same, shifted, both swapped. */
	EXPECT_EQ(0, __msix_set_addr(fd, WITNESS_TABLE, WITNESS_PBA));
	EXPECT_EQ(0, __msix_set_addr(fd, WITNESS_TABLE, WITNESS_PBA));
	EXPECT_EQ(0, __msix_set_addr(fd, WITNESS_TABLE + 8, WITNESS_PBA + 8));
	EXPECT_EQ(0, __msix_set_addr(fd, WITNESS_PBA, WITNESS_TABLE));
	EXPECT_EQ(0, __msix_set_addr(fd, NOWHERE, NOWHERE));
	EXPECT_EQ(0, __msix_set_addr(fd, WITNESS_TABLE, WITNESS_PBA));
	close(io);
}

/* KVM's number of MMIO devices is limited; beyond, SET_ADDR fails as a whole. */
TEST_F(place, no_space)
{
	struct rlimit lim = { .rlim_cur = 4096, .rlim_max = 4096 };
	int fd[2000], n, one, err = 0;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	ASSERT_EQ(0, __msix_create(self->w.vm->fd, 1, 0, &one));
	for (n = 0; n < ARRAY_SIZE(fd); n++) {
		ASSERT_EQ(0, __msix_create(self->w.vm->fd, 1, 0, &fd[n]));
		err = __msix_set_addr(fd[n], WITNESS_TABLE + 0x100000 + n * 16, NOWHERE);
		if (err)
			break;
	}
	ASSERT_EQ(ENOSPC, err);

	/* Now KVM has room for one device, but the function needs two. */
	close(fd[--n]);
	EXPECT_EQ(ENOSPC, __msix_set_addr(one, WITNESS_TABLE + 0x200000, WITNESS_TABLE + 0x201000));
	EXPECT_EQ(0, __msix_set_addr(fd[n + 1], WITNESS_TABLE + 0x200000, NOWHERE));
	close(fd[n + 1]);
	EXPECT_EQ(0, __msix_set_addr(one, NOWHERE, WITNESS_TABLE + 0x201000));
	while (n--)
		close(fd[n]);
	close(one);
}

KVM_MSIX_TEST_MAIN
