// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of an Intel 82574 (e1000e) as QEMU 7.2 emulates the card, by way of
 * the card's registers: stop the source card, read its state, write the state to
 * the destination card, and let that card go on.
 *
 * Always true here:
 *  - A stopped card has its receiver, its transmitter and all causes of interrupts
 *    switched off; struct e1000e_stopped has the settings from before. ICR keeps
 *    causes that appear meanwhile. When the causes are switched on again, the card
 *    signals those that are due.
 *  - The pending bits in a card's own Pending Bit Array, of vectors that VFIO does
 *    not use yet, belong to the state as well: the destination card is made to
 *    signal the same vectors.
 *
 * The registers do not show everything. Not carried over: statistics, which
 * drivers add up as they read; TIDV, for interrupts without MSI-X; the semaphores
 * of SWSM; filters for wake-up and management; the EEPROM, so give both cards one
 * MAC address.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/mii.h>
#include <linux/pci.h>
#include <linux/vfio_pci_core.h>

#include "e1000e.h"

#define CTRL		0x0000
#define STATUS		0x0008
#define  STATUS_LU	BIT(1)		/* link up */
#define CTRL_EXT	0x0018
#define MDIC		0x0020
#define  MDIC_REG(r)	((r) << 16)
#define  MDIC_PHY	BIT(21)
#define  MDIC_WRITE	BIT(26)
#define  MDIC_READ	BIT(27)
#define  MDIC_READY	BIT(28)
#define  MDIC_INT_EN	BIT(29)
#define  MDIC_ERROR	BIT(30)
#define ICR		0x00c0
#define  ICR_ASSERTED	BIT(31)
#define ICS		0x00c8		/* reads as ICR, without clearing */
#define IMS		0x00d0
#define IMC		0x00d8
#define EIAC		0x00dc
#define IVAR		0x00e4
#define  IVAR_VALID	BIT(3)
#define RCTL		0x0100
#define TCTL		0x0400
#define  XCTL_EN	BIT(1)		/* in both */

#define CARD_VECTORS	5
/* The causes with a field of 4 bits each in IVAR, in the same order. */
#define CAUSE(n)	BIT(20 + (n))
#define NR_CAUSES	5
#define CAUSES		GENMASK(24, 20)

#define PHY_PAGE	22

/*
 * No cause is held back for longer: EITR, 2^16 times 256 ns; RDTR, RADV and TADV,
 * 2^16 times 1.024 us.
 */
#define QUIET_MS	100
/* QEMU's takes half a second. */
#define LINK_MS		5000
#define LINK_STEP_MS	20

/* Registers that can be written as they are read, while the card is stopped. */
static const struct {
	u16 first;
	u16 nr;
} mac[] = {
	{ CTRL, 1 }, { CTRL_EXT, 1 },
	{ 0x0028, 3 },			/* FCAL, FCAH, FCT */
	{ 0x0038, 1 },			/* VET */
	{ 0x00c4, 1 },			/* ITR */
	{ EIAC, 8 },			/* IAM, IVAR, EITR */
	{ 0x0170, 1 },			/* FCTTV */
	{ 0x0410, 1 }, { 0x0458, 1 },	/* TIPG, AIT */
	{ 0x0e00, 1 },			/* LEDCTL */
	{ 0x0f00, 1 }, { 0x0f08, 1 },	/* EXTCNF_CTRL, EXTCNF_SIZE */
	{ 0x0f10, 1 },			/* POEMB */
	{ 0x1000, 1 }, { 0x1008, 1 },	/* PBA, PBS */
	{ 0x2160, 1 }, { 0x2168, 1 },	/* FCRTL, FCRTH */
	{ 0x2170, 1 },			/* PSRCTL */
	{ 0x2800, 3 },			/* receive queue 0: RDBAL, RDBAH, RDLEN */
	{ 0x2810, 1 }, { 0x2818, 1 },	/*	RDH, RDT */
	{ 0x2820, 1 }, { 0x2828, 2 },	/*	RDTR, RXDCTL, RADV */
	{ 0x2900, 3 },			/* receive queue 1 */
	{ 0x2910, 1 }, { 0x2918, 1 }, { 0x2928, 1 },
	{ 0x2c00, 1 }, { 0x2c08, 1 },	/* RSRPD, RAID */
	{ 0x3800, 3 },			/* transmit queue 0: TDBAL, TDBAH, TDLEN */
	{ 0x3810, 1 }, { 0x3818, 1 },	/*	TDH, TDT */
	{ 0x3828, 2 }, { 0x3840, 1 },	/*	TXDCTL, TADV, TARC */
	{ 0x3900, 3 },			/* transmit queue 1 */
	{ 0x3910, 1 }, { 0x3918, 1 }, { 0x3928, 1 }, { 0x3940, 1 },
	{ 0x5000, 1 }, { 0x5008, 1 },	/* RXCSUM, RFCTL */
	{ 0x5200, 128 },		/* MTA */
	{ 0x5400, 32 },			/* RA */
	{ 0x5600, 128 },		/* VFTA */
	{ 0x5800, 1 }, { 0x5808, 1 },	/* WUC, WUFC */
	{ 0x5818, 1 }, { 0x5820, 1 },	/* MRQC, MANC */
	{ 0x5860, 1 },			/* MANC2H */
	{ 0x5b00, 1 }, { 0x5b64, 1 },	/* GCR, GCR2 */
	{ 0x5c00, 32 }, { 0x5c80, 32 },	/* RETA, RSSRK */
	{ 0xb608, 1 },			/* TIMINCA */
	{ 0xb614, 1 }, { 0xb620, 1 },	/* TSYNCTXCTL, TSYNCRXCTL */
};

/* Registers of the PHY on page 0, likewise. */
static const u8 phy[] = {
	MII_BMCR, MII_ADVERTISE, MII_CTRL1000,
	16, 18, 20, 26,	/* copper control 1, interrupt enable, control 3 and 2 */
};

/* The words of an image. */
enum {
	IMAGE_RCTL,
	IMAGE_TCTL,
	IMAGE_IMS,
	IMAGE_ICR,
	IMAGE_IVAR,
	IMAGE_PENDING,
	IMAGE_STATUS,
	IMAGE_BMSR,
	IMAGE_PHY_PAGE,
	IMAGE_MDIC,
	IMAGE_PHY,
	IMAGE_MAC = IMAGE_PHY + ARRAY_SIZE(phy),
};

struct card {
	struct vfio_pci_core_device *vdev;
	void __iomem *regs;
	u16 command;
};

/**
 * e1000e_image_size - How large the image of a card is
 *
 * Return: the size in bytes.
 */
size_t e1000e_image_size(void)
{
	size_t i, words = IMAGE_MAC;

	for (i = 0; i < ARRAY_SIZE(mac); i++)
		words += mac[i].nr;
	return words * sizeof(u32);
}

/* The guest may have switched the card's memory off. */
static int card_get(struct card *c, struct vfio_pci_core_device *vdev)
{
	int err;

	err = vfio_pci_core_setup_barmap(vdev, 0);
	if (err)
		return err;
	c->vdev = vdev;
	c->regs = vdev->barmap[0];
	down_write(&vdev->memory_lock);
	pci_read_config_word(vdev->pdev, PCI_COMMAND, &c->command);
	pci_write_config_word(vdev->pdev, PCI_COMMAND,
			      c->command | PCI_COMMAND_MEMORY);
	return 0;
}

static void card_put(struct card *c)
{
	pci_write_config_word(c->vdev->pdev, PCI_COMMAND, c->command);
	up_write(&c->vdev->memory_lock);
}

static u32 get(struct card *c, u32 reg)
{
	return ioread32(c->regs + reg);
}

static void set(struct card *c, u32 reg, u32 val)
{
	iowrite32(val, c->regs + reg);
}

/* The PHY answers at once, or not at all. */
static int mdic(struct card *c, u32 command)
{
	u32 val;

	set(c, MDIC, MDIC_PHY | command);
	val = get(c, MDIC);
	return val & MDIC_ERROR || !(val & MDIC_READY) ? -EIO : (u16)val;
}

static int phy_get(struct card *c, u32 reg)
{
	return mdic(c, MDIC_READ | MDIC_REG(reg));
}

static int phy_set(struct card *c, u32 reg, u16 val)
{
	int ret = mdic(c, MDIC_WRITE | MDIC_REG(reg) | val);

	return ret < 0 ? ret : 0;
}

/*
 * Wait for the interrupts that are on their way: held back in the card, or sent
 * and not handled yet. Meanwhile userspace cannot change the vectors.
 */
static void drain(struct vfio_pci_core_device *vdev)
{
	int v, irq;

	msleep(QUIET_MS);
	mutex_lock(&vdev->igate);
	for (v = 0; v < CARD_VECTORS; v++) {
		irq = pci_irq_vector(vdev->pdev, v);
		if (irq > 0)
			synchronize_irq(irq);
	}
	mutex_unlock(&vdev->igate);
}

/**
 * e1000e_stop - Stop a card
 * @vdev: the card
 * @stopped: out: what it takes to let the card go on
 *
 * On return the card writes no memory, and the last interrupt has been handled.
 *
 * Return: 0 or a negative errno, with the card running
 */
int e1000e_stop(struct vfio_pci_core_device *vdev,
		struct e1000e_stopped *stopped)
{
	struct card c;
	int err;

	err = card_get(&c, vdev);
	if (err)
		return err;
	stopped->rctl = get(&c, RCTL);
	set(&c, RCTL, stopped->rctl & ~XCTL_EN);
	stopped->tctl = get(&c, TCTL);
	set(&c, TCTL, stopped->tctl & ~XCTL_EN);
	stopped->ims = get(&c, IMS);
	set(&c, IMC, ~0);
	card_put(&c);

	drain(vdev);
	return 0;
}

/**
 * e1000e_run - Let a stopped card go on
 * @vdev: the card
 * @stopped: from e1000e_stop() or e1000e_load()
 */
void e1000e_run(struct vfio_pci_core_device *vdev,
		const struct e1000e_stopped *stopped)
{
	struct card c;

	/* Cannot fail: e1000e_stop() has called card_get(), too. */
	if (WARN_ON(card_get(&c, vdev)))
		return;
	set(&c, RCTL, stopped->rctl);
	set(&c, TCTL, stopped->tctl);
	set(&c, IMS, stopped->ims);
	card_put(&c);
}

/* Which vectors does the card itself have pending? */
static int get_pending(struct card *c, u32 *pending)
{
	struct pci_dev *pdev = c->vdev->pdev;
	u32 where;
	int bar, err;

	/* What the bits mean without MSI-X is left open. */
	*pending = 0;
	if (!pdev->msix_enabled)
		return 0;
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_PBA, &where);
	bar = where & PCI_MSIX_PBA_BIR;
	err = vfio_pci_core_setup_barmap(c->vdev, bar);
	if (err)
		return err;
	*pending = ioread32(c->vdev->barmap[bar] +
			    (where & PCI_MSIX_PBA_OFFSET));
	return 0;
}

/* Return: the cause for which the card signals @vector, or 0. */
static u32 cause_of(u32 ivar, u32 vector)
{
	u32 n;

	for (n = 0; n < NR_CAUSES; n++)
		if ((ivar >> 4 * n & 0xf) == (IVAR_VALID | vector))
			return CAUSE(n);
	return 0;
}

/*
 * Have the card signal the vectors that were pending in the source card. VFIO does
 * not use these vectors yet, here as at the source, so they become pending.
 */
static int set_pending(struct card *c, u32 pending, u32 ivar)
{
	u32 v, cause;

	if (!pending)
		return 0;
	if (!c->vdev->pdev->msix_enabled)
		return -EINVAL;
	set(c, CTRL_EXT, 0);
	set(c, IVAR, ivar);
	set(c, EIAC, CAUSES);
	set(c, ICR, ~0);
	for (v = 0; v < CARD_VECTORS; v++) {
		if (!(pending & BIT(v)))
			continue;
		cause = cause_of(ivar, v);
		if (!cause)
			return -EOPNOTSUPP;
		set(c, IMS, cause);
		set(c, ICS, cause);
		set(c, IMC, ~0);
	}
	return 0;
}

static bool has_link(struct card *c)
{
	int bmsr = phy_get(c, MII_BMSR);

	return bmsr > 0 && bmsr & BMSR_ANEGCOMPLETE &&
	       get(c, STATUS) & STATUS_LU;
}

/* Restore the source card's link: the guest's driver will not ask for a link. */
static int set_link(struct card *c, const u32 *image)
{
	bool negotiated = image[IMAGE_BMSR] & BMSR_ANEGCOMPLETE;
	unsigned int waited;
	int err;

	if (has_link(c) || (!negotiated && image[IMAGE_STATUS] & STATUS_LU))
		return 0;
	err = phy_set(c, MII_BMCR, BMCR_ANENABLE | BMCR_ANRESTART |
		      BMCR_FULLDPLX | BMCR_SPEED1000);
	if (err || !negotiated)
		return err;
	for (waited = 0; !has_link(c); waited += LINK_STEP_MS) {
		if (waited >= LINK_MS)
			return -ETIMEDOUT;
		msleep(LINK_STEP_MS);
	}
	return 0;
}

static int set_phy(struct card *c, const u32 *image)
{
	size_t i;
	int err;

	err = phy_set(c, PHY_PAGE, 0);
	if (err)
		return err;
	err = set_link(c, image);
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(phy); i++) {
		err = phy_set(c, phy[i], image[IMAGE_PHY + i]);
		if (err)
			return err;
	}
	return phy_set(c, PHY_PAGE, image[IMAGE_PHY_PAGE]);
}

/* The driver may be about to read the result of its last access. */
static void set_mdic(struct card *c, u32 val)
{
	set(c, MDIC, val & ~(MDIC_READY | MDIC_INT_EN));
}

/* In the end, leave all as it was: the card may have to go on. */
static int get_phy(struct card *c, u32 *image)
{
	int val, err;
	size_t i;

	image[IMAGE_MDIC] = get(c, MDIC);
	val = phy_get(c, PHY_PAGE);
	if (val < 0)
		return val;
	image[IMAGE_PHY_PAGE] = val;
	err = phy_set(c, PHY_PAGE, 0);
	if (err)
		return err;
	val = phy_get(c, MII_BMSR);
	image[IMAGE_BMSR] = val;
	for (i = 0; i < ARRAY_SIZE(phy) && val >= 0; i++) {
		val = phy_get(c, phy[i]);
		image[IMAGE_PHY + i] = val;
	}
	err = phy_set(c, PHY_PAGE, image[IMAGE_PHY_PAGE]);
	set_mdic(c, image[IMAGE_MDIC]);
	return val < 0 ? val : err;
}

/**
 * e1000e_save - Read all of a stopped card
 * @vdev: the card
 * @stopped: from e1000e_stop()
 * @image: out: e1000e_image_size() bytes
 *
 * Return: 0 or a negative errno
 */
int e1000e_save(struct vfio_pci_core_device *vdev,
		const struct e1000e_stopped *stopped, u32 *image)
{
	u32 *next = image + IMAGE_MAC;
	struct card c;
	size_t i;
	int err;
	u16 n;

	err = card_get(&c, vdev);
	if (err)
		return err;
	image[IMAGE_RCTL] = stopped->rctl;
	image[IMAGE_TCTL] = stopped->tctl;
	image[IMAGE_IMS] = stopped->ims;
	image[IMAGE_ICR] = get(&c, ICS) & ~ICR_ASSERTED;
	image[IMAGE_IVAR] = get(&c, IVAR);
	image[IMAGE_STATUS] = get(&c, STATUS);
	err = get_pending(&c, &image[IMAGE_PENDING]);
	if (!err)
		err = get_phy(&c, image);
	for (i = 0; i < ARRAY_SIZE(mac); i++)
		for (n = 0; n < mac[i].nr; n++)
			*next++ = get(&c, mac[i].first + 4 * n);
	card_put(&c);
	return err;
}

/**
 * e1000e_load - Write the state of a card to another, stopped card
 * @vdev: the other card
 * @stopped: out: what it takes to let this card go on
 * @image: from e1000e_save()
 *
 * Return: 0; or a negative errno, and the card has parts of both states
 */
int e1000e_load(struct vfio_pci_core_device *vdev,
		struct e1000e_stopped *stopped, const u32 *image)
{
	const u32 *next = image + IMAGE_MAC;
	struct card c;
	size_t i;
	int err;
	u16 n;

	err = card_get(&c, vdev);
	if (err)
		return err;
	err = set_phy(&c, image);
	if (!err)
		err = set_pending(&c, image[IMAGE_PENDING], image[IMAGE_IVAR]);
	for (i = 0; i < ARRAY_SIZE(mac); i++)
		for (n = 0; n < mac[i].nr; n++)
			set(&c, mac[i].first + 4 * n, *next++);
	set_mdic(&c, image[IMAGE_MDIC]);
	set(&c, ICR, ~0);
	set(&c, ICS, image[IMAGE_ICR]);
	card_put(&c);
	stopped->rctl = image[IMAGE_RCTL];
	stopped->tctl = image[IMAGE_TCTL];
	stopped->ims = image[IMAGE_IMS];
	return err;
}
