/* SPDX-License-Identifier: GPL-2.0-only */
/* For kvm-msix.c: what other versions than QEMU 10.0 have elsewhere, or not. */
#ifndef HW_VFIO_KVM_MSIX_COMPAT_H
#define HW_VFIO_KVM_MSIX_COMPAT_H

#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#include "hw/xen/xen.h"
#include "migration/blocker.h"
#include "migration/cpr.h"
#include "system/kvm_int.h"
#include "system/runstate.h"
#include "system/system.h"
#include "pci.h"

#define vfio_device_irq_disable vfio_disable_irqindex

/* Returns what VFIO does, or a negative errno. */
static inline int vfio_kvm_msix_set_irqs(VFIODevice *vbasedev,
                                         struct vfio_irq_set *irqs)
{
    int ret = ioctl(vbasedev->fd, VFIO_DEVICE_SET_IRQS, irqs);

    return ret < 0 ? -errno : ret;
}

/* Read all @size bytes of a BAR or of configuration space. */
static inline bool vfio_kvm_msix_read_region(VFIOPCIDevice *vdev, uint8_t nr,
                                             off_t offset, uint32_t size,
                                             void *data)
{
    off_t region = nr == VFIO_PCI_CONFIG_REGION_INDEX ? vdev->config_offset :
                   vdev->bars[nr].region.fd_offset;

    return pread(vdev->vbasedev.fd, data, size, region + offset) == size;
}

static inline bool vfio_kvm_msix_xen_is_emulated(void)
{
    return xen_mode == XEN_EMULATE;
}

static inline bool vfio_kvm_msix_can_add_vectors(VFIOPCIDevice *vdev)
{
    return !vdev->msix->noresize;
}

static inline bool vfio_kvm_msix_cpr_is_incoming(void)
{
    return cpr_is_incoming();
}

/* 10.0 has no CPR for VFIO yet, but has the mode, and would start it. */
static inline bool vfio_kvm_msix_add_cpr_blocker(Error **reasonp, Error **errp)
{
    return !migrate_add_blocker_modes(reasonp, errp, MIG_MODE_CPR_TRANSFER, -1);
}

static inline void vfio_kvm_msix_del_cpr_blocker(Error **reasonp)
{
    migrate_del_blocker(reasonp);
}

#endif /* HW_VFIO_KVM_MSIX_COMPAT_H */
