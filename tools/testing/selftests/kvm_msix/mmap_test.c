// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which functions can be mapped, and where table and PBA lie in the mapping of the
 * device fd.
 */
#include <signal.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "mapped.h"

TEST(create)
{
	struct kvm_vm *vm = msix_bare_vm();
	int event = event_create(), fd;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	/* The table. */
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, 0, 16, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, 8, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, PAGE, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, 0xfffffff0, 0));
	/* The PBA: flag, alignment, overlap at both ends, within the pages. */
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP, 0, 0x800));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, KVM_MSIX_CREATE_MMAP_PBA, 0, 0));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, 0x804));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 2, MMAP_PBA, 0x100, 0x118));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 65, MMAP_PBA, 0x100, 0xf8));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, 2 * PAGE));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 256, MMAP_PBA, 16, 3 * PAGE));
	EXPECT_EQ(-EINVAL, __create(vm->fd, 1, MMAP_PBA, 0, 0xfffffff8));
	/* The eventfd: with the flags that use it, and not without. */
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, 0, 0, 0, event));
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, LAZY, 0, 0, event));
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, MMAP, 0, 0, event));
	EXPECT_EQ(-EBADF, __create_lazy(vm->fd, 1, LAZY | MMAP, 0, 0, -1));
	EXPECT_EQ(-EINVAL, __create_lazy(vm->fd, 1, LAZY | MMAP, 0, 0, vm->fd));

	fd = __create(vm->fd, 2, MMAP_PBA, 0x100, 0xf8);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 2, MMAP_PBA, 0x100, 0x120);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 2032, MMAP_PBA, PAGE - 16, 9 * PAGE - 256);
	EXPECT_LE(0, fd);
	close(fd);
	/* A PBA from the table's last page to the next page, and a PBA after the table. */
	fd = __create(vm->fd, 65, MMAP_PBA, 0, PAGE - 8);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create(vm->fd, 65, MMAP_PBA, 0, 2 * PAGE - 8);
	EXPECT_LE(0, fd);
	close(fd);
	fd = __create_lazy(vm->fd, 1, LAZY | MMAP, 0, 0, event);
	EXPECT_LE(0, fd);
	close(fd);
	close(event);
	kvm_vm_free(vm);
}

TEST(mapping)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct msix_state *state;
	struct msix_dev plain;
	int fd, pages;
	u32 *mem, v;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	plain.fd = __create(vm->fd, 1, 0, 0, 0);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, plain.fd, 0));
	EXPECT_EQ(ENODEV, errno);
	close(plain.fd);

	/* 256 vectors from 16 on: an entry of the second page. */
	fd = __create(vm->fd, 256, MMAP, 16, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE));
	EXPECT_EQ(EINVAL, errno);
	mem = msix_map(fd, 2 * PAGE);
	EXPECT_EQ(0, mem[0]);
	for (v = 0; v < 256; v++)
		EXPECT_EQ(MASKED, mem[4 + 4 * v + ENTRY_CTRL / 4]);
	for (v = 4 + 4 * 256; v < 2 * PAGE / 4; v++)
		EXPECT_EQ(0, mem[v]);

	/* The mapping is the table, not a copy. */
	mem[4 + 4 * 255] = 0x12345678;
	state = msix_get_state(fd, 256);
	EXPECT_EQ(0x12345678, state->entry[255][0]);
	msix_state_free(state);

	/* The mapping keeps the function as the fd does. */
	pages = debugfs_entries("kvm_msix", getpid());
	close(fd);
	EXPECT_EQ(pages, debugfs_entries("kvm_msix", getpid()));
	EXPECT_EQ(0x12345678, mem[4 + 4 * 255]);
	munmap(mem, 2 * PAGE);
	EXPECT_EQ(pages ? pages - 1 : 0, debugfs_entries("kvm_msix", getpid()));
	kvm_vm_free(vm);
}

/* The PBA has a page to itself, the last page of the mapping. */
TEST(mapping_of_pba)
{
	struct kvm_vm *vm = msix_bare_vm();
	struct kvm_msix_binding binding = { .eventfd = event_create(), .gsi = -1 };
	u64 *mem;
	int fd;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	fd = __create(vm->fd, 65, MMAP_PBA, 0, 2 * PAGE - 8);
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
	mem = msix_map(fd, 3 * PAGE);
	ASSERT_EQ(0, __msix_bind(fd, 64, 1, &binding));
	event_signal(binding.eventfd);
	EXPECT_EQ(1, mem[2 * PAGE / 8]);
	EXPECT_EQ(0, mem[2 * PAGE / 8 - 1]);
	munmap(mem, 3 * PAGE);
	close(fd);
	kvm_vm_free(vm);
}

/* A function with a GSI cannot be mapped, nor can a mapped function get a GSI. */
TEST(gsi_or_mapping)
{
	struct kvm_vm *vm = msix_bare_vm();
	int fd, pid, status;
	void *mem;

	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	fd = __create(vm->fd, NR, MMAP, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, __msix_bind_one(fd, 0, -1, 64));
	ASSERT_EQ(0, __msix_bind_one(fd, 1, -1, 65));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	EXPECT_EQ(EBUSY, errno);
	/* A bind that fails neither adds a GSI nor removes one. */
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 2, -1, 65));
	ASSERT_EQ(0, __msix_bind_one(fd, 0, -1, 66));
	ASSERT_EQ(0, __msix_bind_one(fd, 0, -1, -1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	ASSERT_EQ(0, __msix_bind_one(fd, 1, -1, -1));

	mem = msix_map(fd, PAGE);
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 0, -1, 64));
	/* A child inherits and keeps the mapping. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pause();
		_exit(0);
	}
	munmap(mem, PAGE);
	EXPECT_EQ(EBUSY, __msix_bind_one(fd, 0, -1, 64));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, __msix_bind_one(fd, 0, -1, 64));
	close(fd);
	kvm_vm_free(vm);
}

KVM_MSIX_TEST_MAIN
