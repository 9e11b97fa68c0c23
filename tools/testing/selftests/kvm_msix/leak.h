/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module has left behind, seen from outside: VMs and functions,
 * references, mappings of vmalloc, objects that kmemleak finds. For tests that
 * run as root and alone. If the kernel does not show one of these, print a line
 * and skip that check.
 */
#ifndef SELFTEST_KVM_MSIX_LEAK_H
#define SELFTEST_KVM_MSIX_LEAK_H

#include "kselftest.h"
#include "kvm_msix_util.h"

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
/* Number of attempts: the last user of a file may release the file seconds late. */
#define LEAK_TRIES	100

/* Lines of @path that contain @what; the first goes to @first. -1: no such file. */
static inline long leak_lines(const char *path, const char *what, char *first, size_t size)
{
	char line[512];
	long n = 0;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, what) && !n++)
			snprintf(first, size, "%s", line);
	fclose(f);
	return n;
}

/* The number of a line "name: number" or "name number"; -1: no such line. */
static inline long leak_number(const char *path, const char *name)
{
	char line[512] = "";
	long val;

	if (leak_lines(path, name, line, sizeof(line)) < 1)
		return -1;
	if (sscanf(line + strcspn(line, "0123456789"), "%ld", &val) != 1)
		return -1;
	return val;
}

/* VMs and functions of this process, by debugfs. */
static inline void leak_check_objects(void)
{
	int n = 0, i;

	if (!kvm_msix_has_counters()) {
		ksft_print_msg("no debugfs\n");
		return;
	}
	for (i = 0; i < LEAK_TRIES; i++) {
		n = debugfs_entries("kvm", getpid()) + debugfs_entries("kvm_msix", getpid());
		if (!n)
			break;
		usleep(50000);
	}
	TEST_ASSERT(!n, "%i VMs and functions are left", n);
}

/* The module's mappings; the work of a closed fd may still be running. */
static inline void leak_check_vmalloc(void)
{
	char first[512] = "";
	long n = 0;
	int i;

	for (i = 0; i < LEAK_TRIES; i++) {
		n = leak_lines("/proc/vmallocinfo", "[kvm_msix]", first, sizeof(first));
		if (n <= 0)
			break;
		usleep(50000);
	}
	if (n < 0)
		ksft_print_msg("/proc/vmallocinfo: not readable\n");
	else
		TEST_ASSERT(!n, "%ld mappings are left, the first is %s", n, first);
}

static inline void leak_check_references(void)
{
	long n = 0;
	int i;

	for (i = 0; i < LEAK_TRIES; i++) {
		n = leak_number("/sys/module/kvm_msix/refcnt", "");
		if (n <= 0)
			break;
		usleep(50000);
	}
	if (n < 0)
		ksft_print_msg("kvm_msix is not a module\n");
	else
		TEST_ASSERT(!n, "%ld references to the module are left", n);
}

/* kmemleak reports objects older than five seconds, at its second scan. */
static inline void leak_check_kmemleak(void)
{
	char first[512] = "";
	long n;
	int fd, i;

	fd = open(KMEMLEAK, O_RDWR);
	if (fd < 0) {
		ksft_print_msg("no kmemleak in this kernel\n");
		return;
	}
	sleep(6);
	for (i = 0; i < 2; i++)
		TEST_ASSERT(write(fd, "scan", 4) == 4, "kmemleak: %s", strerror(errno));
	close(fd);
	n = leak_lines(KMEMLEAK, "[kvm_msix]", first, sizeof(first));
	TEST_ASSERT(!n, "kmemleak: %ld, the first by %s", n, first);
}

/* Call this when the test has closed everything. */
static inline void leak_check_all(void)
{
	leak_check_objects();
	leak_check_references();
	leak_check_vmalloc();
	leak_check_kmemleak();
}

#endif /* SELFTEST_KVM_MSIX_LEAK_H */
