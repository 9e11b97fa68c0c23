// SPDX-License-Identifier: GPL-2.0-only
/*
 * One mistake of each kind that a debug kernel or a CPU should find, made when
 * the module is loaded with what=NAME. If a mistake is not found, its detector
 * is broken.
 *
 * The bugs in this file are deliberate.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/kvm_host.h>
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

/* The compiler must not know the value. */
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

	/* Not index 4: a pointer to the end of an array is valid. */
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

/* If only one of two threads marks its accesses, they race all the same. */
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

/*
 * kvm_msix, too, finds kvm_arch_set_irq_inatomic() by name. KVM never calls the
 * function through a pointer, so the kernel has overwritten its ENDBR: with IBT
 * an indirect call of the function is a panic. Without IBT the call returns, as
 * no route is of this type.
 */
static void sealed_call(void)
{
	struct kprobe probe = {
		.symbol_name = "kvm:kvm_arch_set_irq_inatomic",
		.flags = KPROBE_FLAG_DISABLED,
	};
	struct kvm_kernel_irq_routing_entry entry = { .type = ~0 };
	typeof(kvm_arch_set_irq_inatomic) *call;

	if (register_kprobe(&probe))
		return;
	/* The function's start; the probe's address is behind the ENDBR. */
	call = (void *)((unsigned long)probe.addr & ~15ul);
	unregister_kprobe(&probe);
	OPTIMIZER_HIDE_VAR(call);
	pr_info("%pS says %d\n", call, call(&entry, NULL, 0, 1, false));
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
	{ "sealed-call", sealed_call },
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
