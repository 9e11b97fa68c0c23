// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMM that may not open files: a launcher opens /dev/kvm and /dev/kvm_msix, and
 * passes both by SCM_RIGHTS. The VMM creates the VM and the functions itself, as
 * each takes ioctls only from the address space that has created it.
 *
 * The VMM passes fds to a process that emulates a device, and has another address
 * space. With the device fd, the process can map a table that can be mapped, but
 * make no ioctl; the VM's fd has no use here. The process needs only the eventfd,
 * to signal events.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm_msix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "guest.h"
#include "msix.h"

#define TABLE	0xd0000
#define PAGE	4096
#define VECTOR	0x40
#define MAX_FDS	3

union control {
	char buf[CMSG_SPACE(MAX_FDS * sizeof(int))];
	struct cmsghdr align;
};

static void send_fds(int to, const int *fds, int nr)
{
	union control control = { 0 };
	struct iovec byte = { .iov_base = "", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, nr * sizeof(int));
	if (sendmsg(to, &msg, 0) != 1)
		err(1, "sendmsg");
}

static void receive_fds(int from, int *fds, int nr)
{
	union control control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != 1)
		err(1, "recvmsg");
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS || cmsg->cmsg_len != CMSG_LEN(nr * sizeof(int)))
		errx(1, "no file descriptors came");
	memcpy(fds, CMSG_DATA(cmsg), nr * sizeof(int));
}

static uint32_t mmap_flag(int node)
{
	return msix_capabilities(node) & KVM_MSIX_CAP_MMAP ? KVM_MSIX_CREATE_MMAP : 0;
}

/* The process of the device, which has only the socket. */
static int run_device(int vmm, int node)
{
	enum { VM, DEV, EVENT, NR };
	int fds[NR];
	void *table;

	receive_fds(vmm, fds, NR);
	expect(msix_create_at(node, fds[VM], 0, 0) == -1 && errno == EIO,
	       "device: another process's VM cannot have a function from here");
	expect(msix_control(fds[DEV], 0) == -1 && errno == EIO,
	       "device: another process's function takes no ioctl");
	if (mmap_flag(node)) {
		table = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[DEV], 0);
		expect(table != MAP_FAILED && ((uint32_t *)table)[2] == VECTOR,
		       "device: but its table can be mapped");
	}
	eventfd_write(fds[EVENT], 1);
	return 0;
}

static pid_t start_device(int *socket_fd, int node)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		err(1, "socketpair");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		exit(run_device(pair[1], node));
	close(pair[1]);
	*socket_fd = pair[0];
	return pid;
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "a process has failed");
}

/* The VMM, which opens no file. */
static int run_vmm(int launcher)
{
	enum { KVM, NODE, NR };
	int fds[NR], dev, event = eventfd(0, EFD_CLOEXEC), device;
	struct guest g;
	pid_t pid;

	receive_fds(launcher, fds, NR);
	/* Start the device before creating the VM, as if the device were jailed. */
	pid = start_device(&device, fds[NODE]);

	guest_create(&g, fds[KVM]);
	dev = msix_create_at(fds[NODE], g.vm, mmap_flag(fds[NODE]), 0);
	expect(dev >= 0, "VMM: a function is made with fds that were given");
	msix_set_addr(dev, TABLE, NOWHERE);
	msix_bind(dev, event);
	guest_store(&g, TABLE, 0xfee00000);
	guest_store(&g, TABLE + 8, VECTOR);
	guest_store(&g, TABLE + 12, 0);
	if (msix_control(dev, MSIX_ENABLE))
		err(1, "KVM_MSIX_CONTROL");

	fflush(stdout);
	send_fds(device, (int[]){ g.vm, dev, event }, 3);
	wait_for(pid);
	expect(guest_takes(&g, VECTOR), "VMM: the device's signal is an interrupt");

	close(dev);
	guest_destroy(&g);
	return 0;
}

int main(void)
{
	int pair[2], fds[2];
	pid_t pid;

	/* Launcher and VMM have different address spaces. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		err(1, "socketpair");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		exit(run_vmm(pair[1]));

	fds[0] = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	fds[1] = open("/dev/kvm_msix", O_RDWR | O_CLOEXEC);
	if (fds[0] < 0 || fds[1] < 0)
		err(1, "/dev/kvm and /dev/kvm_msix");
	send_fds(pair[0], fds, 2);
	wait_for(pid);
	return 0;
}
