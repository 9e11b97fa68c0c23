// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapped table whose memory type is uncached for the guest, as drivers map a
 * BAR, and write-back for the kernel and the VMM: no party may read old data.
 *
 * The test runs rounds for each memory type of the guest's page. In a round the
 * guest masks the vector and programs a new message; the device signals; the
 * guest finds the pending bit, and unmasks; and the new message arrives.
 * Meanwhile two threads read the page, so that its lines are in the caches of
 * their CPUs when the guest stores.
 *
 * An emulated machine has no caches: this test is for real machines. Run it
 * with a CPU for the guest and one for each reader.
 *
 * usage: memory_type_test [-n ROUNDS]
 */
#include <pthread.h>
#include <sys/mman.h>

#include "kselftest.h"
#include "kvm_msix_util.h"

#define PAGE		4096u
#define NR_READERS	2
#define FIRST_VECTOR	0x40
#define NR_MESSAGES	64

/* Two bits of a page table entry's index into the PAT. */
#define PTE_PWT		BIT_ULL(3)
#define PTE_PCD		BIT_ULL(4)

/* Memory types by the PAT's value after a processor's reset. */
static const struct memory_type {
	const char *name;
	u64 pte;
} types[] = {
	{ "WB", 0 },
	{ "WT", PTE_PWT },
	{ "UC-", PTE_PCD },
	{ "UC", PTE_PCD | PTE_PWT },
};

struct reader {
	const u64 *page;
	u64 sum;
	bool stop;
};

static void *reader_thread(void *arg)
{
	struct reader *r = arg;
	u32 i;

	while (!READ_ONCE(r->stop))
		for (i = 0; i < PAGE / sizeof(*r->page); i++)
			r->sum += READ_ONCE(r->page[i]);
	return NULL;
}

struct machine {
	struct msix_vm *m;
	struct msix_dev d;
	int event;
	u32 *mem;
};

static void setup(struct machine *t, const struct memory_type *type)
{
	t->m = msix_vm_create(1, NULL);
	*vm_get_page_table_entry(t->m->vm, BAR_GPA) |= type->pte;
	t->d = msix_create_mapped(t->m->vm, 1, 0);
	msix_set_addr(&t->d, BAR_GPA, BAR_GPA + MAPPED_PBA);
	t->mem = msix_map(t->d.fd, PAGE);
	t->event = event_create();
	msix_bind_one(&t->d, 0, t->event, -1);
	msix_control(&t->d, ENABLE);
}

static void teardown(struct machine *t)
{
	munmap(t->mem, PAGE);
	close(t->d.fd);
	close(t->event);
	msix_vm_free(t->m);
}

static void run_round(struct machine *t, u32 round, u64 *irqs)
{
	u8 vector = FIRST_VECTOR + round % NR_MESSAGES;

	entry_mask(t->m, &t->d, 0);
	TEST_ASSERT(READ_ONCE(t->mem[ENTRY_CTRL / 4]) == MASKED,
		    "round %u: the VMM reads a vector that is masked as unmasked", round);
	entry_program(t->m, &t->d, 0, MSI_ADDR(0), vector);
	TEST_ASSERT(READ_ONCE(t->mem[ENTRY_DATA / 4]) == vector,
		    "round %u: the VMM reads old data", round);
	event_signal(t->event);
	TEST_ASSERT(pba_read(t->m, &t->d, 0),
		    "round %u: the guest does not see the pending bit", round);
	TEST_ASSERT(t->m->cpu[0]->irqs[vector] == irqs[vector],
		    "round %u: a message of a masked vector", round);
	entry_unmask(t->m, &t->d, 0);
	irqs[vector]++;
	TEST_ASSERT(msix_irqs(t->m, 0, vector, irqs[vector]) == irqs[vector],
		    "round %u: the message did not arrive as it was programmed", round);
	TEST_ASSERT(!pba_read(t->m, &t->d, 0),
		    "round %u: the guest sees a pending bit that is clear", round);
}

static void test(const struct memory_type *type, u32 rounds)
{
	struct reader reader[NR_READERS] = {};
	pthread_t thread[NR_READERS];
	u64 irqs[256] = {};
	struct machine t;
	u32 i;

	setup(&t, type);
	for (i = 0; i < NR_READERS; i++) {
		reader[i].page = (u64 *)t.mem;
		TEST_ASSERT(!pthread_create(&thread[i], NULL, reader_thread, &reader[i]),
			    "pthread_create");
	}
	for (i = 0; i < rounds; i++)
		run_round(&t, i, irqs);
	for (i = 0; i < NR_READERS; i++) {
		WRITE_ONCE(reader[i].stop, true);
		pthread_join(thread[i], NULL);
	}
	for (i = 0; i < 256; i++)
		TEST_ASSERT_EQ(t.m->cpu[0]->irqs[i], irqs[i]);
	teardown(&t);
	ksft_test_result_pass("%s: %u rounds\n", type->name, rounds);
}

int main(int argc, char **argv)
{
	u32 rounds = rounds_option(argc, argv, 50), i;

	ksft_print_header();
	kvm_msix_require();
	if (!msix_can_map())
		ksft_exit_skip("this machine has no KVM_MSIX_CAP_MMAP\n");
	ksft_set_plan(ARRAY_SIZE(types));
	for (i = 0; i < ARRAY_SIZE(types); i++)
		test(&types[i], rounds);
	ksft_finished();
}
