// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure the cost of MSI-X in a guest's kernel.
 *
 *	insmod msix_cost.ko device=0000:00:03.0
 *
 * Masks, unmasks and moves the device's first vector by Linux's own functions, and
 * logs "NAME MINIMUM MEDIAN" of each in TSC ticks. In the lab's machine with
 * --icount, ticks are executed instructions of guest, host and VMM together. A
 * driver must use the vector. Loading this module always fails in the end.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/irq.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/sort.h>
#include <asm/msr.h>

static char *device;
module_param(device, charp, 0);
MODULE_PARM_DESC(device, "the device, DDDD:BB:DD.F");

/* Number of measurements of each operation. */
#define LOOPS	499

static void __iomem *table;
static struct irq_data *irq;
static struct msi_msg msg;

static void do_nothing(void)
{
}

static void read_control(void)
{
	readl(table + PCI_MSIX_ENTRY_VECTOR_CTRL);
}

/* Linux writes Vector Control and reads it back, then writes it again. */
static void mask_unmask(void)
{
	pci_msi_mask_irq(irq);
	pci_msi_unmask_irq(irq);
}

/* As when an interrupt moves to another CPU, but with the same message. */
static void change_affinity(void)
{
	pci_msi_mask_irq(irq);
	pci_write_msi_msg(irq->irq, &msg);
	pci_msi_unmask_irq(irq);
}

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(const char *name, void (*what)(void))
{
	static u64 ticks[LOOPS];
	unsigned long flags;
	unsigned int i;

	what();
	for (i = 0; i < LOOPS; i++) {
		local_irq_save(flags);
		ticks[i] = -rdtsc_ordered();
		what();
		ticks[i] += rdtsc_ordered();
		local_irq_restore(flags);
	}
	sort(ticks, LOOPS, sizeof(ticks[0]), compare, NULL);
	pr_info("%s %llu %llu\n", name, ticks[0], ticks[LOOPS / 2]);
}

/* Return: the table, mapped, or NULL. */
static void __iomem *map_table(struct pci_dev *pdev)
{
	u32 where;
	u16 flags;

	if (!pdev->msix_cap)
		return NULL;
	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &where);
	return ioremap(pci_resource_start(pdev, where & PCI_MSIX_TABLE_BIR) +
		       (where & PCI_MSIX_TABLE_OFFSET),
		       ((flags & PCI_MSIX_FLAGS_QSIZE) + 1) *
		       PCI_MSIX_ENTRY_SIZE);
}

static int __init msix_cost_init(void)
{
	unsigned int domain, bus, slot, func;
	struct pci_dev *pdev;
	int nr;

	if (!device ||
	    sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &func) != 4)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, func));
	if (!pdev)
		return -ENODEV;

	nr = pdev->msix_enabled ? pci_irq_vector(pdev, 0) : -ENXIO;
	irq = nr > 0 ? irq_get_irq_data(nr) : NULL;
	table = map_table(pdev);
	if (irq && table) {
		get_cached_msi_msg(nr, &msg);
		measure("nothing", do_nothing);
		measure("read", read_control);
		measure("mask_unmask", mask_unmask);
		measure("affinity", change_affinity);
	} else {
		pr_err("%s: no driver uses its MSI-X\n", device);
	}
	if (table)
		iounmap(table);
	pci_dev_put(pdev);
	return -ECANCELED;
}
module_init(msix_cost_init);

MODULE_DESCRIPTION("Cost of accesses to an MSI-X table");
MODULE_LICENSE("GPL");
