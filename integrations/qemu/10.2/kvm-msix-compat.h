/* SPDX-License-Identifier: GPL-2.0-only */
/* For kvm-msix.c: what other versions than QEMU 10.2 have elsewhere, or not. */
#ifndef HW_VFIO_KVM_MSIX_COMPAT_H
#define HW_VFIO_KVM_MSIX_COMPAT_H

#include "hw/xen/xen.h"
#include "migration/blocker.h"
#include "migration/cpr.h"
#include "system/address-spaces.h"
#include "system/kvm_int.h"
#include "system/ramblock.h"
#include "system/runstate.h"
#include "system/system.h"
#include "pci.h"

/* Returns what VFIO does, or a negative errno. */
static inline int vfio_kvm_msix_set_irqs(VFIODevice *vbasedev,
                                         struct vfio_irq_set *irqs)
{
    return vbasedev->io_ops->set_irqs(vbasedev, irqs);
}

/* Read all @size bytes of a BAR or of configuration space. */
static inline bool vfio_kvm_msix_read_region(VFIOPCIDevice *vdev, uint8_t nr,
                                             off_t offset, uint32_t size,
                                             void *data)
{
    VFIODevice *vbasedev = &vdev->vbasedev;

    return vbasedev->io_ops->region_read(vbasedev, nr, offset, size, data) ==
           size;
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

static inline bool vfio_kvm_msix_add_cpr_blocker(Error **reasonp, Error **errp)
{
    return !migrate_add_blocker_modes(reasonp, BIT(MIG_MODE_CPR_TRANSFER) |
                                      BIT(MIG_MODE_CPR_EXEC), errp);
}

static inline void vfio_kvm_msix_del_cpr_blocker(Error **reasonp)
{
    migrate_del_blocker(reasonp);
}

#endif /* HW_VFIO_KVM_MSIX_COMPAT_H */
