// SPDX-License-Identifier: GPL-2.0-only
/*
 * Emulation of a device, and of an IOMMU that posts the device's interrupts.
 *
 * Each attached eventfd gets an interrupt of the host, with the parts that VFIO sets up:
 * a handler that signals the eventfd, and an irqbypass producer with the eventfd as
 * token. The interrupt's irq_chip plays the IOMMU: irq_set_vcpu_affinity() writes the
 * interrupt's entry (IRTE). FAKEPOST_FIRE is the device's message: look up and obey the
 * IRTE under one lock, so that a switch waits for all messages that have seen the old
 * IRTE, as the invalidation of a real IRTE does.
 *
 * vtd.c and soft.c have the contents of the IRTE, and the way of a message to the vCPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqbypass.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/eventfd.h"
#include "fakepost.h"
#include "iommu.h"
#include "replace.h"

static unsigned int drain;
module_param(drain, uint, 0644);
MODULE_PARM_DESC(drain, "loops between the look at the IRTE and what it says");

static const struct iommu *iommu;

struct interrupt {
	struct list_head node;
	struct eventfd_ctx *eventfd;
	struct irq_bypass_producer producer;
	unsigned int irq;
	raw_spinlock_t lock;	/* the IRTE: all below */
	bool posted;
	union irte irte;
	struct fakepost_stats stats;
};

/* @gone has the sums of detached interrupts. */
struct device_file {
	struct mutex lock;	/* serializes attach and detach */
	rwlock_t list_lock;
	struct list_head interrupts;
	struct fakepost_stats gone;
};

/*
 * The IOMMU.
 */

int set_vcpu_affinity(struct irq_data *data, void *info)
{
	struct interrupt *i = irq_data_get_irq_chip_data(data);
	unsigned long flags;

	raw_spin_lock_irqsave(&i->lock, flags);
	if (info) {
		i->stats.to_posted++;
		memcpy(&i->irte, info, iommu->irte_size);
	} else {
		i->stats.to_remapped += i->posted;
	}
	i->posted = info;
	raw_spin_unlock_irqrestore(&i->lock, flags);
	return 0;
}

static void nothing(struct irq_data *data)
{
}

static struct irq_chip chip = {
	.name = "fakepost",
	.irq_ack = nothing,
	.irq_mask = nothing,
	.irq_unmask = nothing,
	.irq_set_vcpu_affinity = set_vcpu_affinity,
};

static irqreturn_t signal(int irq, void *eventfd)
{
	kvm_msix_eventfd_signal(eventfd);
	return IRQ_HANDLED;
}

static void fire(struct interrupt *i)
{
	unsigned long flags;
	unsigned int n;
	bool posted;

	raw_spin_lock_irqsave(&i->lock, flags);
	posted = i->posted;
	for (n = READ_ONCE(drain); n; n--)
		cpu_relax();
	if (posted) {
		i->stats.posted++;
		iommu->post(&i->irte);
	} else {
		i->stats.remapped++;
	}
	raw_spin_unlock_irqrestore(&i->lock, flags);
	/* The IOMMU has forwarded the message; a switch need not wait for the handler. */
	if (!posted)
		generic_handle_irq_safe(i->irq);
}

/* KVM's own code needs APIC virtualization, which no lab has with an AMD CPU. */
static const struct iommu *iommu_of_host(void)
{
#ifdef FAKEPOST_VTD
	if (!replace_find(SOFT_IRTE))
		return &vtd;
#endif
	return &soft;
}

/*
 * The device.
 */

static int register_producer(struct interrupt *i)
{
#ifdef FAKEPOST_BY_IRQFD
	return irq_bypass_register_producer(&i->producer, i->eventfd, i->irq);
#else
	i->producer.token = i->eventfd;
	i->producer.irq = i->irq;
	return irq_bypass_register_producer(&i->producer);
#endif
}

static struct interrupt *find(struct device_file *d, struct eventfd_ctx *eventfd)
{
	struct interrupt *i;

	list_for_each_entry(i, &d->interrupts, node)
		if (i->eventfd == eventfd)
			return i;
	return NULL;
}

/* On success, takes over the reference on @eventfd. */
static int attach(struct device_file *d, struct eventfd_ctx *eventfd)
{
	struct interrupt *i;
	int irq, err;

	if (find(d, eventfd))
		return -EEXIST;
	i = kzalloc(sizeof(*i), GFP_KERNEL);
	if (!i)
		return -ENOMEM;
	irq = irq_alloc_desc(NUMA_NO_NODE);
	if (irq < 0) {
		err = irq;
		goto err_free;
	}
	i->eventfd = eventfd;
	i->irq = irq;
	raw_spin_lock_init(&i->lock);
	irq_set_chip_and_handler_name(irq, &chip, handle_edge_irq, "edge");
	irq_set_chip_data(irq, i);
	err = request_irq(irq, signal, 0, "fakepost", eventfd);
	if (err)
		goto err_desc;
	err = register_producer(i);
	if (err)
		goto err_irq;
	write_lock(&d->list_lock);
	list_add(&i->node, &d->interrupts);
	write_unlock(&d->list_lock);
	return 0;

err_irq:
	free_irq(irq, eventfd);
err_desc:
	irq_free_desc(irq);
err_free:
	kfree(i);
	return err;
}

static void add_stats(struct fakepost_stats *sum,
		      const struct fakepost_stats *stats)
{
	sum->posted += stats->posted;
	sum->remapped += stats->remapped;
	sum->to_posted += stats->to_posted;
	sum->to_remapped += stats->to_remapped;
}

static void detach(struct device_file *d, struct interrupt *i)
{
	write_lock(&d->list_lock);
	list_del(&i->node);
	write_unlock(&d->list_lock);
	irq_bypass_unregister_producer(&i->producer);
	WARN(i->posted, "the producer is gone and its interrupt still posted\n");
	write_lock(&d->list_lock);
	add_stats(&d->gone, &i->stats);
	write_unlock(&d->list_lock);
	free_irq(i->irq, i->eventfd);
	irq_free_desc(i->irq);
	eventfd_ctx_put(i->eventfd);
	kfree(i);
}

static int get_stats(struct device_file *d, void __user *to)
{
	struct fakepost_stats sum;
	struct interrupt *i;

	read_lock(&d->list_lock);
	sum = d->gone;
	list_for_each_entry(i, &d->interrupts, node) {
		raw_spin_lock_irq(&i->lock);
		add_stats(&sum, &i->stats);
		raw_spin_unlock_irq(&i->lock);
	}
	read_unlock(&d->list_lock);
	return copy_to_user(to, &sum, sizeof(sum)) ? -EFAULT : 0;
}

static int come_or_go(struct device_file *d, unsigned int cmd,
		      struct eventfd_ctx *eventfd)
{
	struct interrupt *i;

	lockdep_assert_held(&d->lock);

	if (cmd == FAKEPOST_ATTACH)
		return attach(d, eventfd);
	i = find(d, eventfd);
	if (!i)
		return -ENOENT;
	detach(d, i);
	return 0;
}

static int use(struct device_file *d, unsigned int cmd,
	       struct eventfd_ctx *eventfd)
{
	struct interrupt *i;
	int ret = 0;

	read_lock(&d->list_lock);
	i = find(d, eventfd);
	if (!i)
		ret = -ENOENT;
	else if (cmd == FAKEPOST_IS_POSTED)
		ret = READ_ONCE(i->posted);
	else
		fire(i);
	read_unlock(&d->list_lock);
	return ret;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct device_file *d = file->private_data;
	struct eventfd_ctx *eventfd;
	int ret;

	if (cmd == FAKEPOST_STATS)
		return get_stats(d, (void __user *)arg);
	if (_IOC_TYPE(cmd) != 'f' || _IOC_NR(cmd) > 3)
		return -ENOTTY;

	eventfd = eventfd_ctx_fdget(arg);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	if (cmd == FAKEPOST_ATTACH || cmd == FAKEPOST_DETACH) {
		mutex_lock(&d->lock);
		ret = come_or_go(d, cmd, eventfd);
		mutex_unlock(&d->lock);
	} else {
		ret = use(d, cmd, eventfd);
	}
	if (cmd != FAKEPOST_ATTACH || ret)
		eventfd_ctx_put(eventfd);
	return ret;
}

static int device_open(struct inode *inode, struct file *file)
{
	struct device_file *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return -ENOMEM;
	mutex_init(&d->lock);
	rwlock_init(&d->list_lock);
	INIT_LIST_HEAD(&d->interrupts);
	file->private_data = d;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct device_file *d = file->private_data;
	struct interrupt *i, *next;

	list_for_each_entry_safe(i, next, &d->interrupts, node)
		detach(d, i);
	mutex_destroy(&d->lock);
	kfree(d);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fakepost",
	.fops = &fops,
};

static int __init fakepost_init(void)
{
	int err;

	iommu = iommu_of_host();
	err = iommu->start();
	if (err)
		return err;
	err = misc_register(&misc);
	if (err)
		iommu->stop();
	return err;
}
module_init(fakepost_init);

static void __exit fakepost_exit(void)
{
	misc_deregister(&misc);
	iommu->stop();
}
module_exit(fakepost_exit);

MODULE_DESCRIPTION("A device and an IOMMU that posts its interrupts, for tests");
MODULE_LICENSE("GPL");
