/* SPDX-License-Identifier: GPL-2.0-only */
/* A function with one vector: see msix.c. */
#ifndef SAMPLES_KVM_MSIX_MSIX_H
#define SAMPLES_KVM_MSIX_MSIX_H

#include <stdint.h>

#define MSIX_ENABLE 0x8000	/* in Message Control */

int msix_create(int vm_fd, uint64_t table_gpa, uint64_t pba_gpa, int *event);
int msix_control(int dev, uint16_t message_control);

#endif /* SAMPLES_KVM_MSIX_MSIX_H */
