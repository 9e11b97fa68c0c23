// SPDX-License-Identifier: GPL-2.0-only
/*
 * Posted interrupts: on a host that can post, the IOMMU writes the messages of
 * a vector that may send straight into the vCPU's APIC, and the vCPU takes them
 * without an exit. Software never sees such a message, so no mask or pending
 * bit can act on it.
 *
 * A bound eventfd connects the device's interrupt and the vector: the owner of
 * the interrupt (VFIO) has registered an irqbypass producer for the eventfd,
 * and the vector registers the consumer, with a struct kvm_kernel_irqfd that
 * KVM does not know. KVM's own code then switches the interrupt's entry in the
 * IOMMU between two states:
 *
 *	posted    the message goes to the APIC
 *	remapped  the host takes the interrupt; its handler signals the eventfd
 *
 * Always true here:
 *  - A vector is posted only with its current message, and only while it may
 *    send. A change of the message or of a mask remaps the vector before the
 *    guest can know of the change. The switch waits for the IOMMU: a message
 *    that the IOMMU saw before the switch is in the APIC when the switch
 *    returns; a later message comes through the eventfd and is handled like any
 *    event.
 *  - A change in a mapped table is a store, and goes unseen unless the page is
 *    write-protected. Vectors of a function that can be mapped are therefore
 *    posted only while every store is announced (the pages are SEALED, see
 *    watch.c), and are remapped before the store is made.
 *  - Only post->work posts, each vector in one hold of post->lock:
 *
 *	post                       guest's write, trapped     guest's store, mapped
 *	  take post->lock            take vec->lock             fault
 *	  pages SEALED?              change the entry           not SEALED any more
 *	  vec->posted = true         drop vec->lock             take post->lock
 *	  take vec->lock             vec->posted?               remap what is posted
 *	  may send? the message        take post->lock          drop post->lock
 *	  drop vec->lock               remap                    make the page writable
 *	  switch                       drop post->lock          repeat the store
 *	  drop post->lock
 *
 *    Either the work sees the changed entry, or the writer sees vec->posted and
 *    waits for post->lock. Either the work sees that the pages are not
 *    SEALED, or the fault takes post->lock after the work.
 *  - A holder of post->lock waits neither for kvm->irq_srcu nor for a lock
 *    whose holder does: irqbypass adds and removes producers under its own
 *    lock, taken outside post->lock, and KVM_IRQFD waits for irqbypass's lock
 *    in a reader of kvm->irq_srcu.
 *
 * Remapping is urgent, posting can wait: a guest that masks often should pay
 * for few switches, and the host, where all devices share a lock of the IOMMU,
 * should pay only for switches that save exits. The constants below set the
 * limits.
 */
#include <linux/jiffies.h>
#include <linux/kvm_msix.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat/irq_bypass.h"
#include "compat/posting.h"
#include "kvm_msix.h"
#include "trace.h"

/*
 * Post a vector after its entry has not changed for this long. Double the time
 * whenever the vector could not be posted, or had to be remapped within four
 * times the time after being posted.
 */
#define POST_QUIET_MS		10
#define POST_MAX_BACKOFF	10

/* Per function. Posting counts as two: the vector will be remapped. */
#define POST_MAX_SWITCHES	1000	/* per second */

/* The longest delay of the work while a vector waits to be posted. */
#define POST_MAX_WAIT		(HZ / 10)
#define POST_NEVER		ULONG_MAX

static bool posted = true;
module_param(posted, bool, 0444);
MODULE_PARM_DESC(posted, "Post interrupts where the host can (default: on)");

static unsigned int post_events = 16;
module_param(post_events, uint, 0644);
MODULE_PARM_DESC(post_events,
		 "Post those of a vector that has had so many events (default: 16)");

/**
 * struct kvm_msix_post - Posting in one function
 * @lock: protects @nr_posted, @second, @switches, vec->posted and the vectors'
 *	entries in the IOMMU; held while a vector is posted or remapped
 * @work: posts the vectors that are due
 * @dev: the device; immutable
 * @nr_posted: number of posted vectors
 * @second: start, in jiffies, of the second for which @switches counts; once
 *	@switches has reached POST_MAX_SWITCHES, start of the second in which no
 *	vector is posted
 * @switches: number of switches in that second: two for each vector posted
 */
struct kvm_msix_post {
	struct mutex lock;	/* all below, vec->posted, IOMMU's entries */
	struct delayed_work work;
	struct kvm_msix_device *dev;
	u32 nr_posted;
	unsigned long second;
	unsigned int switches;
};

/**
 * struct kvm_msix_post_vec - Posting of one vector, from its first bind on
 * @irqfd: what KVM's code is given as the irqfd of the vector's eventfd;
 *	irqfd.producer is protected by post->lock
 * @vec: the vector; immutable
 * @registered: irqfd.consumer is registered with irqbypass; protected by
 *	dev->lock
 * @backoff: how often POST_QUIET_MS is doubled before the vector is posted, at
 *	most POST_MAX_BACKOFF times; protected by post->lock
 * @since: when the vector was last posted, in jiffies; protected by post->lock
 * @nr_events: number of events whose messages were sent since the entry last
 *	changed or the vector was last posted or remapped; protected by
 *	vec->lock, read without
 * @changed: when @nr_events was last set to 0 or the work last put off posting,
 *	in jiffies; protected by vec->lock, read without
 */
struct kvm_msix_post_vec {
	struct kvm_kernel_irqfd irqfd;
	struct kvm_msix_vec *vec;
	bool registered;
	unsigned int backoff;
	unsigned long since;
	unsigned int nr_events;
	unsigned long changed;
};

/**
 * kvm_msix_host_posts - Can the host post interrupts?
 *
 * A separate function, so that tools/testing/lab/fakepost can replace it.
 *
 * Context: may sleep.
 * Return: true if the host can.
 */
noinline bool kvm_msix_host_posts(void)
{
	return kvm_msix_kvm_posts();
}

/**
 * kvm_msix_can_post - Does the module post interrupts on this host?
 *
 * Context: may sleep.
 * Return: true if the host can post and the parameter "posted" allows posting.
 */
bool kvm_msix_can_post(void)
{
	return posted && kvm_msix_host_posts();
}

static unsigned long post_quiet(const struct kvm_msix_post_vec *pv)
{
	return msecs_to_jiffies(POST_QUIET_MS) << pv->backoff;
}

static void post_start_over(struct kvm_msix_vec *vec)
{
	spin_lock_irq(&vec->lock);
	kvm_msix_post_note_change_locked(vec);
	spin_unlock_irq(&vec->lock);
}

/* Posting failed or did not last: wait longer before the next attempt. */
static void post_back_off(struct kvm_msix_post_vec *pv)
{
	pv->backoff = min(pv->backoff + 1, POST_MAX_BACKOFF);
}

/* The table may change unseen. Return: jiffies until the next attempt. */
static unsigned long post_later(struct kvm_msix_vec *vec)
{
	struct kvm_msix_post_vec *pv = vec->post;

	spin_lock_irq(&vec->lock);
	WRITE_ONCE(pv->changed, jiffies);
	spin_unlock_irq(&vec->lock);
	post_back_off(pv);
	return post_quiet(pv);
}

/* Hand the vector's interrupt back to the host. */
static void post_remap(struct kvm_msix_vec *vec, enum kvm_msix_posting why)
{
	struct kvm_msix_device *dev = vec->dev;
	struct kvm_msix_post_vec *pv = vec->post;

	lockdep_assert_held(&dev->post->lock);

	if (!vec->posted)
		return;
	if (why == KVM_MSIX_UNPOSTED_REFUSED ||
	    time_before(jiffies, pv->since + 4 * post_quiet(pv)))
		post_back_off(pv);
	else
		pv->backoff = 0;
	post_start_over(vec);
	WARN_ON_ONCE(kvm_msix_bypass_stop(dev->vm, &pv->irqfd));
	WRITE_ONCE(vec->posted, false);
	dev->post->nr_posted--;
	kvm_msix_count(vec->stats.unposts);
	trace_kvm_msix_post(dev->id, vec->index, why);
}

/*
 * Does every change of an entry remap the vector before the change is complete?
 *
 * Return: as kvm_msix_watch_announces().
 */
static int post_hears_of_changes(struct kvm_msix_device *dev)
{
	lockdep_assert_held(&dev->post->lock);

	/* Ask even while nothing is mapped: an unmapped page may be pinned. */
	return dev->table_pages ? kvm_msix_watch_announces(dev) : 0;
}

/*
 * Post the vector's message, if the vector may send. An older message of the
 * vector may be pending, if deferred or not yet looked at, and is sent as ever.
 *
 * A separate function, for tools/testing/slow to hold.
 *
 * Return: whether KVM was told to post.
 */
static noinline bool post_switch(struct kvm_msix_vec *vec)
{
	const struct kvm_kernel_irq_routing_entry *found;
	struct kvm_kernel_irq_routing_entry message;
	struct kvm_msix_device *dev = vec->dev;

	lockdep_assert_held(&dev->post->lock);

	WRITE_ONCE(vec->posted, true);
	spin_lock_irq(&vec->lock);
	found = kvm_msix_sendable_locked(vec);
	if (found)
		message = *found;
	kvm_msix_post_note_change_locked(vec);
	spin_unlock_irq(&vec->lock);
	if (found && !kvm_msix_bypass_post(dev->vm, &vec->post->irqfd, &message))
		return true;
	WRITE_ONCE(vec->posted, false);
	return false;
}

/* Return: jiffies until POST_MAX_SWITCHES lets the function post again. */
static unsigned long post_wait_for_budget(struct kvm_msix_post *post)
{
	unsigned long now = jiffies;

	lockdep_assert_held(&post->lock);

	if (time_after_eq(now, post->second + HZ)) {
		post->second = now;
		post->switches = 0;
	}
	if (post->switches < POST_MAX_SWITCHES)
		return 0;
	return post->second + HZ - now;
}

static void post_spend(struct kvm_msix_post *post)
{
	lockdep_assert_held(&post->lock);

	post->switches += 2;
	if (post->switches >= POST_MAX_SWITCHES)
		post->second = jiffies;
}

/* Post a vector if due. Return: else jiffies until then, or POST_NEVER. */
static unsigned long post_if_due(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	struct kvm_msix_post_vec *pv = vec->post;
	unsigned long left;

	lockdep_assert_held(&dev->post->lock);

	if (!pv->irqfd.producer ||
	    READ_ONCE(pv->nr_events) < READ_ONCE(post_events))
		return POST_NEVER;
	/* Events come: KVM has left the vector remapped, without APICv, say. */
	if (vec->posted) {
		post_remap(vec, KVM_MSIX_UNPOSTED_REFUSED);
		return POST_NEVER;
	}
	left = READ_ONCE(pv->changed) + post_quiet(pv) - jiffies;
	if ((long)left > 0)
		return left;
	left = post_wait_for_budget(dev->post);
	if (left)
		return left;
	switch (post_hears_of_changes(dev)) {
	case -EBUSY:
		return post_later(vec);
	case -EAGAIN:
		return msecs_to_jiffies(POST_QUIET_MS);
	}

	if (!post_switch(vec)) {
		post_back_off(pv);
		return POST_NEVER;
	}
	pv->since = jiffies;
	dev->post->nr_posted++;
	post_spend(dev->post);
	kvm_msix_count(vec->stats.posts);
	trace_kvm_msix_post(dev->id, vec->index, KVM_MSIX_POSTED);
	return POST_NEVER;
}

static void post_work(struct work_struct *work)
{
	struct kvm_msix_post *post = container_of(to_delayed_work(work),
						  struct kvm_msix_post, work);
	struct kvm_msix_device *dev = post->dev;
	unsigned long wait = POST_NEVER;
	u32 v;

	for (v = 0; v < dev->core.nr; v++) {
		/* Pairs with smp_store_release() in kvm_msix_post_reserve(). */
		if (!smp_load_acquire(&dev->vecs[v].post))
			continue;
		mutex_lock(&post->lock);
		wait = min(wait, post_if_due(&dev->vecs[v]));
		mutex_unlock(&post->lock);
		cond_resched();
	}
	if (wait != POST_NEVER)
		queue_delayed_work(system_highpri_wq, &post->work,
				   clamp(wait, 1UL, POST_MAX_WAIT));
}

/**
 * kvm_msix_post_note_change_locked - Count a vector's events from 0 again
 * @vec: the vector, after kvm_msix_post_reserve()
 *
 * Until the count is high enough, the work ignores the vector. For changes of
 * the entry, see kvm_msix_post_changed_locked().
 *
 * Context: @vec->lock.
 */
void kvm_msix_post_note_change_locked(struct kvm_msix_vec *vec)
{
	lockdep_assert_held(&vec->lock);

	WRITE_ONCE(vec->post->nr_events, 0);
	WRITE_ONCE(vec->post->changed, jiffies);
}

/**
 * kvm_msix_post_note_event_locked - Count an event whose message was sent
 * @vec: the vector, after kvm_msix_post_reserve()
 *
 * Once the vector has had enough events to be worth posting, the work is queued
 * and looks at the vector until the vector is posted or its entry changes. See
 * kvm_msix_post_sent_locked().
 *
 * Context: @vec->lock, irqs off.
 */
void kvm_msix_post_note_event_locked(struct kvm_msix_vec *vec)
{
	struct kvm_msix_post_vec *pv = vec->post;

	lockdep_assert_held(&vec->lock);

	WRITE_ONCE(pv->nr_events, pv->nr_events + 1);
	if (pv->nr_events == READ_ONCE(post_events))
		queue_delayed_work(system_highpri_wq, &vec->dev->post->work,
				   msecs_to_jiffies(POST_QUIET_MS));
}

/**
 * kvm_msix_post_stop_posted - Remap a vector that was seen posted
 * @vec: the vector; does nothing if the vector is remapped by now
 * @why: why the vector is remapped, KVM_MSIX_UNPOSTED_*
 *
 * See kvm_msix_post_stop().
 *
 * Context: may sleep; takes post->lock.
 */
void kvm_msix_post_stop_posted(struct kvm_msix_vec *vec,
			       enum kvm_msix_posting why)
{
	mutex_lock(&vec->dev->post->lock);
	post_remap(vec, why);
	mutex_unlock(&vec->dev->post->lock);
}

/**
 * kvm_msix_post_stop_all - Remap all posted vectors of a function
 * @dev: the device
 * @why: why the vectors are remapped, KVM_MSIX_UNPOSTED_*
 *
 * If the work posts a vector afterwards, the work sees the caller's earlier
 * changes.
 *
 * Context: may sleep. May be within a reader of kvm->srcu.
 */
void kvm_msix_post_stop_all(struct kvm_msix_device *dev,
			    enum kvm_msix_posting why)
{
	u32 v;

	if (!dev->post)
		return;
	mutex_lock(&dev->post->lock);
	for (v = 0; v < dev->core.nr && dev->post->nr_posted; v++)
		post_remap(&dev->vecs[v], why);
	mutex_unlock(&dev->post->lock);
}

static struct kvm_msix_post_vec *
post_to_pv(struct irq_bypass_consumer *consumer)
{
	return container_of(consumer, struct kvm_msix_post_vec, irqfd.consumer);
}

/* Called with irqbypass's lock held, and dev->lock or a lock of VFIO's. */
static int post_add_producer(struct irq_bypass_consumer *consumer,
			     struct irq_bypass_producer *producer)
{
	struct kvm_msix_post_vec *pv = post_to_pv(consumer);
	struct kvm_msix_post *post = pv->vec->dev->post;

	mutex_lock(&post->lock);
	kvm_msix_bypass_link(&pv->irqfd, producer);
	post_start_over(pv->vec);
	mutex_unlock(&post->lock);
	return 0;
}

/*
 * Called as post_add_producer(). The producer's owner then frees the interrupt.
 */
static void post_del_producer(struct irq_bypass_consumer *consumer,
			      struct irq_bypass_producer *producer)
{
	struct kvm_msix_post_vec *pv = post_to_pv(consumer);
	struct kvm_msix_post *post = pv->vec->dev->post;

	mutex_lock(&post->lock);
	post_remap(pv->vec, KVM_MSIX_UNPOSTED_PRODUCER);
	kvm_msix_bypass_unlink(&pv->irqfd);
	mutex_unlock(&post->lock);
}

/**
 * kvm_msix_post_reserve - Prepare a vector for the bind of an eventfd
 * @vec: the vector; on success, vec->post is set if the host can post
 *
 * Context: dev->lock.
 * Return: 0 or -ENOMEM.
 */
int kvm_msix_post_reserve(struct kvm_msix_vec *vec)
{
	struct kvm_msix_device *dev = vec->dev;
	struct kvm_msix_post_vec *pv;

	lockdep_assert_held(&dev->lock);

	if (!dev->post || vec->post)
		return 0;
	pv = kzalloc(sizeof(*pv), KVM_MSIX_GFP);
	if (!pv)
		return -ENOMEM;
	pv->vec = vec;
	pv->irqfd.kvm = dev->kvm;
	INIT_LIST_HEAD(&pv->irqfd.list);
	seqcount_spinlock_init(&pv->irqfd.irq_entry_sc, &dev->kvm->irqfds.lock);
	pv->irqfd.consumer.add_producer = post_add_producer;
	pv->irqfd.consumer.del_producer = post_del_producer;
	/*
	 * Readers without dev->lock see the struct initialised. Pairs with
	 * smp_load_acquire() in post_work().
	 */
	smp_store_release(&vec->post, pv);
	return 0;
}

/**
 * kvm_msix_post_bind - Register a newly bound eventfd with irqbypass
 * @vec: the vector, after kvm_msix_post_reserve()
 * @eventfd: the vector's eventfd; the caller keeps the eventfd alive until
 *	kvm_msix_post_unbind()
 *
 * If the eventfd already has a consumer, the vector is never posted.
 *
 * Context: dev->lock; takes irqbypass's lock.
 */
void kvm_msix_post_bind(struct kvm_msix_vec *vec, struct eventfd_ctx *eventfd)
{
	struct kvm_msix_post_vec *pv = vec->post;

	lockdep_assert_held(&vec->dev->lock);

	if (!pv)
		return;
	pv->irqfd.eventfd = eventfd;
	pv->registered = !kvm_msix_bypass_register(&pv->irqfd);
}

/**
 * kvm_msix_post_unbind - Unregister the vector's eventfd from irqbypass
 * @vec: the vector; does nothing if none of its eventfds is registered
 *
 * When this returns, all events of the vector come through the eventfd.
 *
 * Context: as kvm_msix_post_bind().
 */
void kvm_msix_post_unbind(struct kvm_msix_vec *vec)
{
	struct kvm_msix_post_vec *pv = vec->post;

	lockdep_assert_held(&vec->dev->lock);

	if (!pv || !pv->registered)
		return;
	irq_bypass_unregister_consumer(&pv->irqfd.consumer);
	pv->registered = false;
}

/**
 * kvm_msix_post_init - Set up posting in a device, if the host can post
 * @dev: the device; on success, dev->post is set if the host can post
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int kvm_msix_post_init(struct kvm_msix_device *dev)
{
	struct kvm_msix_post *post;

	if (!kvm_msix_can_post())
		return 0;
	post = kzalloc(sizeof(*post), KVM_MSIX_GFP);
	if (!post)
		return -ENOMEM;
	mutex_init(&post->lock);
	INIT_DELAYED_WORK(&post->work, post_work);
	post->dev = dev;
	post->second = jiffies;
	dev->post = post;
	return 0;
}

/**
 * kvm_msix_post_end - Stop the work and free the device's posting state
 * @dev: the device; no vector is bound, and the guest cannot write any more
 *
 * Context: may sleep; waits for the work.
 */
void kvm_msix_post_end(struct kvm_msix_device *dev)
{
	struct kvm_msix_post *post = dev->post;
	u32 v;

	if (!post)
		return;
	cancel_delayed_work_sync(&post->work);
	for (v = 0; v < dev->core.nr; v++)
		kfree(dev->vecs[v].post);
	mutex_destroy(&post->lock);
	kfree(post);
}
