// SPDX-License-Identifier: GPL-2.0-only
/*
 * Library of the kvm_msix selftests, see kvm_msix_util.h: what a test begins with.
 * The rest of the library is in util_*.c.
 */
#include "kvm_msix_util.h"

#define DEVICE		"/dev/kvm_msix"

/*
 * KVM's selftest library of 6.12 sets memory slots by an ioctl that is new in 6.8.
 * The older ioctl suffices, and the new struct begins with the older struct. The
 * library of 7.3 keeps a VM's statistics fd open, if there is one, which keeps the
 * VM alive when all else is closed. The linker puts this function in place of
 * ioctl().
 */
int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;
	int ret;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);

	if (cmd == KVM_CHECK_EXTENSION && (long)arg == KVM_CAP_BINARY_STATS_FD)
		return 0;
	ret = __real_ioctl(fd, cmd, arg);
	if (cmd == KVM_CHECK_EXTENSION && (long)arg == KVM_CAP_USER_MEMORY2 && !ret)
		return 1;
	if (cmd == KVM_SET_USER_MEMORY_REGION2 && ret < 0 && errno == ENOTTY)
		return __real_ioctl(fd, KVM_SET_USER_MEMORY_REGION, arg);
	return ret;
}

int msix_open(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	TEST_ASSERT(fd >= 0, "open " DEVICE ": %s", strerror(errno));
	return fd;
}

bool msix_can_map(void)
{
	struct kvm_msix_info info = { .size = sizeof(info) };
	int dev = msix_open();

	msix_ioctl(dev, KVM_MSIX_INFO, &info);
	close(dev);
	return info.capabilities & KVM_MSIX_CAP_MMAP;
}

void kvm_msix_require(void)
{
	int fd = open("/dev/kvm", O_RDWR);

	if (fd < 0)
		ksft_exit_skip("/dev/kvm: %s\n", strerror(errno));
	close(fd);

	fd = open(DEVICE, O_RDWR);
	if (fd < 0)
		ksft_exit_skip(DEVICE ": %s\n", strerror(errno));
	close(fd);
	if (msix_mapped() && !msix_can_map())
		ksft_exit_skip("KVM_MSIX_MAPPED: no KVM_MSIX_CAP_MMAP in this kernel\n");
}

void msix_wait_ms(u32 ms)
{
	u32 i;

	for (i = 0; i < ms; i += 5)
		usleep(5000);
}

u32 rounds_option(int argc, char **argv, u32 rounds)
{
	return seed_option(argc, argv, "ROUNDS", rounds, NULL);
}

u32 seed_option(int argc, char **argv, const char *what, u32 n, u64 *seed)
{
	int opt;

	while ((opt = getopt(argc, argv, seed ? "n:s:" : "n:")) != -1) {
		switch (opt) {
		case 'n':
			n = atoi_positive(what, optarg);
			break;
		case 's':
			*seed = strtoull(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: %s [-n %s]%s\n", argv[0], what,
				seed ? " [-s SEED]" : "");
			exit(2);
		}
	}
	return n;
}
