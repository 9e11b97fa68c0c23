// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_MSIX_CREATE: which VMs, and how many vectors.
 */
#include <sys/resource.h>

#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "witness.h"

FIXTURE(create) {
	struct witness w;
};

FIXTURE_SETUP(create)
{
	witness_create(&self->w);
}

FIXTURE_TEARDOWN(create)
{
	witness_check(&self->w);
}

TEST_F(create, wrong_fd)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(self->w.vm, 0);
	struct kvm_msix_create args = { .size = sizeof(args), .nr_vectors = 1 };
	int pipefd[2], fd, dev = msix_open();

	EXPECT_EQ(EBADF, __msix_create(-1, 1, 0, &fd));
	EXPECT_EQ(EBADF, __msix_create(INT_MAX, 1, 0, &fd));
	ASSERT_EQ(0, pipe(pipefd));
	EXPECT_EQ(EINVAL, __msix_create(pipefd[0], 1, 0, &fd));
	EXPECT_EQ(EINVAL, __msix_create(self->w.event, 1, 0, &fd));
	EXPECT_EQ(EINVAL, __msix_create(self->w.vm->kvm_fd, 1, 0, &fd));
	EXPECT_EQ(EINVAL, __msix_create(vcpu->fd, 1, 0, &fd));
	EXPECT_EQ(EINVAL, __msix_create(self->w.d.fd, 1, 0, &fd));
	close(pipefd[0]);
	close(pipefd[1]);
	args.vm_fd = pipefd[0];
	EXPECT_EQ(EBADF, __msix_ioctl(dev, KVM_MSIX_CREATE, &args));
	close(dev);
}

/* 2: 1 and 2048 vectors work. */
TEST_F(create, nr_vectors)
{
	static const u32 good[] = { 1, 63, 64, 65, 2047, 2048 };
	static const u32 bad[] = { 0, 2049, 4096, 1u << 31, UINT32_MAX };
	struct msix_state *s;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(EINVAL, __msix_create(self->w.vm->fd, bad[i], 0, &fd));
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		ASSERT_EQ(0, __msix_create(self->w.vm->fd, good[i], 0, &fd));
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD) & FD_CLOEXEC);
		s = msix_get_state(fd, good[i]);
		EXPECT_TRUE(msix_state_is_reset(s));
		msix_state_free(s);
		close(fd);
	}
}

TEST_F(create, irqchip)
{
	struct kvm_vm *vm = vm_create_barebones();
	int fd;

	EXPECT_EQ(EINVAL, __msix_create(vm->fd, 1, 0, &fd));

	/* APICs in the kernel, the I/O APIC in the VMM: its 24 pins are GSIs. */
	vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	ASSERT_EQ(0, __msix_create(vm->fd, 1, 0, &fd));
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 0, -1, 0));
	EXPECT_EQ(EINVAL, __msix_bind_one(fd, 0, -1, 23));
	EXPECT_EQ(0, __msix_bind_one(fd, 0, -1, 24));
	close(fd);
}

TEST_F(create, ext_dest_id)
{
	struct kvm_vm *vm = msix_bare_vm();
	int fd;

	EXPECT_EQ(EINVAL, __msix_create(vm->fd, 1, KVM_MSIX_CREATE_EXT_DEST_ID, &fd));
	vm_enable_cap(vm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS);
	ASSERT_EQ(0, __msix_create(vm->fd, 1, KVM_MSIX_CREATE_EXT_DEST_ID, &fd));
	close(fd);
}

TEST_F(create, no_more_fds)
{
	struct rlimit old, none;
	int fd, dev = msix_open();
	struct kvm_msix_create args = {
		.size = sizeof(args),
		.vm_fd = self->w.vm->fd,
		.nr_vectors = 1,
	};

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	fd = dup(0);
	none = old;
	none.rlim_cur = fd;
	close(fd);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(EMFILE, __msix_ioctl(dev, KVM_MSIX_CREATE, &args));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	close(dev);
}

KVM_MSIX_TEST_MAIN
