/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of hostile guests and processes share: checks that the kernel
 * has logged nothing, and a child process for what may kill its process.
 *
 * Count the log's lines since log_mark() of KVM, of KVM's emulator and local APIC,
 * of the module, and complaints of any kind; other parts of the kernel may print.
 * Leave out KCSAN's reports, which no guest provokes: lab/check-log judges them.
 */
#ifndef SELFTEST_KVM_MSIX_HOSTILE_H
#define SELFTEST_KVM_MSIX_HOSTILE_H

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a test's functions are done to; each test has its own. */
struct victim;

/* Expect that @wrong, which says what is wrong, is NULL; a failure prints @wrong. */
#define EXPECT_RIGHT(wrong, what)						\
do {										\
	const char *_wrong = wrong;						\
										\
	EXPECT_STREQ("right", _wrong ? _wrong : "right") {			\
		TH_LOG("%s", what);						\
	}									\
} while (0)

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
			/* The log has overtaken the reader: a flood. */
			n += 1000;
			continue;
		}
		if (len < 0)
			break;
		line[len] = 0;
		/* A report of KCSAN ends with a line of "=". */
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

/* Run @fn in a child; returns its result: 0, or the number of the mistake. */
static inline int in_child(int (*fn)(struct victim *v, void *arg), struct victim *v, void *arg)
{
	pid_t pid = fork();
	int status;

	TEST_ASSERT(pid >= 0, "fork");
	if (!pid)
		_exit(fn(v, arg));
	TEST_ASSERT(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif /* SELFTEST_KVM_MSIX_HOSTILE_H */
