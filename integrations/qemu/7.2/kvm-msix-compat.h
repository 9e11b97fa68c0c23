/* SPDX-License-Identifier: GPL-2.0-only */
/* For kvm-msix.c: what QEMU 7.2 has elsewhere, under another name, or not. */
#ifndef HW_VFIO_KVM_MSIX_COMPAT_H
#define HW_VFIO_KVM_MSIX_COMPAT_H

#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#include "qapi/error.h"
#include "sysemu/kvm_int.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "pci.h"

#define OFF_AUTO_PCIBAR_OFF OFF_AUTOPCIBAR_OFF
#define vfio_device_irq_disable vfio_disable_irqindex

/* After KVM's own listener */
#define MEMORY_LISTENER_PRIORITY_DEV_BACKEND 10

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
    return false;
}

static inline bool vfio_kvm_msix_can_add_vectors(VFIOPCIDevice *vdev)
{
    struct vfio_irq_info info = {
        .argsz = sizeof(info),
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };

    return !ioctl(vdev->vbasedev.fd, VFIO_DEVICE_GET_IRQ_INFO, &info) &&
           !(info.flags & VFIO_IRQ_INFO_NORESIZE);
}

/* There is no CPR. */

static inline bool vfio_kvm_msix_cpr_is_incoming(void)
{
    return false;
}

static inline bool vfio_kvm_msix_add_cpr_blocker(Error **reasonp, Error **errp)
{
    return true;
}

static inline void vfio_kvm_msix_del_cpr_blocker(Error **reasonp)
{
    error_free(*reasonp);
    *reasonp = NULL;
}

#endif /* HW_VFIO_KVM_MSIX_COMPAT_H */
