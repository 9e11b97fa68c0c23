// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that VFIO can migrate, for tests: a variant driver on vfio-pci-core for
 * QEMU's e1000e, which speaks version 2 of VFIO's migration protocol with all its
 * optional states (STOP_COPY, P2P, PRE_COPY). It does not log what the device
 * writes.
 *
 * Always true here:
 *  - A state is made of three properties: is the device stopped, is its state being
 *    read, is a state being written. Each arc of the protocol changes one or two of
 *    the properties, in the order of step().
 *  - One transfer is under way in each state with a transfer, and none in the other
 *    states. If the transfer's file outlives the state, reads and writes fail.
 *  - VFIO holds memory_lock when VFIO resets a device, and reads and writes of a file
 *    may fault and take memory_lock. So a reset only sets a flag; the next holder of
 *    the state's lock acts on the flag.
 *
 * The stream is a header and an image; see e1000e.c for the image. In PRE_COPY the
 * stream has the header only. The destination checks the header as soon as the
 * header is complete: a migration to a device that does not fit fails before the
 * source has stopped.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "e1000e.h"

/* Faults for tests, each once. */
static unsigned int fail_state = ~0;
module_param(fail_state, uint, 0644);
MODULE_PARM_DESC(fail_state, "enum vfio_device_mig_state: fail to enter it, with EIO");
static bool fail_read;
module_param(fail_read, bool, 0644);
MODULE_PARM_DESC(fail_read, "fail to read the image, with EIO");
static bool fail_write;
module_param(fail_write, bool, 0644);
MODULE_PARM_DESC(fail_write, "fail to write the image, with EIO");

#define MAGIC	0x65313030	/* "e100" */

struct header {
	u32 magic;
	u32 version;
	u64 image_size;
};

/* A data transfer, by way of a file. */
struct transfer {
	struct file *file;
	struct mutex lock;		/* all below; comes after state_lock */
	struct migratable *device;	/* NULL: ended */
	size_t size;			/* what there is of the stream */
	size_t pos;			/* what has been read of it */
	bool complete;			/* there will not be more to read */
	struct header header;
	u32 image[];
};

struct migratable {
	struct vfio_pci_core_device core;
	struct mutex state_lock;	/* all below, but for was_reset */
	enum vfio_device_mig_state state;
	struct e1000e_stopped stopped;	/* valid while the device is stopped */
	struct transfer *transfer;
	bool was_reset;			/* VFIO did it: to be taken note of */
};

static struct migratable *to_migratable(struct vfio_device *vdev)
{
	return container_of(vdev, struct migratable, core.vdev);
}

static size_t stream_size(void)
{
	return sizeof(struct header) + e1000e_image_size();
}

/*
 * Transfers
 */

/* Take @lock, of a transfer that has not ended. */
static int transfer_lock(struct transfer *t)
{
	mutex_lock(&t->lock);
	if (t->device && !READ_ONCE(t->device->was_reset))
		return 0;
	mutex_unlock(&t->lock);
	return -ENODEV;
}

static ssize_t saving_read(struct file *file, char __user *buf, size_t len,
			   loff_t *pos)
{
	struct transfer *t = file->private_data;
	ssize_t ret;

	if (pos)
		return -ESPIPE;
	ret = transfer_lock(t);
	if (ret)
		return ret;

	ret = min(len, t->size - t->pos);
	if (!ret && len && !t->complete)
		ret = -ENOMSG;
	if (ret > 0 && t->complete && xchg(&fail_read, false))
		ret = -EIO;
	if (ret > 0 && copy_to_user(buf, (void *)&t->header + t->pos, ret))
		ret = -EFAULT;
	if (ret > 0)
		t->pos += ret;
	mutex_unlock(&t->lock);
	return ret;
}

static long saving_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct transfer *t = file->private_data;
	struct vfio_precopy_info info;
	size_t size = offsetofend(struct vfio_precopy_info, dirty_bytes);
	int err;

	if (cmd != VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	if (copy_from_user(&info, (void __user *)arg, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;

	err = transfer_lock(t);
	if (err)
		return err;
	if (t->complete)
		err = -EINVAL;
	info.initial_bytes = t->size - t->pos;
	info.dirty_bytes = 0;
	mutex_unlock(&t->lock);
	if (err)
		return err;
	return copy_to_user((void __user *)arg, &info, size) ? -EFAULT : 0;
}

static bool header_fits(const struct transfer *t)
{
	return t->header.magic == MAGIC && t->header.version == 1 &&
	       t->header.image_size == e1000e_image_size();
}

static ssize_t resuming_write(struct file *file, const char __user *buf,
			      size_t len, loff_t *pos)
{
	struct transfer *t = file->private_data;
	ssize_t ret = len;
	int err;

	if (pos)
		return -ESPIPE;
	err = transfer_lock(t);
	if (err)
		return err;

	if (len > stream_size() - t->size)
		ret = -ENOSPC;
	else if (t->size + len > sizeof(t->header) && xchg(&fail_write, false))
		ret = -EIO;
	else if (copy_from_user((void *)&t->header + t->size, buf, len))
		ret = -EFAULT;
	else if (t->size + len >= sizeof(t->header) && !header_fits(t))
		ret = -EINVAL;
	else
		t->size += len;
	mutex_unlock(&t->lock);
	return ret;
}

static int transfer_release(struct inode *inode, struct file *file)
{
	struct transfer *t = file->private_data;

	mutex_destroy(&t->lock);
	kvfree(t);
	return 0;
}

static const struct file_operations saving_fops = {
	.owner = THIS_MODULE,
	.read = saving_read,
	.unlocked_ioctl = saving_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = transfer_release,
};

static const struct file_operations resuming_fops = {
	.owner = THIS_MODULE,
	.write = resuming_write,
	.release = transfer_release,
};

/* Return: the user's reference. */
static struct file *transfer_begin(struct migratable *m,
				   const struct file_operations *fops)
{
	bool saving = fops == &saving_fops;
	struct transfer *t;

	t = kvzalloc(sizeof(*t) + e1000e_image_size(), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	t->file = anon_inode_getfile("[migratable]", fops, t,
				     saving ? O_RDONLY : O_WRONLY);
	if (IS_ERR(t->file)) {
		struct file *err = t->file;

		kvfree(t);
		return err;
	}
	stream_open(t->file->f_inode, t->file);
	mutex_init(&t->lock);
	t->device = m;
	if (saving) {
		t->header.magic = MAGIC;
		t->header.version = 1;
		t->header.image_size = e1000e_image_size();
		t->size = sizeof(t->header);
	}
	m->transfer = t;
	return get_file(t->file);
}

static void transfer_end(struct migratable *m)
{
	struct transfer *t = m->transfer;

	if (!t)
		return;
	m->transfer = NULL;
	mutex_lock(&t->lock);
	t->device = NULL;
	mutex_unlock(&t->lock);
	fput(t->file);
}

static int transfer_complete(struct migratable *m)
{
	struct transfer *t = m->transfer;
	int err;

	mutex_lock(&t->lock);
	err = e1000e_save(&m->core, &m->stopped, t->image);
	if (!err) {
		t->size = stream_size();
		t->complete = true;
	}
	mutex_unlock(&t->lock);
	return err;
}

static int transfer_apply(struct migratable *m)
{
	struct transfer *t = m->transfer;
	int err = -EINVAL;

	mutex_lock(&t->lock);
	if (t->size == stream_size())
		err = e1000e_load(&m->core, &m->stopped, t->image);
	mutex_unlock(&t->lock);
	return err;
}

/*
 * States
 */

static bool is_stopped(enum vfio_device_mig_state state)
{
	switch (state) {
	case VFIO_DEVICE_STATE_RUNNING:
	case VFIO_DEVICE_STATE_PRE_COPY:
		return false;
	default:
		return true;
	}
}

static bool is_saving(enum vfio_device_mig_state state)
{
	switch (state) {
	case VFIO_DEVICE_STATE_PRE_COPY:
	case VFIO_DEVICE_STATE_PRE_COPY_P2P:
	case VFIO_DEVICE_STATE_STOP_COPY:
		return true;
	default:
		return false;
	}
}

/*
 * Go along one arc of the protocol. Do all that can fail first: then only a new
 * transfer has to be undone.
 *
 * Return: the file of a new transfer, NULL or ERR_PTR
 */
static struct file *step(struct migratable *m, enum vfio_device_mig_state next)
{
	bool stop = is_stopped(next) && !is_stopped(m->state);
	bool run = !is_stopped(next) && is_stopped(m->state);
	struct file *file = NULL;
	int err = 0;

	if (cmpxchg(&fail_state, next, ~0) == next)
		return ERR_PTR(-EIO);

	if (stop)
		err = e1000e_stop(&m->core, &m->stopped);
	else if (m->state == VFIO_DEVICE_STATE_RESUMING)
		err = transfer_apply(m);
	if (err)
		return ERR_PTR(err);

	if (next == VFIO_DEVICE_STATE_RESUMING)
		file = transfer_begin(m, &resuming_fops);
	else if (is_saving(next) && !is_saving(m->state))
		file = transfer_begin(m, &saving_fops);
	if (IS_ERR(file))
		return file;
	if (next == VFIO_DEVICE_STATE_STOP_COPY)
		err = transfer_complete(m);
	if (err) {
		if (file) {
			transfer_end(m);
			fput(file);
		}
		return ERR_PTR(err);
	}

	if (m->state == VFIO_DEVICE_STATE_RESUMING ||
	    (is_saving(m->state) && !is_saving(next)))
		transfer_end(m);
	if (run)
		e1000e_run(&m->core, &m->stopped);
	m->state = next;
	return file;
}

static void lock_state(struct migratable *m)
{
	mutex_lock(&m->state_lock);
	if (xchg(&m->was_reset, false)) {
		transfer_end(m);
		m->state = VFIO_DEVICE_STATE_RUNNING;
	}
}

static struct file *set_state(struct vfio_device *vdev,
			      enum vfio_device_mig_state state)
{
	struct migratable *m = to_migratable(vdev);
	enum vfio_device_mig_state next;
	struct file *file = NULL;
	int err;

	lock_state(m);
	while (m->state != state && !IS_ERR(file)) {
		err = vfio_mig_get_next_state(vdev, m->state, state, &next);
		file = err ? ERR_PTR(err) : step(m, next);
	}
	mutex_unlock(&m->state_lock);
	return file;
}

static int get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	struct migratable *m = to_migratable(vdev);

	lock_state(m);
	*state = m->state;
	mutex_unlock(&m->state_lock);
	return 0;
}

static int get_data_size(struct vfio_device *vdev, unsigned long *length)
{
	*length = stream_size();
	return 0;
}

static const struct vfio_migration_ops migration_ops = {
	.migration_set_state = set_state,
	.migration_get_state = get_state,
	.migration_get_data_size = get_data_size,
};

/*
 * The device
 */

static int init(struct vfio_device *vdev)
{
	struct migratable *m = to_migratable(vdev);

	mutex_init(&m->state_lock);
	vdev->migration_flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P |
				VFIO_MIGRATION_PRE_COPY;
	vdev->mig_ops = &migration_ops;
	return vfio_pci_core_init_dev(vdev);
}

static void release(struct vfio_device *vdev)
{
	mutex_destroy(&to_migratable(vdev)->state_lock);
	vfio_pci_core_release_dev(vdev);
}

static int open_device(struct vfio_device *vdev)
{
	struct migratable *m = to_migratable(vdev);
	int err;

	err = vfio_pci_core_enable(&m->core);
	if (err)
		return err;
	m->was_reset = false;
	m->state = VFIO_DEVICE_STATE_RUNNING;
	vfio_pci_core_finish_enable(&m->core);
	return 0;
}

static void close_device(struct vfio_device *vdev)
{
	struct migratable *m = to_migratable(vdev);

	lock_state(m);
	transfer_end(m);
	mutex_unlock(&m->state_lock);
	vfio_pci_core_close_device(vdev);
}

static const struct vfio_device_ops ops = {
	.name = KBUILD_MODNAME,
	.init = init,
	.release = release,
	.open_device = open_device,
	.close_device = close_device,
	.ioctl = vfio_pci_core_ioctl,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct migratable *m;
	int err;

	m = vfio_alloc_device(migratable, core.vdev, &pdev->dev, &ops);
	if (IS_ERR(m))
		return PTR_ERR(m);
	dev_set_drvdata(&pdev->dev, &m->core);
	err = vfio_pci_core_register_device(&m->core);
	if (err)
		vfio_put_device(&m->core.vdev);
	return err;
}

static void remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

/* Called with memory_lock held. */
static void reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	WRITE_ONCE(to_migratable(&core->vdev)->was_reset, true);
}

static const struct pci_error_handlers error_handlers = {
	.reset_done = reset_done,
	.error_detected = vfio_pci_core_aer_err_detected,
};

static const struct pci_device_id devices[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_VENDOR_ID_INTEL, 0x10d3) },
	{}
};

static struct pci_driver migratable = {
	.name = KBUILD_MODNAME,
	.id_table = devices,
	.probe = probe,
	.remove = remove,
	.err_handler = &error_handlers,
	.driver_managed_dma = true,
};
module_pci_driver(migratable);

MODULE_DESCRIPTION("QEMU's e1000e as a device that VFIO can migrate, for tests");
MODULE_LICENSE("GPL");
