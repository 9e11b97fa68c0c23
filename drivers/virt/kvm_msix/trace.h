/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints; described for users in Documentation/virt/kvm_msix.rst. The
 * field "dev" is the device's number in debugfs.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_msix

#if !defined(_KVM_MSIX_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KVM_MSIX_TRACE_H

#include <linux/tracepoint.h>

/* The guest reads or writes table or PBA; value is 0 if rejected. */
TRACE_EVENT(kvm_msix_access,
	TP_PROTO(int dev, bool pba, bool write, u32 offset, u32 len, u64 value,
		 bool rejected),
	TP_ARGS(dev, pba, write, offset, len, value, rejected),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(bool, pba)
		__field(bool, write)
		__field(bool, rejected)
		__field(u32, offset)
		__field(u32, len)
		__field(u64, value)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->pba = pba;
		__entry->write = write;
		__entry->rejected = rejected;
		__entry->offset = offset;
		__entry->len = len;
		__entry->value = value;
	),

	TP_printk("dev %d %s %s offset 0x%x len %u value 0x%llx%s",
		  __entry->dev,
		  __print_symbolic(__entry->pba, { 0, "table" }, { 1, "pba" }),
		  __entry->write ? "write" : "read", __entry->offset,
		  __entry->len, __entry->value,
		  __entry->rejected ? " rejected" : "")
);

/* The guest changes a vector's mask bit. */
TRACE_EVENT(kvm_msix_mask,
	TP_PROTO(int dev, u32 vector, bool masked, bool pending),
	TP_ARGS(dev, vector, masked, pending),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(bool, masked)
		__field(bool, pending)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->masked = masked;
		__entry->pending = pending;
	),

	TP_printk("dev %d vector %u %s%s", __entry->dev, __entry->vector,
		  __entry->masked ? "masked" : "unmasked",
		  __entry->pending ? " pending" : "")
);

/* The watch of a mapped table changes its state: see watch.c. */
TRACE_EVENT(kvm_msix_watch,
	TP_PROTO(int dev, u32 state),
	TP_ARGS(dev, state),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, state)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->state = state;
	),

	TP_printk("dev %d %s", __entry->dev,
		  __print_symbolic(__entry->state, { 0, "open" },
				   { 1, "looking" }, { 2, "protected" },
				   { 3, "sealed" }))
);

/* A vector is posted or remapped: see post.c. */
TRACE_EVENT(kvm_msix_post,
	TP_PROTO(int dev, u32 vector, u32 why),
	TP_ARGS(dev, vector, why),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(u32, why)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->why = why;
	),

	TP_printk("dev %d vector %u %s", __entry->dev, __entry->vector,
		  __print_symbolic(__entry->why, { 0, "posted" },
				   { 1, "remapped: write" },
				   { 2, "remapped: store" },
				   { 3, "remapped: control" },
				   { 4, "remapped: producer" },
				   { 5, "remapped: refused" }))
);

/* The VMM sets Message Control, by CONTROL, SET_STATE or RESET. */
TRACE_EVENT(kvm_msix_control,
	TP_PROTO(int dev, u32 control),
	TP_ARGS(dev, control),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, control)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->control = control;
	),

	TP_printk("dev %d %s%s", __entry->dev,
		  __entry->control & PCI_MSIX_FLAGS_ENABLE ? "enabled" : "disabled",
		  __entry->control & PCI_MSIX_FLAGS_MASKALL ? " function masked" : "")
);

DECLARE_EVENT_CLASS(kvm_msix_message,
	TP_PROTO(int dev, u32 vector, u64 address, u32 data, int result),
	TP_ARGS(dev, vector, address, data, result),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(u64, address)
		__field(u32, data)
		__field(int, result)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->address = address;
		__entry->data = data;
		__entry->result = result;
	),

	TP_printk("dev %d vector %u address 0x%llx data 0x%x result %d",
		  __entry->dev, __entry->vector, __entry->address,
		  __entry->data, __entry->result)
);

/* The guest changes a vector's address or data; result is 0. */
DEFINE_EVENT(kvm_msix_message, kvm_msix_message,
	TP_PROTO(int dev, u32 vector, u64 address, u32 data, int result),
	TP_ARGS(dev, vector, address, data, result)
);

/*
 * A message is sent. result: how many vCPUs took the message; if that is none,
 * the message was dropped, and result may be negative.
 */
DEFINE_EVENT(kvm_msix_message, kvm_msix_deliver,
	TP_PROTO(int dev, u32 vector, u64 address, u32 data, int result),
	TP_ARGS(dev, vector, address, data, result)
);

/* The vector's eventfd was signalled. */
TRACE_EVENT(kvm_msix_event,
	TP_PROTO(int dev, u32 vector),
	TP_ARGS(dev, vector),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
	),

	TP_printk("dev %d vector %u", __entry->dev, __entry->vector)
);

/* An event sets the pending bit, or finds the bit set (coalesced). */
TRACE_EVENT(kvm_msix_latch,
	TP_PROTO(int dev, u32 vector, bool coalesced),
	TP_ARGS(dev, vector, coalesced),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(bool, coalesced)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->coalesced = coalesced;
	),

	TP_printk("dev %d vector %u%s", __entry->dev, __entry->vector,
		  __entry->coalesced ? " coalesced" : "")
);

/* The route of a vector's GSI is set, changed or removed. */
TRACE_EVENT(kvm_msix_route,
	TP_PROTO(int dev, u32 vector, int gsi, bool present),
	TP_ARGS(dev, vector, gsi, present),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(int, gsi)
		__field(bool, present)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->gsi = gsi;
		__entry->present = present;
	),

	TP_printk("dev %d vector %u gsi %d %s", __entry->dev, __entry->vector,
		  __entry->gsi, __entry->present ? "set" : "absent")
);

/* Table or PBA starts or stops answering at an address. */
TRACE_EVENT(kvm_msix_addr,
	TP_PROTO(int dev, bool pba, u64 gpa, u32 len, bool present),
	TP_ARGS(dev, pba, gpa, len, present),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(bool, pba)
		__field(bool, present)
		__field(u64, gpa)
		__field(u32, len)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->pba = pba;
		__entry->present = present;
		__entry->gpa = gpa;
		__entry->len = len;
	),

	TP_printk("dev %d %s %s 0x%llx len %u", __entry->dev,
		  __print_symbolic(__entry->pba, { 0, "table" }, { 1, "pba" }),
		  __entry->present ? "at" : "leaves", __entry->gpa,
		  __entry->len)
);

/* A vector is bound, or unbound: no eventfd, and gsi is -1. */
TRACE_EVENT(kvm_msix_bind,
	TP_PROTO(int dev, u32 vector, bool eventfd, int gsi),
	TP_ARGS(dev, vector, eventfd, gsi),

	TP_STRUCT__entry(
		__field(int, dev)
		__field(u32, vector)
		__field(bool, eventfd)
		__field(int, gsi)
	),

	TP_fast_assign(
		__entry->dev = dev;
		__entry->vector = vector;
		__entry->eventfd = eventfd;
		__entry->gsi = gsi;
	),

	TP_printk("dev %d vector %u eventfd %s gsi %d", __entry->dev,
		  __entry->vector, __entry->eventfd ? "yes" : "no",
		  __entry->gsi)
);

#endif /* _KVM_MSIX_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
