// SPDX-License-Identifier: GPL-2.0-only
/*
 * An IOMMU for a CPU with Intel's APIC virtualization: KVM's own code writes the IRTE,
 * and posting a message is as in VT-d: set a bit in the vCPU's posted-interrupt
 * descriptor, and send the notification that the descriptor asks for.
 *
 * irq_remapping_cap(), which tells KVM and kvm_msix whether the IOMMU posts, is replaced.
 */
#include <linux/kvm_irqfd.h>
#include <asm/apic.h>
#include <asm/irq_remapping.h>
#include <asm/posted_intr.h>

#include "iommu.h"
#include "replace.h"

/* KVM has renamed the struct. */
#ifdef FAKEPOST_BY_IRQFD
#define vtd_info intel_iommu_pi_data
#else
#define vtd_info vcpu_data
#endif

static bool posting_cap(enum irq_remap_cap cap)
{
	return cap == IRQ_POSTING_CAP;
}

static struct replacement cap = {
	.symbol = "irq_remapping_cap",
	.function = posting_cap,
};

static int vtd_start(void)
{
	int err;

	BUILD_BUG_ON(sizeof(struct vtd_info) != sizeof_field(union irte, vtd));
	err = replace_start(&cap);
	if (err)
		return err;
	err = kvm_posts_start();
	if (err)
		replace_stop(&cap);
	return err;
}

static void vtd_stop(void)
{
	kvm_posts_stop();
	replace_stop(&cap);
}

static void notify(const struct pi_desc *desc)
{
	u32 destination = READ_ONCE(desc->ndst);
	unsigned int cpu;

	if (!x2apic_enabled())
		destination = destination >> 8 & 0xff;
	for_each_online_cpu(cpu)
		if (cpu_physical_id(cpu) == destination)
			__apic_send_IPI_mask(cpumask_of(cpu), desc->nv);
}

/*
 * As VT-d: always set the request; send a notification if none is outstanding and
 * notifications are not suppressed.
 */
static void vtd_post(union irte *irte)
{
	struct pi_desc *desc = __va(irte->vtd.pi_desc_addr);

	set_bit(irte->vtd.vector, (unsigned long *)desc->pir);
	if (!pi_test_sn(desc) && !pi_test_and_set_on(desc))
		notify(desc);
}

const struct iommu vtd = {
	.irte_size = sizeof_field(union irte, vtd),
	.start = vtd_start,
	.stop = vtd_stop,
	.post = vtd_post,
};
