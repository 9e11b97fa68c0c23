// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: race SECONDS
 *
 * KVM without kvm_msix: three vCPUs read an address while a memory slot for it
 * is created and deleted. If a vCPU that has found no slot resolves its fault
 * after another vCPU has mapped the new slot's page, kvm_tdp_mmu_map() of Linux
 * 7.3 warns of two page frames for one page. check-log allows the warning. To
 * see it:
 *
 *	(cd tools/testing/lab && gcc -O2 -pthread -o /tmp/race *-race.c)
 *	tools/testing/lab/run --kernel 7.3 --smp 3 --no-vfio -- /tmp/race 60
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define VCPUS	3
#define CODE	0x1000
#define MEMORY	0x8000	/* below is the slot of the code */

static int vm;

static int do_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "ioctl %#lx", request);
	return ret;
}

static void *make_memory(size_t size, int flags, int fd)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

static void set_slot(unsigned int slot, unsigned long gpa, unsigned long size, void *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (unsigned long)memory,
	};

	do_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static void *run_vcpu(void *arg)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vcpu;

	vcpu = ioctl(vm, KVM_CREATE_VCPU, (long)arg);
	if (vcpu < 0)
		err(1, "KVM_CREATE_VCPU");
	run = make_memory(4096, MAP_SHARED, vcpu);
	do_ioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.selector = 0;
	sregs.cs.base = 0;
	sregs.ds.selector = 0;
	sregs.ds.base = 0;
	do_ioctl(vcpu, KVM_SET_SREGS, &sregs);
	do_ioctl(vcpu, KVM_SET_REGS, &regs);
	/* An internal error: KVM could no longer fetch the instruction. */
	do {
		do_ioctl(vcpu, KVM_RUN, NULL);
	} while (run->exit_reason == KVM_EXIT_MMIO || run->exit_reason == KVM_EXIT_INTERNAL_ERROR);
	errx(1, "exit reason %u", run->exit_reason);
}

int main(int argc, char **argv)
{
	/* mov ax,[MEMORY]; jmp */
	static const unsigned char code[] = { 0xa1, 0x00, 0x80, 0xeb, 0xfb };
	unsigned char *low = make_memory(MEMORY, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	void *page = make_memory(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 60);
	int kvm = open("/dev/kvm", O_RDWR);
	pthread_t thread;
	long i;

	if (kvm < 0)
		err(1, "/dev/kvm");
	vm = do_ioctl(kvm, KVM_CREATE_VM, NULL);
	memcpy(low + CODE, code, sizeof(code));
	set_slot(0, 0, MEMORY, low);
	for (i = 0; i < VCPUS; i++)
		if (pthread_create(&thread, NULL, run_vcpu, (void *)i))
			errx(1, "pthread_create");
	while (time(NULL) < end) {
		set_slot(1, MEMORY, 4096, page);
		usleep(rand() % 300);
		set_slot(1, MEMORY, 0, page);
		usleep(rand() % 300);
	}
	return 0;
}
