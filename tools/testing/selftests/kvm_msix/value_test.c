// SPDX-License-Identifier: GPL-2.0-only
/*
 * Invalid values for KVM_MSIX_CONTROL, GET_STATE, SET_STATE and
 * SET_GSI_ROUTING.
 */
#include "kselftest_harness.h"
#include "kvm_msix_util.h"
#include "witness.h"

FIXTURE(value) {
	struct witness w;
};

FIXTURE_SETUP(value)
{
	witness_create(&self->w);
}

FIXTURE_TEARDOWN(value)
{
	witness_check(&self->w);
}

TEST_F(value, control)
{
	static const u32 bad[] = { 0x10000, 0x18000, 1u << 31, UINT32_MAX };
	struct msix_state *s;
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(EINVAL, __msix_control(self->w.d.fd, bad[i]));

	/* Two of the 16 bits act and are kept. */
	EXPECT_EQ(0, __msix_control(self->w.d.fd, (u16)~ENABLE));
	s = msix_get_state(self->w.d.fd, WITNESS_NR);
	EXPECT_EQ(FUNCTION_MASK, s->control);
	msix_state_free(s);
	EXPECT_EQ(0, __msix_control(self->w.d.fd, 0xffff));
}

TEST_F(value, state_invalid)
{
	struct msix_state *s = msix_state_alloc(WITNESS_NR + 1);
	struct kvm_msix_state args = {
		.size = sizeof(args),
		.nr_vectors = WITNESS_NR,
		.table = (uintptr_t)s->entry,
		.pba = (uintptr_t)s->pba,
	};
	static const u32 bad_nr[] = { 0, WITNESS_NR - 1, WITNESS_NR + 1, 2048, UINT32_MAX };
	int fd = self->w.d.fd, bit, i;

	for (i = 0; i < ARRAY_SIZE(bad_nr); i++) {
		args.nr_vectors = bad_nr[i];
		EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_GET_STATE, &args));
		EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_SET_STATE, &args));
	}
	args.nr_vectors = WITNESS_NR;

	for (bit = 0; bit < 32; bit++) {
		if (1u << bit & (ENABLE | FUNCTION_MASK))
			continue;
		args.control = 1u << bit;
		EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_SET_STATE, &args));
	}
	args.control = 0;

	for (bit = WITNESS_NR; bit < 64; bit++) {
		s->pba[0] = 1ull << bit;
		EXPECT_EQ(EINVAL, __msix_ioctl(fd, KVM_MSIX_SET_STATE, &args));
	}
	s->pba[0] = 0;

	args.table = 8;
	EXPECT_EQ(EFAULT, __msix_ioctl(fd, KVM_MSIX_GET_STATE, &args));
	EXPECT_EQ(EFAULT, __msix_ioctl(fd, KVM_MSIX_SET_STATE, &args));
	args.table = (uintptr_t)s->entry;
	args.pba = 8;
	EXPECT_EQ(EFAULT, __msix_ioctl(fd, KVM_MSIX_GET_STATE, &args));
	EXPECT_EQ(EFAULT, __msix_ioctl(fd, KVM_MSIX_SET_STATE, &args));
	msix_state_free(s);
}

TEST_F(value, gsi_routing_invalid)
{
	struct kvm_irq_routing_entry good = msi_route(100, MSI_ADDR(0), 0x40);
	struct kvm_irq_routing_entry *many = calloc(4097, sizeof(*many));
	struct kvm_irq_routing_entry bad = good;
	int fd = self->w.d.fd, i;

	for (i = 0; i < 4097; i++)
		many[i] = msi_route(i % 4096, MSI_ADDR(0), 0x40);
	EXPECT_EQ(EINVAL, __msix_set_gsi_routing(fd, 4097, many));
	EXPECT_EQ(EINVAL, __msix_set_gsi_routing(fd, UINT32_MAX, many));
	bad.type = 99;
	EXPECT_EQ(EINVAL, __msix_set_gsi_routing(fd, 1, &bad));
	bad = msi_route(4096, MSI_ADDR(0), 0x40);
	EXPECT_EQ(EINVAL, __msix_set_gsi_routing(fd, 1, &bad));
	EXPECT_EQ(EFAULT, __msix_set_gsi_routing(fd, 1, (void *)8));
	/* The table is still KVM's default one: GSI 5 is a pin. */
	EXPECT_EQ(EEXIST, __msix_bind_one(fd, 1, -1, 5));

	EXPECT_EQ(0, __msix_bind_one(fd, 1, -1, 100));
	EXPECT_EQ(EEXIST, __msix_set_gsi_routing(fd, 1, &good));
	EXPECT_EQ(0, __msix_bind_one(fd, 1, -1, -1));
	EXPECT_EQ(0, __msix_set_gsi_routing(fd, 4096, many));
	EXPECT_EQ(0, __msix_set_gsi_routing(fd, 0, NULL));
	free(many);
}

KVM_MSIX_TEST_MAIN
