// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctls with structs in all sorts of places, and ioctls that break the common
 * rules ("General ioctl format" in the uapi header).
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "fuzz.h"

#define CMD(_cmd, _struct, ...) { .cmd = _cmd, .size = sizeof(struct _struct), __VA_ARGS__ }

const struct fuzz_cmd fuzz_cmds[] = {
	CMD(KVM_MSIX_INFO, kvm_msix_info, .on_node = true, .out = true),
	CMD(KVM_MSIX_CREATE, kvm_msix_create, .on_node = true,
	    .flags = KVM_MSIX_CREATE_LAZY | KVM_MSIX_CREATE_EXT_DEST_ID |
		     KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA,
	    .reserved = offsetof(struct kvm_msix_create, __reserved)),
	CMD(KVM_MSIX_SET_ADDR, kvm_msix_addr,
	    .flags = KVM_MSIX_ADDR_TABLE | KVM_MSIX_ADDR_PBA),
	CMD(KVM_MSIX_BIND, kvm_msix_bind, .flags = KVM_MSIX_BIND_ADD | KVM_MSIX_BIND_REMOVE),
	CMD(KVM_MSIX_CONTROL, kvm_msix_control,
	    .reserved = offsetof(struct kvm_msix_control, __reserved)),
	CMD(KVM_MSIX_GET_STATE, kvm_msix_state),
	CMD(KVM_MSIX_SET_STATE, kvm_msix_state),
	CMD(KVM_MSIX_RESET, kvm_msix_reset),
	CMD(KVM_MSIX_SET_GSI_ROUTING, kvm_msix_gsi_routing,
	    .reserved = offsetof(struct kvm_msix_gsi_routing, __reserved)),
	CMD(KVM_MSIX_GET_STATS_FD, kvm_msix_stats_fd),
};

const u32 fuzz_nr_cmds = ARRAY_SIZE(fuzz_cmds);

#define PAGE		4096u
#define TIGHT_SIZE	(32 * PAGE)

/* Memory of each thread: pages, followed by a page that cannot be accessed. */
static __thread u8 *arena, *tight[2], *read_only;

static u8 *map_before_nothing(size_t size)
{
	u8 *mem = mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	TEST_ASSERT(mem != MAP_FAILED && !mprotect(mem + size, PAGE, PROT_NONE), "mmap: %s",
		    strerror(errno));
	return mem;
}

void fuzz_ioctl_init(void)
{
	arena = map_before_nothing(2 * PAGE);
	tight[0] = map_before_nothing(TIGHT_SIZE);
	tight[1] = map_before_nothing(TIGHT_SIZE);
	read_only = map_before_nothing(PAGE);
	TEST_ASSERT(!mprotect(read_only, PAGE, PROT_READ), "mprotect");
}

void *fuzz_tight(u32 slot, u32 size)
{
	TEST_ASSERT(size <= TIGHT_SIZE, "%u bytes", size);
	return tight[slot] + TIGHT_SIZE - size;
}

void *fuzz_bad_pointer(struct rng *r, u32 size)
{
	switch (pick(r, 6)) {
	case 0:
		return NULL;
	case 1:
		return (void *)0xffff888000000000ul;
	case 2:
		return (void *)(rnd(r) | 1ul << 63);
	case 3:
		return (void *)(0x0000800000000000ul + pick(r, 2) * PAGE);
	case 4:
		return (void *)(-1ul - pick(r, 64));
	default:
		/* The struct's end cannot be accessed. */
		return fuzz_tight(0, pick(r, size));
	}
}

int fuzz_ioctl(struct rng *r, int fd, unsigned long cmd, void *arg, u32 size, int *ret)
{
	u32 told = size;
	u8 *at;

	switch (pick(r, 4)) {
	case 0:
		at = arena + pick(r, PAGE);
		break;
	case 1:
		/* The caller knows a later version of the struct. */
		told = one_in(r, 4) ? PAGE : size + pick(r, 200);
		at = arena + 2 * PAGE - told;
		break;
	default:
		at = arena + 2 * PAGE - size;
	}
	memset(at, 0, told);
	memcpy(at, arg, size);
	*(u32 *)at = told;
	*ret = ioctl(fd, cmd, at);
	if (*ret < 0)
		return errno;
	memcpy(arg, at, size);
	return 0;
}

/* An unused ioctl number: beyond the last, of another type, or with a size. */
static unsigned long unknown_cmd(struct rng *r)
{
	switch (pick(r, 3)) {
	case 0:
		return _IO(KVM_MSIX_TYPE, fuzz_nr_cmds + pick(r, 100));
	case 1:
		return fuzz_cmds[pick(r, fuzz_nr_cmds)].cmd | 1ul << (8 + pick(r, 24));
	default:
		return _IOC(pick(r, 4), KVM_MSIX_TYPE, pick(r, fuzz_nr_cmds), 1 + pick(r, 64));
	}
}

static bool cmd_known(unsigned long cmd)
{
	u32 i;

	for (i = 0; i < fuzz_nr_cmds; i++)
		if (fuzz_cmds[i].cmd == cmd)
			return true;
	return false;
}

const char *fuzz_bad_ioctl(struct rng *r, int node, int dev)
{
	const struct fuzz_cmd *c = &fuzz_cmds[pick(r, fuzz_nr_cmds)];
	unsigned long cmd = c->cmd;
	int fd = c->on_node ? node : dev, want = 0, err, ret;
	const char *what = "";
	u32 size = c->size, i;
	s64 left;
	void *at;
	u8 *arg;

	arg = arena + pick(r, PAGE / 8);
	for (i = 0; i < PAGE; i++)
		arg[i] = rnd(r);
	at = arg;
	switch (pick(r, 10)) {
	case 0:
		what = "unknown number";
		cmd = unknown_cmd(r);
		if (cmd_known(cmd))
			return NULL;
		want = ENOTTY;
		break;
	case 1:
		what = "number of the other kind of file";
		fd = c->on_node ? dev : node;
		want = ENOTTY;
		break;
	case 2:
		what = "too small";
		size = pick(r, size);
		want = EINVAL;
		break;
	case 3:
		what = "unknown tail";
		size += 1 + pick(r, PAGE - size);
		memset(arg + c->size, 0, size - c->size);
		arg[c->size + pick(r, size - c->size)] = 1 << pick(r, 8);
		want = E2BIG;
		break;
	case 4:
		what = "huge";
		size = one_in(r, 2) ? PAGE + 1 : PAGE + 1 + pick(r, -PAGE - 1);
		want = E2BIG;
		break;
	case 5:
		what = "unknown flag";
		do {
			i = 1u << pick(r, 32);
		} while (i & c->flags);
		((u32 *)arg)[1] |= i;
		want = EOPNOTSUPP;
		break;
	case 6:
		if (!c->reserved)
			return NULL;
		what = "reserved field";
		((u32 *)arg)[1] &= c->flags;
		*(u32 *)(arg + c->reserved) = 1u << pick(r, 32);
		want = EOPNOTSUPP;
		break;
	case 7:
		what = "bad pointer";
		at = fuzz_bad_pointer(r, size);
		want = EFAULT;
		break;
	case 8:
		what = "tail that is not there";
		i = size + pick(r, 64);
		at = fuzz_tight(0, i);
		size = i + 1 + pick(r, 100);
		want = EFAULT;
		break;
	default:
		if (cmd != KVM_MSIX_INFO)
			return NULL;
		what = "no room for the answer";
		mprotect(read_only, PAGE, PROT_READ | PROT_WRITE);
		memset(read_only, 0, size);
		*(u32 *)read_only = size;
		mprotect(read_only, PAGE, PROT_READ);
		at = read_only;
		want = EFAULT;
	}
	if (at == arg)
		*(u32 *)arg = size;
	/* If only the beginning of the struct can be read, make its size right. */
	left = tight[0] + TIGHT_SIZE - (u8 *)at;
	if (left >= 4 && left <= TIGHT_SIZE) {
		memset(at, 0, left);
		*(u32 *)at = size;
	}

	if (fd < 0)
		return NULL;
	ret = ioctl(fd, cmd, at);
	err = ret < 0 ? errno : 0;
	if ((cmd == KVM_MSIX_CREATE || cmd == KVM_MSIX_GET_STATS_FD) && ret >= 0)
		close(ret);
	if (err != want)
		fuzz_fail("ioctl %#lx, size %u, %s: %s, not %s", cmd, size, what,
			  err ? strerror(err) : "success", strerror(want));
	return what;
}

int fuzz_bad_fd(struct rng *r, int *err)
{
	static int fds[6];
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	int pipes[2];

	pthread_mutex_lock(&once);
	if (!fds[5]) {
		TEST_ASSERT(!pipe(pipes), "pipe");
		fds[0] = pipes[0];
		fds[1] = pipes[1];
		fds[2] = open("/dev/null", O_RDWR);
		fds[3] = msix_open();
		fds[4] = epoll_create1(0);
		fds[5] = open("/", O_PATH);
	}
	pthread_mutex_unlock(&once);

	*err = EBADF;
	switch (pick(r, 4)) {
	case 0:
		return -2 - pick(r, 1000);
	case 1:
		return 1000000 + pick(r, 1000);
	case 2:
		return fds[5];
	default:
		*err = EINVAL;
		return fds[pick(r, 5)];
	}
}
