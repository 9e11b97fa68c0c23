// SPDX-License-Identifier: GPL-2.0-only
/*
 * The statistics of a function and of its vectors, in two forms: the stats fd
 * of KVM_MSIX_GET_STATS_FD for programs, and debugfs for people.
 *
 * The stats fd has the format of KVM's stats fds: header, id, descriptors,
 * data, one after the other. A statistic of the vectors is an array of values,
 * one for each vector. The stats fd has a reference on the device's memory
 * only: the device ends when the device fd is closed, so code here must not
 * read anything that ends with the device.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kvm_msix.h"

/* A statistic of the function: a counter. */
struct dev_stat {
	const char *name;
	u32 offset;
};

#define DEV_STAT(_name) { #_name, offsetof(struct kvm_msix_stats, _name) }

static const struct dev_stat dev_stats[] = {
	DEV_STAT(reads),
	DEV_STAT(writes),
	DEV_STAT(rejected),
	DEV_STAT(protected),
	DEV_STAT(faults),
	DEV_STAT(told),
};

/**
 * struct vec_stat - One statistic of the vectors
 * @name: name of the statistic
 * @get: returns a vector's value; called under vec->lock
 * @offset: for stats_count(): the counter's offset in kvm_msix_vec_stats
 * @flags: type and unit, KVM_STATS_*
 * @exponent: the unit is scaled by 10 to this power
 */
struct vec_stat {
	const char *name;
	u64 (*get)(const struct kvm_msix_vec *vec, u32 offset);
	u32 offset;
	u32 flags;
	s16 exponent;
};

static u64 stats_count(const struct kvm_msix_vec *vec, u32 offset)
{
	return READ_ONCE(*(const u64 *)((const void *)&vec->stats + offset));
}

static u64 stats_dropped(const struct kvm_msix_vec *vec, u32 unused)
{
	u64 sum = 0;
	int why;

	for (why = 0; why < KVM_MSIX_NR_DROPS; why++)
		sum += READ_ONCE(vec->stats.dropped[why]);
	return sum;
}

static u64 stats_posted(const struct kvm_msix_vec *vec, u32 unused)
{
	return READ_ONCE(vec->posted);
}

static u64 stats_pending(const struct kvm_msix_vec *vec, u32 unused)
{
	return kvm_msix_pending(&vec->dev->core, vec->index);
}

/* In milliseconds. jiffies_to_msecs() would wrap after 49 days. */
static u64 stats_age(unsigned long then)
{
	return (u64)(jiffies - then) * MSEC_PER_SEC / HZ;
}

static u64 stats_event_age(const struct kvm_msix_vec *vec, u32 unused)
{
	return vec->stats.events ? stats_age(vec->stats.last_event) : 0;
}

static u64 stats_pending_age(const struct kvm_msix_vec *vec, u32 unused)
{
	return stats_pending(vec, 0) ? stats_age(vec->stats.pending_since) : 0;
}

#define COUNT_AT(_name, _member)					\
	{								\
		.name = _name,						\
		.get = stats_count,						\
		.offset = offsetof(struct kvm_msix_vec_stats, _member),	\
		.flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE,	\
	}
#define COUNT(_name) COUNT_AT(#_name, _name)
#define FLAG(_name, _get)						\
	{								\
		.name = _name,						\
		.get = _get,						\
		.flags = KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN,	\
	}
#define AGE(_name, _get)						\
	{								\
		.name = _name,						\
		.get = _get,						\
		.flags = KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_SECONDS,	\
		.exponent = -3,						\
	}

static const struct vec_stat vec_stats[] = {
	COUNT(mask_changes),
	COUNT(events),
	COUNT(latched),
	COUNT(coalesced),
	COUNT(released),
	COUNT(delivered),
	{
		.name = "dropped",
		.get = stats_dropped,
		.flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE,
	},
	COUNT_AT("dropped_address", dropped[KVM_MSIX_DROP_ADDRESS]),
	COUNT_AT("dropped_mode", dropped[KVM_MSIX_DROP_MODE]),
	COUNT_AT("dropped_destination", dropped[KVM_MSIX_DROP_DESTINATION]),
	COUNT(posts),
	COUNT(unposts),
	FLAG("posted", stats_posted),
	FLAG("pending", stats_pending),
	AGE("event_age", stats_event_age),
	AGE("pending_age", stats_pending_age),
};

static u64 stats_dev_value(const struct kvm_msix_device *dev,
			   const struct dev_stat *stat)
{
	const void *one;
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		one = per_cpu_ptr(dev->stats, cpu);
		sum += READ_ONCE(*(const u64 *)(one + stat->offset));
	}
	return sum;
}

static u64 stats_vec_value(struct kvm_msix_vec *vec,
			   const struct vec_stat *stat)
{
	unsigned long flags;
	u64 value;

	spin_lock_irqsave(&vec->lock, flags);
	value = stat->get(vec, stat->offset);
	spin_unlock_irqrestore(&vec->lock, flags);
	return value;
}

/**
 * kvm_msix_stats_show - Print a function's counters
 * @m: the file: a line "name value" for each counter
 * @dev: the device; the counters of its vectors are added up
 *
 * Context: may sleep; takes each vec->lock.
 */
void kvm_msix_stats_show(struct seq_file *m, struct kvm_msix_device *dev)
{
	const struct vec_stat *stat;
	u64 sum;
	u32 i, v;

	for (i = 0; i < ARRAY_SIZE(dev_stats); i++)
		seq_printf(m, "%s %llu\n", dev_stats[i].name,
			   stats_dev_value(dev, &dev_stats[i]));
	for (i = 0; i < ARRAY_SIZE(vec_stats); i++) {
		stat = &vec_stats[i];
		if (stat->flags & KVM_STATS_TYPE_MASK)
			continue;
		for (v = 0, sum = 0; v < dev->core.nr; v++)
			sum += stats_vec_value(&dev->vecs[v], stat);
		seq_printf(m, "%s %llu\n", stat->name, sum);
	}
}

/**
 * kvm_msix_vec_stats_show - Print a vector's statistics
 * @m: the file: a line with the vector's number and each "name value"
 * @vec: the vector; all values are of the same moment
 *
 * Context: may sleep; takes vec->lock.
 */
void kvm_msix_vec_stats_show(struct seq_file *m, struct kvm_msix_vec *vec)
{
	u64 values[ARRAY_SIZE(vec_stats)];
	u32 i;

	spin_lock_irq(&vec->lock);
	for (i = 0; i < ARRAY_SIZE(vec_stats); i++)
		values[i] = vec_stats[i].get(vec, vec_stats[i].offset);
	spin_unlock_irq(&vec->lock);

	seq_printf(m, "%4u", vec->index);
	for (i = 0; i < ARRAY_SIZE(vec_stats); i++)
		seq_printf(m, " %s %llu", vec_stats[i].name, values[i]);
	seq_putc(m, '\n');
}

#define NR_STATS	(ARRAY_SIZE(dev_stats) + ARRAY_SIZE(vec_stats))

/* Offsets of the parts of the stats fd, all aligned to 8 bytes. */
#define ID_OFFSET	sizeof(struct kvm_stats_header)
#define DESC_OFFSET	(ID_OFFSET + KVM_STATS_NAME_SIZE)
#define DESC_SIZE							\
	(offsetof(struct kvm_stats_desc, name) + KVM_STATS_NAME_SIZE)
#define DATA_OFFSET	(DESC_OFFSET + NR_STATS * DESC_SIZE)

/* The data block: a value of each dev_stats, then an array of each vec_stats. */
static u32 stats_nr_values(const struct kvm_msix_device *dev)
{
	return ARRAY_SIZE(dev_stats) + ARRAY_SIZE(vec_stats) * dev->core.nr;
}

static u64 stats_value_at(const struct kvm_msix_device *dev, u32 i)
{
	i = array_index_nospec(i, stats_nr_values(dev));
	if (i < ARRAY_SIZE(dev_stats))
		return stats_dev_value(dev, &dev_stats[i]);
	i -= ARRAY_SIZE(dev_stats);
	return stats_vec_value(&dev->vecs[i % dev->core.nr],
			       &vec_stats[i / dev->core.nr]);
}

static void stats_put_desc(struct kvm_stats_desc *desc, const char *name,
			   u32 flags, s16 exponent, u32 nr, u32 first)
{
	desc->flags = flags | KVM_STATS_BASE_POW10;
	desc->exponent = exponent;
	desc->size = nr;
	desc->offset = first * sizeof(u64);
	strscpy(desc->name, name, KVM_STATS_NAME_SIZE);
}

/* Fill in all parts before the data; @front is zeroed. */
static void stats_put_front(void *front, const struct kvm_msix_device *dev)
{
	struct kvm_stats_header *header = front;
	void *desc = front + DESC_OFFSET;
	const struct vec_stat *stat;
	u32 i, first = 0;

	BUILD_BUG_ON(!IS_ALIGNED(DATA_OFFSET, sizeof(u64)));

	header->name_size = KVM_STATS_NAME_SIZE;
	header->num_desc = NR_STATS;
	header->id_offset = ID_OFFSET;
	header->desc_offset = DESC_OFFSET;
	header->data_offset = DATA_OFFSET;
	snprintf(front + ID_OFFSET, KVM_STATS_NAME_SIZE, "kvm_msix-%d-%d",
		 dev->pid, dev->id);
	for (i = 0; i < ARRAY_SIZE(dev_stats); i++, desc += DESC_SIZE) {
		stats_put_desc(desc, dev_stats[i].name,
			       KVM_STATS_TYPE_CUMULATIVE, 0, 1, first);
		first++;
	}
	for (i = 0; i < ARRAY_SIZE(vec_stats); i++, desc += DESC_SIZE) {
		stat = &vec_stats[i];
		stats_put_desc(desc, stat->name, stat->flags, stat->exponent,
			       dev->core.nr, first);
		first += dev->core.nr;
	}
}

static ssize_t stats_read_front(const struct kvm_msix_device *dev,
				char __user *buf, size_t size, loff_t *pos)
{
	void *front = kzalloc(DATA_OFFSET, KVM_MSIX_GFP);
	ssize_t done;

	if (!front)
		return -ENOMEM;
	stats_put_front(front, dev);
	done = simple_read_from_buffer(buf, size, pos, front, DATA_OFFSET);
	kfree(front);
	return done;
}

/* Read from a few values; @pos is in the data block or after it. */
static ssize_t stats_read_values(const struct kvm_msix_device *dev,
				 char __user *buf, size_t size, loff_t *pos)
{
	loff_t first = (*pos - DATA_OFFSET) / sizeof(u64);
	loff_t skip = (*pos - DATA_OFFSET) % sizeof(u64);
	u64 values[32];
	u32 i, nr;

	if (first >= stats_nr_values(dev))
		return 0;
	nr = min_t(u32, stats_nr_values(dev) - first, ARRAY_SIZE(values));
	for (i = 0; i < nr; i++)
		values[i] = stats_value_at(dev, first + i);
	size = min_t(size_t, size, nr * sizeof(u64) - skip);
	if (copy_to_user(buf, (void *)values + skip, size))
		return -EFAULT;
	*pos += size;
	return size;
}

static ssize_t stats_read(struct file *file, char __user *buf, size_t size,
			  loff_t *pos)
{
	const struct kvm_msix_device *dev = file->private_data;
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		if (*pos < DATA_OFFSET)
			n = stats_read_front(dev, buf + done, size - done, pos);
		else
			n = stats_read_values(dev, buf + done, size - done, pos);
		if (n <= 0)
			return done ?: n;
		done += n;
		cond_resched();
	}
	return done;
}

static int stats_release(struct inode *inode, struct file *file)
{
	kvm_msix_device_put(file->private_data);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.release = stats_release,
	.read = stats_read,
	.llseek = noop_llseek,
};

/**
 * kvm_msix_get_stats_fd - Make an fd that reads a device's statistics
 * @dev: the device
 *
 * Context: may sleep.
 * Return: the new fd or an errno that struct kvm_msix_stats_fd documents.
 */
int kvm_msix_get_stats_fd(struct kvm_msix_device *dev)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile("kvm-msix-stats", &stats_fops, dev, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	refcount_inc(&dev->refs);
	/* An anonymous inode's file has no position to seek; allow pread(). */
	file->f_mode |= FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}
