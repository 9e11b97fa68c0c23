// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: kvm_msix/<pid of the creator>-<device number>/, with
 *   stats    the function's counters, those of all vectors added up
 *   table    each vector, decoded
 *   vectors  each vector's statistics
 * A debugging aid for people and tests, not ABI.
 */
#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/kvm_msix.h>
#include <linux/seq_file.h>

#include "kvm_msix.h"

static struct dentry *debugfs_root;

static int debugfs_stats_show(struct seq_file *m, void *unused)
{
	kvm_msix_stats_show(m, m->private);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(debugfs_stats);

static void *debugfs_vectors_start(struct seq_file *m, loff_t *pos)
{
	struct kvm_msix_device *dev = m->private;

	return *pos < dev->core.nr ? &dev->vecs[*pos] : NULL;
}

static void *debugfs_vectors_next(struct seq_file *m, void *vec, loff_t *pos)
{
	++*pos;
	return debugfs_vectors_start(m, pos);
}

static void debugfs_vectors_stop(struct seq_file *m, void *vec)
{
}

static int debugfs_vectors_show(struct seq_file *m, void *vec)
{
	kvm_msix_vec_stats_show(m, vec);
	return 0;
}

static const struct seq_operations debugfs_vectors_sops = {
	.start = debugfs_vectors_start,
	.next = debugfs_vectors_next,
	.stop = debugfs_vectors_stop,
	.show = debugfs_vectors_show,
};
DEFINE_SEQ_ATTRIBUTE(debugfs_vectors);

static int debugfs_table_show(struct seq_file *m, void *unused)
{
	struct kvm_msix_device *dev = m->private;
	struct kvm_msix_entry e;
	u32 v;

	seq_printf(m, "vectors %u control 0x%04x %s%s\n", dev->core.nr,
		   READ_ONCE(dev->core.control),
		   atomic_read(&dev->mapped) > 0 ? "exit-free" : "trapped",
		   dev->flags & KVM_MSIX_CREATE_EXT_DEST_ID ?
		   " ext-dest-id" : "");
	for (v = 0; v < dev->core.nr; v++) {
		e = kvm_msix_get_entry(&dev->core, v);
		seq_printf(m, "%4u address 0x%016llx data 0x%08x control 0x%08x%s%s%s%s",
			   v, e.address, e.data, e.control,
			   e.control & PCI_MSIX_ENTRY_CTRL_MASKBIT ?
			   " masked" : "",
			   kvm_msix_pending(&dev->core, v) ? " pending" : "",
			   test_bit(v, dev->bound) ? " bound" : "",
			   READ_ONCE(dev->vecs[v].posted) ? " posted" : "");
		if (READ_ONCE(dev->vecs[v].gsi) != KVM_MSIX_NO_GSI)
			seq_printf(m, " gsi %d", READ_ONCE(dev->vecs[v].gsi));
		seq_putc(m, '\n');
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(debugfs_table);

/**
 * kvm_msix_debugfs_init - Create the module's directory
 *
 * debugfs is only an aid: its errors are ignored here and below, and each later
 * call does nothing then.
 *
 * Context: may sleep.
 */
void kvm_msix_debugfs_init(void)
{
	debugfs_root = debugfs_create_dir("kvm_msix", NULL);
}

/**
 * kvm_msix_debugfs_exit - Remove the module's directory
 *
 * Context: may sleep.
 */
void kvm_msix_debugfs_exit(void)
{
	debugfs_remove_recursive(debugfs_root);
}

/**
 * kvm_msix_debugfs_add - Create a device's directory and files
 * @dev: the device, complete: its files can be read at once
 *
 * Context: may sleep.
 */
void kvm_msix_debugfs_add(struct kvm_msix_device *dev)
{
	char name[24];

	snprintf(name, sizeof(name), "%d-%d", dev->pid, dev->id);
	dev->debugfs = debugfs_create_dir(name, debugfs_root);
	debugfs_create_file("stats", 0444, dev->debugfs, dev,
			    &debugfs_stats_fops);
	debugfs_create_file("table", 0444, dev->debugfs, dev,
			    &debugfs_table_fops);
	debugfs_create_file("vectors", 0444, dev->debugfs, dev,
			    &debugfs_vectors_fops);
}

/**
 * kvm_msix_debugfs_remove - Remove a device's directory and files
 * @dev: the device
 *
 * Context: may sleep; waits for readers of the files.
 */
void kvm_msix_debugfs_remove(struct kvm_msix_device *dev)
{
	debugfs_remove_recursive(dev->debugfs);
}
