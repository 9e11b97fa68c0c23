// SPDX-License-Identifier: GPL-2.0-only
/*
 * One mistake of each kind that a debug kernel is there to find, made when the
 * module is loaded with what=NAME. A detector that does not bite is broken.
 *
 * What is wrong with the code is what it is for.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static char *what = "";
module_param(what, charp, 0);
MODULE_PARM_DESC(what, "the mistake to make");

/* What the compiler must not see through. */
static unsigned long zero;

static void use_after_free(void)
{
	u32 *p = kzalloc(64, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
	kfree(p);
	if (p)
		WRITE_ONCE(*p, 1);
}

/* The module's tables are vmalloc'ed. */
static void vmalloc_overrun(void)
{
	u8 *p = vmalloc(PAGE_SIZE + 8);

	OPTIMIZER_HIDE_VAR(p);
	if (p)
		WRITE_ONCE(p[PAGE_SIZE + 8], 1);
	vfree(p);
}

static void leak(void)
{
	void *p = kmalloc(123, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
}

static void out_of_bounds(void)
{
	static u32 four[4];

	/* The address of one element more could be taken. */
	WRITE_ONCE(four[READ_ONCE(zero) + 5], 1);
}

static DEFINE_MUTEX(a);
static DEFINE_MUTEX(b);

static void lock_order(void)
{
	mutex_lock(&a);
	mutex_lock(&b);
	mutex_unlock(&b);
	mutex_unlock(&a);
	mutex_lock(&b);
	mutex_lock(&a);
	mutex_unlock(&a);
	mutex_unlock(&b);
}

static DEFINE_SPINLOCK(spin);

static void irq_unsafe_timer(struct timer_list *unused)
{
	spin_lock(&spin);
	spin_unlock(&spin);
}

static void irq_unsafe(void)
{
	static DEFINE_TIMER(timer, irq_unsafe_timer);

	mod_timer(&timer, jiffies);
	msleep(100);
	timer_delete_sync(&timer);
	spin_lock(&spin);
	spin_unlock(&spin);
}

static void held_lock_freed(void)
{
	struct mutex *lock = kmalloc(sizeof(*lock), GFP_KERNEL);

	if (!lock)
		return;
	mutex_init(lock);
	mutex_lock(lock);
	kfree(lock);
}

static void lock_kept(void)
{
	mutex_lock(&a);
}

static void atomic_sleep(void)
{
	spin_lock(&spin);
	kfree(kmalloc(64, GFP_KERNEL));
	spin_unlock(&spin);
}

static void rcu_unlocked(void)
{
	static void __rcu *pointer;

	WRITE_ONCE(zero, !!rcu_dereference(pointer));
}

static void active_object_freed(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, irq_unsafe_timer, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
}

static void lockup(void)
{
	unsigned long end = jiffies + 15 * HZ;

	preempt_disable();
	while (time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
}

static int block(void *unused)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule_timeout(25 * HZ);
	return 0;
}

static void hang(void)
{
	struct task_struct *task = kthread_run(block, NULL, "bait");

	if (!IS_ERR(task))
		ssleep(25);
}

/* Two threads, one of which marks its accesses: still a race. */
static unsigned long shared;

static noinline void write_plain(void)
{
	shared++;
}

static int write_plainly(void *until)
{
	while (time_before(jiffies, (unsigned long)until)) {
		write_plain();
		cond_resched();
	}
	return 0;
}

static void unmarked_access(void)
{
	unsigned long until = jiffies + 5 * HZ;
	struct task_struct *task = kthread_run(write_plainly, (void *)until, "bait");

	if (IS_ERR(task))
		return;
	while (time_before(jiffies, until)) {
		WRITE_ONCE(zero, READ_ONCE(shared) & 0);
		cond_resched();
	}
	ssleep(1);
}

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{ "use-after-free", use_after_free },
	{ "vmalloc-overrun", vmalloc_overrun },
	{ "leak", leak },
	{ "out-of-bounds", out_of_bounds },
	{ "lock-order", lock_order },
	{ "irq-unsafe", irq_unsafe },
	{ "held-lock-freed", held_lock_freed },
	{ "lock-kept", lock_kept },
	{ "atomic-sleep", atomic_sleep },
	{ "rcu-unlocked", rcu_unlocked },
	{ "active-object-freed", active_object_freed },
	{ "lockup", lockup },
	{ "hang", hang },
	{ "data-race", unmarked_access },
};

static int __init bait_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++)
		if (!strcmp(what, mistakes[i].name)) {
			mistakes[i].make();
			return 0;
		}
	return -EINVAL;
}
module_init(bait_init);

static void __exit bait_exit(void)
{
}
module_exit(bait_exit);

MODULE_DESCRIPTION("Mistakes for detectors to find");
MODULE_LICENSE("GPL");
