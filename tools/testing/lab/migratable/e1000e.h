/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MIGRATABLE_E1000E_H
#define MIGRATABLE_E1000E_H

#include <linux/types.h>

struct vfio_pci_core_device;

/* The part of a stopped device's state that its registers do not have. */
struct e1000e_stopped {
	u32 rctl;
	u32 tctl;
	u32 ims;
};

size_t e1000e_image_size(void);
int e1000e_stop(struct vfio_pci_core_device *vdev,
		struct e1000e_stopped *stopped);
void e1000e_run(struct vfio_pci_core_device *vdev,
		const struct e1000e_stopped *stopped);
int e1000e_save(struct vfio_pci_core_device *vdev,
		const struct e1000e_stopped *stopped, u32 *image);
int e1000e_load(struct vfio_pci_core_device *vdev,
		struct e1000e_stopped *stopped, const u32 *image);

#endif /* MIGRATABLE_E1000E_H */
