// SPDX-License-Identifier: GPL-2.0-only
/*
 * The code of the module that the fuzzer has reached, by KCOV: each thread gets
 * the addresses of the basic blocks that the kernel runs for the thread. See
 * Documentation/dev-tools/kcov.rst. KCOV does not see code run by interrupts.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "fuzz.h"

#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0
#define WORDS		(256 << 10)
#define SECTIONS	"/sys/module/kvm_msix/sections/"

/* A section of the module's text, with a mark for each byte that was reached. */
static struct section {
	const char *name;
	u64 base;
	u64 size;
	u8 *reached;
} sections[] = {
	{ .name = ".text" },
	{ .name = ".text.unlikely" },
};

static __thread u64 *area;
static u32 total;
static bool on;

static u64 read_address(const char *name)
{
	char path[128], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), SECTIONS "%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strtoull(text, NULL, 16);
}

void fuzz_kcov_init(void)
{
	struct section *s;
	u32 i;

	if (access("/sys/kernel/debug/kcov", R_OK | W_OK))
		return;
	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		s = &sections[i];
		s->base = read_address(s->name);
		s->size = s->base ? 1 << 20 : 0;
		s->reached = calloc(1, s->size);
	}
	on = sections[0].base;
}

bool fuzz_kcov_on(void)
{
	return on;
}

void fuzz_kcov_thread(void)
{
	int fd;

	if (!on)
		return;
	fd = open("/sys/kernel/debug/kcov", O_RDWR);
	TEST_ASSERT(fd >= 0 && !ioctl(fd, KCOV_INIT_TRACE, WORDS), "kcov: %s", strerror(errno));
	area = mmap(NULL, WORDS * sizeof(u64), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TEST_ASSERT(area != MAP_FAILED, "kcov: mmap: %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC), "kcov: enable: %s", strerror(errno));
}

/* A section's size is a guess: take the last section that begins before @pc. */
static struct section *section_of(u64 pc)
{
	struct section *s, *best = NULL;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		s = &sections[i];
		if (s->base && pc >= s->base && pc - s->base < s->size &&
		    (!best || s->base > best->base))
			best = s;
	}
	return best;
}

u32 fuzz_kcov_collect(void)
{
	struct section *s;
	u64 n, i, pc;
	u32 fresh = 0;

	if (!area)
		return 0;
	n = __atomic_load_n(&area[0], __ATOMIC_RELAXED);
	for (i = 1; i <= n && i < WORDS; i++) {
		pc = area[i];
		s = section_of(pc);
		if (s && !__atomic_exchange_n(&s->reached[pc - s->base], 1, __ATOMIC_RELAXED))
			fresh++;
	}
	__atomic_store_n(&area[0], 0, __ATOMIC_RELAXED);
	__atomic_add_fetch(&total, fresh, __ATOMIC_RELAXED);
	return fresh;
}

u32 fuzz_kcov_total(void)
{
	return total;
}
