/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSI-X of assigned devices, emulated in the kernel by kvm_msix
 *
 * All functions but vfio_kvm_msix_realize() may be called for any device.  They
 * do nothing if the device's table is not in the kernel.
 */
#ifndef HW_VFIO_KVM_MSIX_H
#define HW_VFIO_KVM_MSIX_H

#include "pci.h"

#if defined(CONFIG_KVM) && defined(TARGET_X86_64)

/* Returns false, with @errp set, only if x-kvm-msix=on cannot be met. */
bool vfio_kvm_msix_realize(VFIOPCIDevice *vdev, Error **errp);
void vfio_kvm_msix_exit(VFIOPCIDevice *vdev);
void vfio_kvm_msix_finalize(VFIOPCIDevice *vdev);

/* Is this device's table in the kernel? */
bool vfio_kvm_msix_active(VFIOPCIDevice *vdev);

/* The guest set or cleared MSI-X Enable, or the device is reset. */
void vfio_kvm_msix_enable(VFIOPCIDevice *vdev);
void vfio_kvm_msix_disable(VFIOPCIDevice *vdev);
void vfio_kvm_msix_reset(VFIOPCIDevice *vdev);

/* Call before the device gets a write to config space, which may reset it. */
void vfio_kvm_msix_flr(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                       int len);

/* Message Control is what QEMU's config space says, now. */
void vfio_kvm_msix_control(VFIOPCIDevice *vdev);

/* Make QEMU's copy of table and PBA the kernel's, and the other way round. */
void vfio_kvm_msix_save(VFIOPCIDevice *vdev);
void vfio_kvm_msix_load(VFIOPCIDevice *vdev);

#else

static inline bool vfio_kvm_msix_realize(VFIOPCIDevice *vdev, Error **errp)
{
    if (vdev->kvm_msix_mode == ON_OFF_AUTO_ON) {
        error_setg(errp, "x-kvm-msix=on: this QEMU is built without it");
        return false;
    }
    return true;
}

static inline bool vfio_kvm_msix_active(VFIOPCIDevice *vdev)
{
    return false;
}

static inline void vfio_kvm_msix_exit(VFIOPCIDevice *vdev) {}
static inline void vfio_kvm_msix_finalize(VFIOPCIDevice *vdev) {}
static inline void vfio_kvm_msix_enable(VFIOPCIDevice *vdev) {}
static inline void vfio_kvm_msix_disable(VFIOPCIDevice *vdev) {}
static inline void vfio_kvm_msix_reset(VFIOPCIDevice *vdev) {}
static inline void vfio_kvm_msix_flr(VFIOPCIDevice *vdev, uint32_t addr,
                                     uint32_t val, int len) {}
static inline void vfio_kvm_msix_control(VFIOPCIDevice *vdev) {}
static inline void vfio_kvm_msix_save(VFIOPCIDevice *vdev) {}
static inline void vfio_kvm_msix_load(VFIOPCIDevice *vdev) {}

#endif

#endif /* HW_VFIO_KVM_MSIX_H */
