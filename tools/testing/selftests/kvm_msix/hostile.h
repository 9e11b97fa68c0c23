/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's log, which nobody may fill: lines of KVM's, of its emulator's
 * and local APIC's, of the module's, and complaints of any kind, since
 * log_mark(). Others have their reasons to print. KCSAN's reports are no answer
 * to a guest: lab/check-log judges those.
 */
#ifndef SELFTEST_KVM_MSIX_HOSTILE_H
#define SELFTEST_KVM_MSIX_HOSTILE_H

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	TEST_ASSERT(fd >= 0, "/dev/kmsg: %s", strerror(errno));
	return fd;
}

static inline void log_mark(int fd)
{
	TEST_ASSERT(lseek(fd, 0, SEEK_END) >= 0, "/dev/kmsg: %s", strerror(errno));
}

static inline int log_lines(int fd)
{
	static const char * const ours[] = {
		"kvm", "apic", "emulat", "msix", "eventfd",
		"BUG", "WARN", "lockup", "Call Trace", "blocked for",
	};
	bool data_race = false;
	char line[2048];
	ssize_t len;
	int n = 0, i;

	for (;;) {
		len = read(fd, line, sizeof(line) - 1);
		if (len < 0 && errno == EPIPE) {
			/* It was overtaken: a flood. */
			n += 1000;
			continue;
		}
		if (len < 0)
			break;
		line[len] = 0;
		/* Its report ends with a line of these. */
		if (strstr(line, ";BUG: KCSAN: "))
			data_race = true;
		if (data_race) {
			data_race = !strstr(line, ";=====");
			continue;
		}
		for (i = 0; i < ARRAY_SIZE(ours); i++)
			if (strcasestr(line, ours[i]))
				break;
		if (i < ARRAY_SIZE(ours)) {
			printf("# log: %s", line);
			n++;
		}
	}
	return n;
}

#endif /* SELFTEST_KVM_MSIX_HOSTILE_H */
