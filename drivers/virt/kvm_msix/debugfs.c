// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: kvm_msix/<pid of the creator>-<device number>/, with
 *   stats  the counters of struct kvm_msix_stats, "name value" a line
 *   table  each vector, decoded
 * For people and tests; no interface.
 */
#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "kvm_msix.h"

static struct dentry *root;

#define STAT(name) { #name, offsetof(struct kvm_msix_stats, name) }

static const struct {
	const char *name;
	size_t offset;
} stats[] = {
	STAT(reads), STAT(writes), STAT(rejected), STAT(mask_changes),
	STAT(events), STAT(latched), STAT(coalesced), STAT(kicks),
	STAT(delivered), STAT(dropped), STAT(protected), STAT(faults),
	STAT(told),
};

static int stats_show(struct seq_file *m, void *unused)
{
	struct kvm_msix_device *dev = m->private;
	const void *one;
	size_t i;
	int cpu;
	u64 sum;

	for (i = 0; i < ARRAY_SIZE(stats); i++) {
		sum = 0;
		for_each_possible_cpu(cpu) {
			one = per_cpu_ptr(dev->stats, cpu);
			sum += READ_ONCE(*(const u64 *)(one + stats[i].offset));
		}
		seq_printf(m, "%s %llu\n", stats[i].name, sum);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int table_show(struct seq_file *m, void *unused)
{
	struct kvm_msix_device *dev = m->private;
	struct kvm_msix_entry e;
	u32 v;

	seq_printf(m, "vectors %u control 0x%04x\n", dev->core.nr,
		   READ_ONCE(dev->core.control));
	for (v = 0; v < dev->core.nr; v++) {
		e = kvm_msix_get_entry(&dev->core, v);
		seq_printf(m, "%4u address 0x%016llx data 0x%08x control 0x%08x%s%s%s",
			   v, e.address, e.data, e.control,
			   e.control & PCI_MSIX_ENTRY_CTRL_MASKBIT ?
			   " masked" : "",
			   kvm_msix_pending(&dev->core, v) ? " pending" : "",
			   test_bit(v, dev->bound) ? " bound" : "");
		if (READ_ONCE(dev->vecs[v].gsi) != KVM_MSIX_NO_GSI)
			seq_printf(m, " gsi %d", READ_ONCE(dev->vecs[v].gsi));
		seq_putc(m, '\n');
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(table);

void kvm_msix_debugfs_init(void)
{
	root = debugfs_create_dir("kvm_msix", NULL);
}

void kvm_msix_debugfs_exit(void)
{
	debugfs_remove_recursive(root);
}

void kvm_msix_debugfs_add(struct kvm_msix_device *dev)
{
	char name[24];

	snprintf(name, sizeof(name), "%d-%d", task_tgid_nr(current), dev->id);
	dev->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("stats", 0444, dev->debugfs, dev, &stats_fops);
	debugfs_create_file("table", 0444, dev->debugfs, dev, &table_fops);
}

/* Waits for readers under way. */
void kvm_msix_debugfs_remove(struct kvm_msix_device *dev)
{
	debugfs_remove_recursive(dev->debugfs);
}
