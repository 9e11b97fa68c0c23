// SPDX-License-Identifier: GPL-2.0-only
/*
 * Posted interrupts: unmasked vectors are posted, and masks are as exact (13 of
 * kvm_msix-semantics.rst) as without posting.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "post.h"

#define NR	4
#define NEW	0x80

/*
 * Both variants always run, whatever msix_mapped() says: accesses to the table trap, or
 * the table is guest memory.
 */
FIXTURE(post) {
	struct msix_vm *m;
	struct msix_dev d;
	int event[NR];
	u64 sent[256];	/* interrupts expected by now */
};

FIXTURE_VARIANT(post) {
	bool mapped;
};

FIXTURE_VARIANT_ADD(post, trapped) {
	.mapped = false,
};

FIXTURE_VARIANT_ADD(post, mapped) {
	.mapped = true,
};

/* All vectors enabled, bound, attached, masked; entry v sends VEC(v) to vCPU 0. */
FIXTURE_SETUP(post)
{
	int i;

	if (!device_open())
		SKIP(return, NO_FAKEPOST);
	if (variant->mapped && !msix_can_map())
		SKIP(return, NO_MMAP);
	self->m = msix_vm_create(2, NULL);
	self->d = variant->mapped ? msix_create_mapped(self->m->vm, NR, 0) :
				    msix_create(self->m->vm, NR, 0);
	msix_set_addr(&self->d, BAR_GPA, BAR_GPA + MAPPED_PBA);
	for (i = 0; i < NR; i++) {
		self->event[i] = event_create();
		/* Producer and consumer may register in either order. */
		if (i & 1)
			attach(self->event[i]);
		msix_bind_one(&self->d, i, self->event[i], -1);
		if (!(i & 1))
			attach(self->event[i]);
		entry_program(self->m, &self->d, i, MSI_ADDR(0), VEC(i));
	}
	msix_control(&self->d, ENABLE);
}

FIXTURE_TEARDOWN(post)
{
	int i;

	EXPECT_NOTHING_ELSE(self->m, self->sent);
	close(self->d.fd);
	for (i = 0; i < NR; i++)
		EXPECT_FALSE(posted(self->event[i]));
	close(device);
	msix_vm_free(self->m);
}

/* The guest has had n more interrupts with the number vector. */
#define EXPECT_SENT(vector, n) EXPECT_MORE_IRQS(self->m, self->sent, vector, n)

/* Each of n events of vector v is one interrupt with the number vector. */
#define EXPECT_FIRED(v, vector, n)						\
do {										\
	int _n;									\
										\
	for (_n = (n); _n; _n--) {						\
		fire(self->event[v]);						\
		EXPECT_SENT(vector, 1);						\
	}									\
} while (0)

/* Have the module post vector v, which is unmasked and not posted. */
#define ASSERT_GETS_POSTED(v, vector)						\
do {										\
	u32 _v = (v);								\
										\
	EXPECT_FIRED(_v, vector, EVENTS);					\
	ASSERT_TRUE(wait_posted(self->event[_v]));				\
} while (0)

#define ASSERT_UNMASKED_AND_POSTED(v)						\
do {										\
	u32 _u = (v);								\
										\
	entry_unmask(self->m, &self->d, _u);					\
	ASSERT_GETS_POSTED(_u, VEC(_u));					\
} while (0)

TEST_F(post, posts)
{
	int i, stats_fd;
	u64 events;

	for (i = 0; i < NR; i++)
		entry_unmask(self->m, &self->d, i);
	for (i = 0; i < NR; i++) {
		EXPECT_FIRED(i, VEC(i), EVENTS - 1);
		usleep(5 * QUIET_US);
		EXPECT_FALSE(posted(self->event[i]));
		EXPECT_FIRED(i, VEC(i), 1);
		ASSERT_TRUE(wait_posted(self->event[i]));
	}
	events = kvm_msix_counter("events");
	EXPECT_EQ(NR * EVENTS, events);
	for (i = 0; i < NR; i++)
		EXPECT_FIRED(i, VEC(i), 10);
	EXPECT_EQ(events, kvm_msix_counter("events"));
	EXPECT_EQ(10 * NR, device_stats().posted);
	EXPECT_EQ(NR, device_stats().to_posted);
	EXPECT_EQ(NR, kvm_msix_counter("posts"));
	EXPECT_EQ(0, kvm_msix_counter("unposts"));

	/* A store to a table in memory may concern any vector. */
	stats_fd = msix_stats_fd(&self->d);
	entry_mask(self->m, &self->d, 1);
	for (i = 0; i < NR; i++) {
		bool stops = i == 1 || variant->mapped;

		EXPECT_EQ(1, msix_stat(stats_fd, "posts", i));
		EXPECT_EQ(stops, msix_stat(stats_fd, "unposts", i));
		EXPECT_EQ(!stops, msix_stat(stats_fd, "posted", i));
	}
	close(stats_fd);
}

/* After a mask no message arrives, and no event is lost. */
TEST_F(post, mask_latches)
{
	int i;

	entry_unmask(self->m, &self->d, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_GETS_POSTED(0, VEC(0));
		EXPECT_FIRED(0, VEC(0), 1);
		entry_mask(self->m, &self->d, 0);
		EXPECT_FALSE(posted(self->event[0]));
		EXPECT_FALSE(pba_read(self->m, &self->d, 0));
		fire(self->event[0]);
		fire(self->event[0]);
		EXPECT_SENT(VEC(0), 0);
		EXPECT_TRUE(msix_pending(&self->d, 0));
		EXPECT_TRUE(pba_read(self->m, &self->d, 0));
		entry_unmask(self->m, &self->d, 0);
		EXPECT_SENT(VEC(0), 1);
		EXPECT_FALSE(msix_pending(&self->d, 0));
	}
	EXPECT_EQ(4, kvm_msix_counter("unposts"));
	EXPECT_EQ(4, device_stats().to_remapped);
}

/* However many events a masked vector has, the vector is not posted. */
TEST_F(post, masked_is_not_posted)
{
	int i;

	for (i = 0; i < 3 * EVENTS; i++)
		fire(self->event[0]);
	usleep(5 * QUIET_US);
	EXPECT_FALSE(posted(self->event[0]));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_SENT(VEC(0), 1);
	EXPECT_EQ(0, device_stats().to_posted);
}

/* 27: a vector with several eventfds is not posted, and no event is lost or doubled. */
TEST_F(post, several_eventfds)
{
	int second = event_create(), i;

	attach(second);
	ASSERT_UNMASKED_AND_POSTED(0);
	ASSERT_EQ(0, __msix_add(self->d.fd, 0, second));
	EXPECT_FALSE(posted(self->event[0]));
	for (i = 0; i < 2 * EVENTS; i++) {
		fire(i & 1 ? second : self->event[0]);
		EXPECT_SENT(VEC(0), 1);
	}
	usleep(5 * QUIET_US);
	EXPECT_FALSE(posted(self->event[0]));
	EXPECT_FALSE(posted(second));
	entry_mask(self->m, &self->d, 0);
	fire(self->event[0]);
	fire(second);
	EXPECT_TRUE(msix_pending(&self->d, 0));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_SENT(VEC(0), 1);

	/* With one eventfd left, the vector is posted again. */
	ASSERT_EQ(0, __msix_remove(self->d.fd, 0, second));
	ASSERT_GETS_POSTED(0, VEC(0));
	EXPECT_FALSE(posted(second));
	detach(second);
	close(second);
}

TEST_F(post, message_changes)
{
	ASSERT_UNMASKED_AND_POSTED(0);
	entry_write(self->m, &self->d, 0, ENTRY_DATA, NEW);
	EXPECT_FIRED(0, NEW, 3);
	ASSERT_GETS_POSTED(0, NEW);
	EXPECT_FIRED(0, NEW, 3);
	/* This message has no destination. */
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, 0x1000);
	EXPECT_FALSE(posted(self->event[0]));
	fire(self->event[0]);
	EXPECT_SENT(NEW, 0);
	EXPECT_EQ(1, kvm_msix_counter("dropped"));
}

/* As Linux does it: mask, address, data, unmask. */
TEST_F(post, affinity_changes)
{
	int i;

	entry_unmask(self->m, &self->d, 0);
	ASSERT_GETS_POSTED(0, VEC(0));
	for (i = 0; i < 3; i++) {
		entry_mask(self->m, &self->d, 0);
		fire(self->event[0]);
		entry_program(self->m, &self->d, 0, MSI_ADDR(0), NEW + i);
		entry_unmask(self->m, &self->d, 0);
		EXPECT_SENT(NEW + i, 1);
		ASSERT_GETS_POSTED(0, NEW + i);
		EXPECT_FIRED(0, NEW + i, 1);
	}
}

/* A change of one vector loses no message of another vector. */
TEST_F(post, others)
{
	ASSERT_UNMASKED_AND_POSTED(0);
	ASSERT_UNMASKED_AND_POSTED(1);
	if (variant->mapped) {
		/* The unmask of vector 1 stored to the page, and so remapped vector 0. */
		ASSERT_GETS_POSTED(0, VEC(0));
		EXPECT_TRUE(posted(self->event[1]));
	}
	EXPECT_TRUE(posted(self->event[0]));
	entry_mask(self->m, &self->d, 1);
	EXPECT_EQ(!variant->mapped, posted(self->event[0]));
	EXPECT_FALSE(posted(self->event[1]));
	EXPECT_FIRED(0, VEC(0), 3);
	fire(self->event[1]);
	EXPECT_SENT(VEC(1), 0);
	entry_unmask(self->m, &self->d, 1);
	EXPECT_SENT(VEC(1), 1);
}

TEST_F(post, function_mask_and_disable)
{
	static const u32 off[] = { ENABLE | FUNCTION_MASK, 0 };
	int i;

	entry_unmask(self->m, &self->d, 0);
	for (i = 0; i < 2; i++) {
		ASSERT_GETS_POSTED(0, VEC(0));
		msix_control(&self->d, off[i]);
		EXPECT_FALSE(posted(self->event[0]));
		fire(self->event[0]);
		EXPECT_SENT(VEC(0), 0);
		EXPECT_TRUE(msix_pending(&self->d, 0));
		msix_control(&self->d, ENABLE);
		EXPECT_SENT(VEC(0), 1);
	}
}

TEST_F(post, reset)
{
	ASSERT_UNMASKED_AND_POSTED(0);
	msix_reset(&self->d);
	EXPECT_FALSE(posted(self->event[0]));
	fire(self->event[0]);
	EXPECT_SENT(VEC(0), 0);
	EXPECT_TRUE(msix_pending(&self->d, 0));
}

TEST_F(post, set_state)
{
	struct msix_state *s;

	ASSERT_UNMASKED_AND_POSTED(0);
	s = msix_get_state(self->d.fd, NR);
	EXPECT_TRUE(posted(self->event[0]));
	s->entry[0][ENTRY_DATA / 4] = NEW;
	ASSERT_EQ(0, __msix_set_state(self->d.fd, s));
	EXPECT_FALSE(posted(self->event[0]));
	EXPECT_FIRED(0, NEW, 1);
	ASSERT_GETS_POSTED(0, NEW);
	s->entry[0][ENTRY_CTRL / 4] = MASKED;
	ASSERT_EQ(0, __msix_set_state(self->d.fd, s));
	EXPECT_FALSE(posted(self->event[0]));
	fire(self->event[0]);
	EXPECT_SENT(NEW, 0);
	EXPECT_TRUE(msix_pending(&self->d, 0));
	msix_state_free(s);
}

/* A vector stays posted when its table moves; the moved table masks the vector. */
TEST_F(post, set_addr)
{
	ASSERT_UNMASKED_AND_POSTED(0);
	msix_set_addr(&self->d, NOWHERE, NOWHERE);
	fire(self->event[0]);
	EXPECT_SENT(VEC(0), 1);
	msix_set_addr(&self->d, BAR_GPA + 0x4000, BAR_GPA + 0x4000 + MAPPED_PBA);
	fire(self->event[0]);
	EXPECT_SENT(VEC(0), 1);
	EXPECT_TRUE(posted(self->event[0]));
	entry_mask(self->m, &self->d, 0);
	EXPECT_FALSE(posted(self->event[0]));
	fire(self->event[0]);
	EXPECT_SENT(VEC(0), 0);
	EXPECT_TRUE(pba_read(self->m, &self->d, 0));
}

/* Events that arrive while the vector is unbound stay in the eventfd. */
TEST_F(post, unbind)
{
	int other = event_create(), i;

	entry_unmask(self->m, &self->d, 0);
	for (i = 0; i < 3; i++) {
		ASSERT_GETS_POSTED(0, VEC(0));
		msix_bind_one(&self->d, 0, -1, -1);
		EXPECT_FALSE(posted(self->event[0]));
		fire(self->event[0]);
		EXPECT_SENT(VEC(0), 0);
		msix_bind_one(&self->d, 0, self->event[0], -1);
		EXPECT_SENT(VEC(0), 1);
	}
	/* Binding the same eventfd again changes nothing; binding another does. */
	ASSERT_GETS_POSTED(0, VEC(0));
	msix_bind_one(&self->d, 0, self->event[0], -1);
	EXPECT_TRUE(posted(self->event[0]));
	msix_bind_one(&self->d, 0, other, -1);
	EXPECT_FALSE(posted(self->event[0]));
	fire(self->event[0]);
	EXPECT_SENT(VEC(0), 0);
	EXPECT_EQ(1, event_drain(self->event[0]));
	event_signal(other);
	EXPECT_SENT(VEC(0), 1);
}

/* The producer unregisters and registers, as by VFIO_DEVICE_SET_IRQS. */
TEST_F(post, producer)
{
	int i;

	entry_unmask(self->m, &self->d, 0);
	for (i = 0; i < 3; i++) {
		ASSERT_GETS_POSTED(0, VEC(0));
		detach(self->event[0]);
		event_signal(self->event[0]);
		EXPECT_SENT(VEC(0), 1);
		attach(self->event[0]);
		EXPECT_FALSE(posted(self->event[0]));
	}
}

/* Signals from userspace are events, whether the vector is posted or not. */
TEST_F(post, signal)
{
	int i;

	ASSERT_UNMASKED_AND_POSTED(0);
	for (i = 0; i < EVENTS / 2; i++) {
		event_signal(self->event[0]);
		EXPECT_SENT(VEC(0), 1);
		EXPECT_FIRED(0, VEC(0), 1);
	}
	EXPECT_TRUE(posted(self->event[0]));
	entry_mask(self->m, &self->d, 0);
	event_signal(self->event[0]);
	EXPECT_TRUE(msix_pending(&self->d, 0));
}

/* KVM does not post a message to two vCPUs; the message arrives all the same. */
TEST_F(post, cannot_be_posted)
{
	int ms;

	/* vCPU 1 is a destination only after it has run. */
	msix_irqs(self->m, 1, 0, 0);
	entry_write(self->m, &self->d, 0, ENTRY_ADDR_LO, MSI_ADDR(3) | MSI_LOGICAL);
	entry_unmask(self->m, &self->d, 0);
	EXPECT_FIRED(0, VEC(0), 4 * EVENTS);
	for (ms = 0; ms < PATIENCE_MS && !kvm_msix_counter("posts"); ms++)
		usleep(1000);
	EXPECT_FALSE(posted(self->event[0]));
	EXPECT_EQ(0, device_stats().posted);
	/* The module has tried to post, but not for each event. */
	EXPECT_LT(0, kvm_msix_counter("posts"));
	EXPECT_GT(EVENTS, kvm_msix_counter("posts"));
}

/* Up to 6.16 KVM looks messages up in the routing table, which is replaced here. */
TEST_F(post, routes_replaced)
{
	struct kvm_irq_routing_entry e[] = {
		msi_route(30, MSI_ADDR(0), NEW), msi_route(40, MSI_ADDR(0), NEW + 1),
	};
	int i;

	entry_unmask(self->m, &self->d, 0);
	entry_unmask(self->m, &self->d, 1);
	for (i = 0; i < 3; i++) {
		/* Alternate between a table with this GSI and a shorter table. */
		ASSERT_EQ(0, __kvm_set_gsi_routing(self->m->vm, 2 - i % 2, e));
		ASSERT_GETS_POSTED(0, VEC(0));
		ASSERT_EQ(0, __kvm_set_gsi_routing(self->m->vm, 1 + i % 2, e));
		EXPECT_TRUE(posted(self->event[0]));
		EXPECT_FIRED(0, VEC(0), 1);
		entry_mask(self->m, &self->d, 0);
		EXPECT_FALSE(posted(self->event[0]));
		fire(self->event[0]);
		EXPECT_SENT(VEC(0), 0);
		entry_unmask(self->m, &self->d, 0);
		EXPECT_SENT(VEC(0), 1);
		/* The table has the VMM's routes, and no other route. */
		kvm_irq_pulse(self->m->vm, 30);
		EXPECT_SENT(NEW, 1);
	}
	/* Destroy the function while a vector is posted and no route is left. */
	ASSERT_GETS_POSTED(1, VEC(1));
	ASSERT_EQ(0, __kvm_set_gsi_routing(self->m->vm, 0, e));
	EXPECT_TRUE(posted(self->event[1]));
}

/*
 * The more often a guest masks, the less often its vector is posted. A late mask, of a
 * guest that was held up, ends a long time of being posted: the backoff starts again at
 * 0, and up to three more switches to posted follow, besides the one that was late.
 */
TEST_F(post, backs_off)
{
	int masks, often, late = 0, j;
	double start;
	u64 posts;

	ASSERT_UNMASKED_AND_POSTED(0);
	for (masks = often = 0; often < 300 && masks < 3000; masks++) {
		start = seconds();
		for (j = 0; j < EVENTS; j++)
			fire(self->event[0]);
		usleep(2 * QUIET_US);
		entry_mask(self->m, &self->d, 0);
		entry_unmask(self->m, &self->d, 0);
		if (seconds() - start < 4 * QUIET_US / 1e6)
			often++;
		else
			late++;
	}
	posts = device_stats().to_posted;
	printf("# %i masks, %i of them late, posted %lu times\n", masks, late, posts);
	EXPECT_LT(0, posts);
	EXPECT_GE(20 + 4 * late, posts);
	EXPECT_GE(posts, device_stats().to_remapped);
	/* EVENTS signals in a row are at least one interrupt. */
	self->sent[VEC(0)] = self->m->cpu[0]->irqs[VEC(0)];
	EXPECT_LE(masks, self->sent[VEC(0)]);
}

/* A store remaps the vector even if the table is mapped after the vector was posted. */
TEST(mapped_later)
{
	struct kvm_msix_create create = {
		.flags = KVM_MSIX_CREATE_MMAP,
		.nr_vectors = 1,
	};
	struct msix_vm *m;
	struct msix_dev d;
	int event, i;
	u32 *table;
	u64 sent = 0;

	if (!device_open())
		SKIP(return, NO_FAKEPOST);
	if (!msix_can_map())
		SKIP(return, NO_MMAP);
	m = msix_vm_create(1, NULL);
	create.vm_fd = m->vm->fd;
	d = (struct msix_dev) { .nr = 1, .fd = msix_create_args(&create) };
	msix_set_addr(&d, BAR_GPA, BAR_GPA + MAPPED_PBA);
	event = event_create();
	attach(event);
	msix_bind_one(&d, 0, event, -1);
	entry_program(m, &d, 0, MSI_ADDR(0), VEC(0));
	entry_unmask(m, &d, 0);
	msix_control(&d, ENABLE);
	for (i = 0; i < EVENTS; i++) {
		fire(event);
		ASSERT_EQ(++sent, msix_irqs(m, 0, VEC(0), sent));
	}
	ASSERT_TRUE(wait_posted(event));

	table = msix_map(d.fd, getpagesize());
	EXPECT_EQ(0, READ_ONCE(table[ENTRY_CTRL / 4]));
	EXPECT_TRUE(posted(event));
	WRITE_ONCE(table[ENTRY_CTRL / 4], MASKED);
	EXPECT_FALSE(posted(event));
	fire(event);
	EXPECT_EQ(sent, msix_irqs(m, 0, VEC(0), sent));
	EXPECT_TRUE(msix_pending(&d, 0));
	/* Stores of the VMM are announced, as stores of the guest are. */
	WRITE_ONCE(table[ENTRY_CTRL / 4], 0);
	EXPECT_EQ(++sent, msix_irqs(m, 0, VEC(0), sent));
	for (i = 0; i < EVENTS; i++) {
		fire(event);
		ASSERT_EQ(++sent, msix_irqs(m, 0, VEC(0), sent));
	}
	ASSERT_TRUE(wait_posted(event));
	WRITE_ONCE(table[ENTRY_CTRL / 4], MASKED);
	EXPECT_FALSE(posted(event));
	fire(event);
	EXPECT_EQ(sent, msix_irqs(m, 0, VEC(0), sent));
	EXPECT_TRUE(msix_pending(&d, 0));

	munmap(table, getpagesize());
	close(d.fd);
	close(device);
	msix_vm_free(m);
}

/* process_vm_writev() with the page of its target pinned, waiting for the value. */
struct late_store {
	int uffd;
	u32 *from;
	u32 *to;
};

static void late_store_prepare(struct late_store *late, u32 *to)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	late->to = to;
	late->from = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(late->from != MAP_FAILED, "mmap: %s", strerror(errno));
	reg.range.start = (uintptr_t)late->from;
	reg.range.len = getpagesize();
	TEST_ASSERT(!ioctl(late->uffd, UFFDIO_API, &api) &&
		    !ioctl(late->uffd, UFFDIO_REGISTER, &reg), "userfaultfd: %s", strerror(errno));
}

static void *late_store_thread(void *arg)
{
	struct late_store *late = arg;
	struct iovec from = { late->from, 4 }, to = { late->to, 4 };

	TEST_ASSERT(process_vm_writev(getpid(), &from, 1, &to, 1, 0) == 4,
		    "process_vm_writev: %s", strerror(errno));
	return NULL;
}

static void late_store_wait(struct late_store *late)
{
	struct uffd_msg msg;

	TEST_ASSERT(read(late->uffd, &msg, sizeof(msg)) == sizeof(msg), "userfaultfd");
}

static void late_store_go(struct late_store *late, u32 value)
{
	u32 *page = aligned_alloc(getpagesize(), getpagesize());
	struct uffdio_copy copy = {
		.dst = (uintptr_t)late->from, .src = (uintptr_t)page, .len = getpagesize(),
	};

	page[0] = value;
	TEST_ASSERT(!ioctl(late->uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY: %s", strerror(errno));
	free(page);
}

/* A store to a pinned page will not fault: the vector must not be posted meanwhile. */
TEST_F(post, late_store)
{
	struct late_store late = { .uffd = syscall(SYS_userfaultfd, O_CLOEXEC) };
	pthread_t thread;
	u32 *table;

	if (!variant->mapped)
		SKIP(return, "a trapped table has no pages");
	if (process_vm_readv(getpid(), NULL, 0, NULL, 0, 0))
		SKIP(return, "this kernel has no CONFIG_CROSS_MEMORY_ATTACH");
	if (late.uffd < 0)
		SKIP(return, "no userfaultfd: %s", strerror(errno));
	table = msix_map(self->d.fd, getpagesize());
	entry_unmask(self->m, &self->d, 0);
	late_store_prepare(&late, table + ENTRY_CTRL / 4);
	pthread_create(&thread, NULL, late_store_thread, &late);
	late_store_wait(&late);
	EXPECT_FIRED(0, VEC(0), 4 * EVENTS);
	usleep(20 * QUIET_US);
	EXPECT_FALSE(posted(self->event[0]));
	EXPECT_FIRED(0, VEC(0), 1);
	late_store_go(&late, MASKED);
	pthread_join(thread, NULL);
	EXPECT_EQ(MASKED, READ_ONCE(table[ENTRY_CTRL / 4]));
	fire(self->event[0]);
	EXPECT_SENT(VEC(0), 0);
	EXPECT_TRUE(msix_pending(&self->d, 0));
	entry_unmask(self->m, &self->d, 0);
	EXPECT_SENT(VEC(0), 1);
	ASSERT_GETS_POSTED(0, VEC(0));

	munmap(late.from, getpagesize());
	munmap(table, getpagesize());
	close(late.uffd);
}

/*
 * Many vectors that are due at once are posted a few hundred a second.
 */
#define CROWD	700
#define CROWD_A_SECOND	500	/* of 1000 switches: the module counts two a vector */

TEST(budget)
{
	struct msix_state *s = msix_state_alloc(CROWD);
	int event[CROWD], i;
	double start, time;
	struct msix_vm *m;
	struct msix_dev d;

	if (!device_open())
		SKIP(return, NO_FAKEPOST);
	msix_set_post_events(1);
	m = msix_vm_create(1, NULL);
	ASSERT_EQ(0, __msix_create(m->vm->fd, CROWD, 0, &d.fd));
	for (i = 0; i < CROWD; i++) {
		s->entry[i][ENTRY_ADDR_LO / 4] = MSI_ADDR(0);
		s->entry[i][ENTRY_DATA / 4] = VEC(0);
		event[i] = event_create();
		attach(event[i]);
		msix_bind_one(&d, i, event[i], -1);
	}
	s->control = ENABLE;
	ASSERT_EQ(0, __msix_set_state(d.fd, s));
	/* The second of POST_MAX_SWITCHES begins when the first vector is posted. */
	sleep(1);
	start = seconds();
	for (i = 0; i < CROWD; i++)
		fire(event[i]);
	for (i = 0; i < CROWD; i++)
		EXPECT_TRUE(wait_posted(event[i]));
	time = seconds() - start;
	printf("# %u vectors posted in %.1f s\n", CROWD, time);
	EXPECT_EQ(CROWD, device_stats().to_posted);
	EXPECT_LT((CROWD - 1) / CROWD_A_SECOND, time);
	close(d.fd);
	for (i = 0; i < CROWD; i++)
		EXPECT_FALSE(posted(event[i]));
	close(device);
	msix_state_free(s);
	msix_vm_free(m);
}

KVM_MSIX_TEST_MAIN
