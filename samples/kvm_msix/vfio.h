/* SPDX-License-Identifier: GPL-2.0-only */
/* A PCI device of VFIO. @address is the PCI address, such as 0000:00:04.0. */
#ifndef SAMPLES_KVM_MSIX_VFIO_H
#define SAMPLES_KVM_MSIX_VFIO_H

int vfio_open(const char *address);

/* Have vector 0 of MSI-X signal @event; -1: disable MSI-X. */
void vfio_connect(int device, int event);

/* Act as if the device had sent the message of vector 0. */
void vfio_raise(int device);

#endif /* SAMPLES_KVM_MSIX_VFIO_H */
