/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Each function that hostsyms.c finds, as HOST_CALL(name). A file defines
 * HOST_CALL() to handle one function, then includes this list, as KVM does with
 * kvm-x86-ops.h: no include guard.
 */
HOST_CALL(file_is_kvm);
HOST_CALL(kvm_io_bus_register_dev);
HOST_CALL(kvm_io_bus_unregister_dev);
HOST_CALL(kvm_arch_set_irq_inatomic);
HOST_CALL(kvm_arch_update_irqfd_routing);
#ifndef KVM_MSIX_POST_BY_GSI
HOST_CALL(kvm_arch_irq_bypass_add_producer);
HOST_CALL(kvm_arch_irq_bypass_del_producer);
#endif
HOST_CALL(kvm_irq_routing_update);
HOST_CALL(kvm_set_irq_routing);
HOST_CALL(kvm_set_msi);

#undef HOST_CALL
