// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI-X after the specification's text: see model.h. Comments quote clauses of PCI
 * Express Base 6, and choices of kvm_msix-semantics.rst by number.
 */
#include "model.h"

/* 7.7.2.7 to 7.7.2.10: bytes 0-7 address, 8-11 data, 12-15 Vector Control. */
enum {
	ADDRESS = 0,
	DATA = 8,
	VECTOR_CONTROL = 12,
};

/* Little endian, as everything in configuration and table. */
static __u64 join(const unsigned char *byte, unsigned int len)
{
	__u64 val = 0;

	while (len--)
		val = val * 256 + byte[len];
	return val;
}

static void split(unsigned char *byte, unsigned int len, __u64 val)
{
	unsigned int i;

	for (i = 0; i < len; i++) {
		byte[i] = val % 256;
		val /= 256;
	}
}

/* "After reset the state of this bit is 1"; the rest is choice 1. */
void model_reset(struct model *m, unsigned int nr)
{
	unsigned int v;

	m->nr = nr;
	m->enabled = false;
	m->function_masked = false;
	for (v = 0; v < nr; v++) {
		split(m->vector[v].byte, 16, 0);
		m->vector[v].byte[VECTOR_CONTROL] = 1;
		m->vector[v].pending = false;
	}
}

unsigned int model_table_bytes(const struct model *m)
{
	return m->nr * 16;
}

/* Whole quadwords, 64 vectors in each. */
unsigned int model_pba_bytes(const struct model *m)
{
	unsigned int bytes = 8, room = 64;

	while (room < m->nr) {
		bytes += 8;
		room += 64;
	}
	return bytes;
}

/* Choices 5 and 6. */
bool model_allows(__u64 size, __u64 offset, __u64 len)
{
	switch (len) {
	case 1:
	case 2:
	case 4:
	case 8:
		return offset % len == 0 && offset + len <= size;
	default:
		return false;
	}
}

__u64 model_read(const struct model *m, unsigned int offset, unsigned int len)
{
	unsigned char byte[8];
	unsigned int i;

	for (i = 0; i < len; i++)
		byte[i] = m->vector[(offset + i) / 16].byte[(offset + i) % 16];
	return join(byte, len);
}

__u64 model_pba_read(const struct model *m, unsigned int offset,
		     unsigned int len)
{
	unsigned char byte[8] = { 0 };
	unsigned int v;

	for (v = offset * 8; v < (offset + len) * 8; v++)
		if (v < m->nr && m->vector[v].pending)
			byte[v / 8 - offset] += 1 << v % 8;
	return join(byte, len);
}

bool model_masked(const struct model *m, unsigned int v)
{
	return m->vector[v].byte[VECTOR_CONTROL] % 2 == 1;
}

__u64 model_address(const struct model *m, unsigned int v)
{
	return join(m->vector[v].byte + ADDRESS, 8);
}

__u64 model_data(const struct model *m, unsigned int v)
{
	return join(m->vector[v].byte + DATA, 4);
}

/*
 * "If the function is masked, or the vector is, it must not send the message";
 * choice 16: nor if MSI-X is not enabled.
 */
bool model_sends(const struct model *m, unsigned int v)
{
	if (!m->enabled)
		return false;
	if (m->function_masked)
		return false;
	return !model_masked(m, v);
}

/* "When unmasked with the Pending bit set: send, and clear the bit." */
bool model_settle(struct model *m, unsigned int v)
{
	if (m->vector[v].pending && model_sends(m, v)) {
		m->vector[v].pending = false;
		return true;
	}
	return false;
}

struct model_change model_write(struct model *m, unsigned int offset,
				unsigned int len, __u64 val)
{
	unsigned int v = offset / 16;
	bool masked = model_masked(m, v);
	__u64 address = model_address(m, v);
	__u64 data = model_data(m, v);
	struct model_change change;

	split(m->vector[v].byte + offset % 16, len, val);
	change.mask = masked != model_masked(m, v);
	change.message = address != model_address(m, v) ||
			 data != model_data(m, v);
	change.sent = model_settle(m, v);
	return change;
}

enum model_outcome model_event(struct model *m, unsigned int v)
{
	if (model_sends(m, v))
		return MODEL_SENT;
	if (m->vector[v].pending)
		return MODEL_COALESCED;
	m->vector[v].pending = true;
	return MODEL_LATCHED;
}

/* Set the state of a vector. As the guest does not write, no message is sent. */
void model_restore(struct model *m, unsigned int v, __u64 address,
		   __u64 data_and_control, bool pending)
{
	split(m->vector[v].byte + ADDRESS, 8, address);
	split(m->vector[v].byte + DATA, 8, data_and_control);
	m->vector[v].pending = pending;
}
