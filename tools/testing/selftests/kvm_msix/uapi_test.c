// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all ioctls have in common, by include/uapi/linux/kvm_msix.h: sizes,
 * flags, numbers, pointers, and which process may call them. Bad input changes
 * nothing: see witness.h.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "witness.h"

FIXTURE(uapi) {
	struct witness w;
};

FIXTURE_SETUP(uapi)
{
	witness_create(&self->w);
}

FIXTURE_TEARDOWN(uapi)
{
	witness_check(&self->w);
}

/*
 * One good call of each ioctl, which does not change the fixture's function.
 */

union args {
	u32 size;
	struct {
		u32 size;
		u32 flags;
	} head;
	struct kvm_msix_info info;
	struct kvm_msix_create create;
	struct kvm_msix_addr addr;
	struct kvm_msix_bind bind;
	struct kvm_msix_control control;
	struct kvm_msix_state state;
	struct kvm_msix_reset reset;
	struct kvm_msix_gsi_routing routing;
	struct kvm_msix_stats_fd stats_fd;
};

struct call {
	const char *name;
	unsigned long cmd;
	u32 size;
	u32 known_flags;
	bool on_device;
};

#define CALL(_cmd, _struct, _flags, _on_device) \
	{ #_cmd, _cmd, sizeof(struct _struct), _flags, _on_device }

static const struct call calls[] = {
	CALL(KVM_MSIX_INFO, kvm_msix_info, 0, false),
	CALL(KVM_MSIX_CREATE, kvm_msix_create,
	     KVM_MSIX_CREATE_LAZY | KVM_MSIX_CREATE_EXT_DEST_ID | KVM_MSIX_CREATE_MMAP |
	     KVM_MSIX_CREATE_MMAP_PBA, false),
	CALL(KVM_MSIX_SET_ADDR, kvm_msix_addr,
	     KVM_MSIX_ADDR_TABLE | KVM_MSIX_ADDR_PBA, true),
	CALL(KVM_MSIX_BIND, kvm_msix_bind, KVM_MSIX_BIND_ADD | KVM_MSIX_BIND_REMOVE, true),
	CALL(KVM_MSIX_CONTROL, kvm_msix_control, 0, true),
	CALL(KVM_MSIX_GET_STATE, kvm_msix_state, 0, true),
	CALL(KVM_MSIX_SET_STATE, kvm_msix_state, 0, true),
	CALL(KVM_MSIX_RESET, kvm_msix_reset, 0, true),
	CALL(KVM_MSIX_SET_GSI_ROUTING, kvm_msix_gsi_routing, 0, true),
	CALL(KVM_MSIX_GET_STATS_FD, kvm_msix_stats_fd, 0, true),
};

static struct kvm_msix_binding unbound = { .eventfd = -1, .gsi = -1 };

static void fill(const struct call *c, union args *a, int vm_fd, struct msix_state *s)
{
	memset(a, 0, sizeof(*a));
	a->size = c->size;
	switch (c->cmd) {
	case KVM_MSIX_CREATE:
		a->create.vm_fd = vm_fd;
		a->create.nr_vectors = 1;
		break;
	case KVM_MSIX_SET_ADDR:
		a->addr.flags = KVM_MSIX_ADDR_TABLE | KVM_MSIX_ADDR_PBA;
		a->addr.table_gpa = WITNESS_TABLE;
		a->addr.pba_gpa = WITNESS_PBA;
		break;
	case KVM_MSIX_BIND:
		a->bind.first = WITNESS_NR - 1;
		a->bind.count = 1;
		a->bind.bindings = (uintptr_t)&unbound;
		break;
	case KVM_MSIX_CONTROL:
		a->control.control = ENABLE | FUNCTION_MASK;
		break;
	case KVM_MSIX_GET_STATE:
	case KVM_MSIX_SET_STATE:
		a->state.nr_vectors = WITNESS_NR;
		a->state.control = s->control;
		a->state.table = (uintptr_t)s->entry;
		a->state.pba = (uintptr_t)s->pba;
		break;
	}
}

/* Make a call; close a new fd, and undo RESET. */
static int call(const struct call *c, int fd, void *arg, struct msix_state *before)
{
	int ret = ioctl(fd, c->cmd, arg);

	if (ret < 0)
		return errno;
	if (c->cmd == KVM_MSIX_CREATE || c->cmd == KVM_MSIX_GET_STATS_FD)
		close(ret);
	if (c->cmd == KVM_MSIX_RESET)
		TEST_ASSERT(!__msix_set_state(fd, before), "SET_STATE");
	return 0;
}

TEST_F(uapi, sizes)
{
	int i, dev = msix_open(), page = getpagesize();
	u8 *buf, *end;

	/* Two pages, the second of which cannot be accessed. */
	buf = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, buf);
	ASSERT_EQ(0, mprotect(buf + page, page, PROT_NONE));

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];
		int fd = c->on_device ? self->w.d.fd : dev;
		union args *a = (void *)buf;

		memset(buf, 0, page);
		fill(c, a, self->w.vm->fd, self->w.before);
		EXPECT_EQ(0, call(c, fd, a, self->w.before)) {
			TH_LOG("%s and what follows", c->name);
		}

		a->size = 0;
		EXPECT_EQ(EINVAL, call(c, fd, a, self->w.before));
		a->size = 4;
		EXPECT_EQ(EINVAL, call(c, fd, a, self->w.before));
		a->size = c->size - 1;
		EXPECT_EQ(EINVAL, call(c, fd, a, self->w.before));

		/* A larger struct than the kernel's is good if the rest is zero. */
		fill(c, a, self->w.vm->fd, self->w.before);
		a->size = c->size + 8;
		EXPECT_EQ(0, call(c, fd, a, self->w.before));
		fill(c, a, self->w.vm->fd, self->w.before);
		a->size = c->size + 8;
		buf[c->size] = 1;
		EXPECT_EQ(E2BIG, call(c, fd, a, self->w.before));
		buf[c->size] = 0;
		buf[c->size + 7] = 0x80;
		EXPECT_EQ(E2BIG, call(c, fd, a, self->w.before));
		a->size = c->size + 7;
		EXPECT_EQ(0, call(c, fd, a, self->w.before));

		/* A struct up to the last readable byte, and beyond. */
		end = buf + page - c->size;
		fill(c, a, self->w.vm->fd, self->w.before);
		memmove(end, a, c->size);
		EXPECT_EQ(0, call(c, fd, end, self->w.before));
		((union args *)end)->size = c->size + 8;
		EXPECT_EQ(EFAULT, call(c, fd, end, self->w.before));
		((union args *)end)->size = UINT32_MAX;
		EXPECT_NE(0, call(c, fd, end, self->w.before));
		EXPECT_TRUE(errno == EFAULT || errno == E2BIG);
		EXPECT_EQ(EFAULT, call(c, fd, buf + page, self->w.before));
		EXPECT_EQ(EFAULT, call(c, fd, buf + page - 2, self->w.before));
		EXPECT_EQ(EFAULT, call(c, fd, NULL, self->w.before));
	}
	munmap(buf, 2 * page);
	close(dev);
}

TEST_F(uapi, unknown_flags)
{
	int i, bit, dev = msix_open();
	union args a;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];

		for (bit = 0; bit < 32; bit++) {
			if (c->known_flags & 1u << bit)
				continue;
			fill(c, &a, self->w.vm->fd, self->w.before);
			a.head.flags |= 1u << bit;
			EXPECT_EQ(EOPNOTSUPP, call(c, c->on_device ? self->w.d.fd : dev, &a,
						   self->w.before)) {
				TH_LOG("%s, flag bit %i", c->name, bit);
			}
		}
	}
	close(dev);
}

TEST_F(uapi, reserved_fields)
{
	struct kvm_msix_control control = { .size = sizeof(control), .__reserved = 1 };
	struct kvm_msix_gsi_routing routing = { .size = sizeof(routing), .__reserved = 1u << 31 };
	struct kvm_msix_create create = {
		.size = sizeof(create),
		.vm_fd = self->w.vm->fd,
		.nr_vectors = 1,
		.__reserved = 1,
	};
	int dev = msix_open();

	EXPECT_EQ(EOPNOTSUPP, __msix_ioctl(dev, KVM_MSIX_CREATE, &create));
	close(dev);
	EXPECT_EQ(EOPNOTSUPP, __msix_ioctl(self->w.d.fd, KVM_MSIX_CONTROL, &control));
	EXPECT_EQ(EOPNOTSUPP, __msix_ioctl(self->w.d.fd, KVM_MSIX_SET_GSI_ROUTING, &routing));
}

TEST_F(uapi, unknown_numbers)
{
	int i, dev = msix_open();
	union args a;

	for (i = 0; i < 256; i++) {
		memset(&a, 0, sizeof(a));
		a.size = 8;
		if (i > KVM_MSIX_CMD_GET_STATS_FD) {
			EXPECT_EQ(ENOTTY, __msix_ioctl(dev, _IO(KVM_MSIX_TYPE, i), &a));
			EXPECT_EQ(ENOTTY, __msix_ioctl(self->w.d.fd, _IO(KVM_MSIX_TYPE, i), &a));
		}
		EXPECT_EQ(ENOTTY, __msix_ioctl(dev, _IO(KVM_MSIX_TYPE + 1, i), &a));
		EXPECT_EQ(ENOTTY, __msix_ioctl(self->w.d.fd, _IO(KVM_MSIX_TYPE + 1, i), &a));
	}

	/* Each ioctl has one kind of fd, and all bits of its number count. */
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];

		fill(c, &a, self->w.vm->fd, self->w.before);
		EXPECT_EQ(ENOTTY, call(c, c->on_device ? dev : self->w.d.fd, &a, self->w.before)) {
			TH_LOG("%s", c->name);
		}
		EXPECT_EQ(ENOTTY, __msix_ioctl(c->on_device ? self->w.d.fd : dev,
					       c->cmd | _IOC(_IOC_WRITE, 0, 0, 8), &a));
	}
	close(dev);
}

TEST_F(uapi, info)
{
	struct kvm_msix_info info = { .size = sizeof(info) };
	int fd, dev = msix_open();

	ASSERT_EQ(0, __msix_ioctl(dev, KVM_MSIX_INFO, &info));
	EXPECT_EQ(sizeof(info), info.size);
	EXPECT_EQ(0, info.flags);
	/* The others depend on the machine; CREATE must agree about MMAP. */
	EXPECT_EQ(KVM_MSIX_CAP_LAZY | KVM_MSIX_CAP_EXT_DEST_ID | KVM_MSIX_CAP_GSI |
		  KVM_MSIX_CAP_STATS | KVM_MSIX_CAP_BIND_ADD,
		  info.capabilities & ~(KVM_MSIX_CAP_MMAP | KVM_MSIX_CAP_HOST_POSTS |
					 KVM_MSIX_CAP_POSTED));
	/* Posting is on if the host can post. */
	EXPECT_EQ(!!(info.capabilities & KVM_MSIX_CAP_HOST_POSTS),
		  !!(info.capabilities & KVM_MSIX_CAP_POSTED));
	EXPECT_EQ(info.capabilities & KVM_MSIX_CAP_MMAP ? 0 : EOPNOTSUPP,
		  __msix_create(self->w.vm->fd, 1, KVM_MSIX_CREATE_MMAP, &fd));
	if (fd >= 0)
		close(fd);
	EXPECT_EQ(2048, info.max_vectors);
	/* Every GSI that KVM's own table can have. */
	EXPECT_EQ(KVM_MAX_IRQ_ROUTES - 1, info.max_gsi);
	close(dev);
}

/* A child process may not use its parent's VM and device fd. */
TEST_F(uapi, other_process)
{
	int status, i, bad = 0, dev = msix_open();
	union args a;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		for (i = 0; i < ARRAY_SIZE(calls); i++) {
			const struct call *c = &calls[i];
			int want = c->cmd == KVM_MSIX_INFO ? 0 : EIO;

			fill(c, &a, self->w.vm->fd, self->w.before);
			if (call(c, c->on_device ? self->w.d.fd : dev, &a, self->w.before) != want)
				bad |= 1 << i;
		}
		_exit(bad ? ffs(bad) : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) {
		TH_LOG("calls[%i]", WEXITSTATUS(status) - 1);
	}
	close(dev);
}

KVM_MSIX_TEST_MAIN
