/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second implementation of MSI-X, as slow and as plain as the specification's
 * text: bytes and flags, no bit operations on words, nothing of core.h.
 */
#ifndef _KVM_MSIX_TEST_MODEL_H
#define _KVM_MSIX_TEST_MODEL_H

#include <linux/types.h>

#include <stdbool.h>

#define MODEL_MAX_VECTORS	2048

/**
 * struct model_vector - One vector
 * @byte: the 16 bytes of the table entry
 * @pending: an event waits
 */
struct model_vector {
	unsigned char byte[16];
	bool pending;
};

struct model {
	unsigned int nr;
	bool enabled;
	bool function_masked;
	struct model_vector vector[MODEL_MAX_VECTORS];
};

/**
 * struct model_change - What a write has changed
 * @mask: the mask bit
 * @message: address or data
 * @sent: a message has to be sent
 */
struct model_change {
	bool mask;
	bool message;
	bool sent;
};

enum model_outcome {
	MODEL_SENT,
	MODEL_LATCHED,
	MODEL_COALESCED,
};

void model_reset(struct model *m, unsigned int nr);
unsigned int model_table_bytes(const struct model *m);
unsigned int model_pba_bytes(const struct model *m);
bool model_allows(__u64 size, __u64 offset, __u64 len);
__u64 model_read(const struct model *m, unsigned int offset, unsigned int len);
__u64 model_pba_read(const struct model *m, unsigned int offset,
		     unsigned int len);
struct model_change model_write(struct model *m, unsigned int offset,
				unsigned int len, __u64 val);
enum model_outcome model_event(struct model *m, unsigned int v);
bool model_settle(struct model *m, unsigned int v);
bool model_masked(const struct model *m, unsigned int v);
bool model_sends(const struct model *m, unsigned int v);
__u64 model_address(const struct model *m, unsigned int v);
__u64 model_data(const struct model *m, unsigned int v);
void model_restore(struct model *m, unsigned int v, __u64 address,
		   __u64 data_and_control, bool pending);

#endif /* _KVM_MSIX_TEST_MODEL_H */
