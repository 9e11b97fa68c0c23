/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSI-X of assigned devices, emulated in the kernel by kvm_msix
 *
 * With /dev/kvm_msix, the guest's MSI-X table and PBA live in the kernel, which
 * answers the guest's accesses and sends the messages itself.  What is left to
 * QEMU, and done here: saying where table and PBA are in guest memory, passing
 * Message Control on, and giving a vector its eventfd when the guest first uses
 * it.  There is no KVM route and no irqfd for such a vector.
 *
 * The guest's accesses come to the kernel in one of two ways:
 * - trapped: as exits to KVM.  The first unmask of a vector goes on to QEMU.
 * - exit-free: the guest has the pages of the table as memory, for as long as
 *   it maps the BAR.  An eventfd tells QEMU that a vector was unmasked first.
 *
 * QEMU's MSI-X core is kept inert meanwhile: it has no vector notifiers and no
 * vector that is marked as used, and its MMIO regions lie below ours.
 * pdev->msix_table and pdev->msix_pba are only buffers; they are true right
 * after vfio_kvm_msix_fetch() and not to be believed at any other time.
 *
 * Everything runs under the BQL.
 */

#include "qemu/osdep.h"
#include <linux/kvm_msix.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "cpu.h"
#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#include "hw/i386/x86-iommu.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_ids.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/range.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "sysemu/kvm_int.h"
#include "sysemu/sysemu.h"
#include "kvm-msix.h"
#include "trace.h"

#define VFIO_KVM_MSIX_NODE "/dev/kvm_msix"

/* A region that lies over a BAR's other contents. */
typedef struct VFIOKVMMSIXPart {
    MemoryRegion mr;
    MemoryRegion *bar;              /* that @mr is in; NULL: there is none */
} VFIOKVMMSIXPart;

typedef struct VFIOKVMMSIX {
    VFIOPCIDevice *vdev;
    int fd;                         /* of kvm_msix; -1: not active */
    uint16_t control;               /* as the kernel has it */
    GSList *complaints;             /* made already */

    /* Vectors */
    EventNotifier *events;          /* of the vectors in @bound */
    unsigned long *bound;
    unsigned int nr_enabled;        /* that VFIO has allocated, from 0 on */
    bool dynamic;                   /* VFIO can add vectors one by one */

    /* What the guest sees of table and PBA */
    VFIOKVMMSIXPart table;
    VFIOKVMMSIXPart pba;

    /* Exit-free */
    void *memory;                   /* pages of table and PBA; NULL: trapped */
    uint64_t memory_size;
    EventNotifier unmasked;         /* the guest uses vectors not in @bound */

    /* Trapped */
    MemoryListener listener;
    struct kvm_msix_locate mapped;  /* as the memory map has it */
    struct kvm_msix_locate asked;   /* as last asked for; it may have failed */
    struct kvm_msix_locate located; /* as the kernel has it */
    bool poked;                     /* see vfio_kvm_msix_is_stored() */

    /* The device's own PBA; NULL: it has none that can be read */
    VFIORegion *device_pba;
    uint32_t device_pba_offset;

    Notifier machine_done;
} VFIOKVMMSIX;

static int vfio_kvm_msix_ioctl(VFIOKVMMSIX *k, unsigned long request, void *arg)
{
    return ioctl(k->fd, request, arg) ? -errno : 0;
}

/*
 * @what, a string literal, failed.  The guest can repeat it as often as it
 * likes: say it once for each device.
 */
static void vfio_kvm_msix_complain(VFIOKVMMSIX *k, const char *what,
                                   const char *why)
{
    trace_vfio_kvm_msix_complain(k->vdev->vbasedev.name, what, why);
    if (!g_slist_find(k->complaints, what)) {
        k->complaints = g_slist_prepend(k->complaints, (gpointer)what);
        error_report("vfio %s: kvm_msix: cannot %s: %s",
                     k->vdev->vbasedev.name, what, why);
    }
}

/*
 * For calls that have no reason to fail.  There is no way to tell the guest,
 * and the next call may well succeed.
 */
static void vfio_kvm_msix_must(VFIOKVMMSIX *k, const char *what, int ret)
{
    if (ret) {
        vfio_kvm_msix_complain(k, what, strerror(-ret));
    }
}

/*
 * State
 */

/* QEMU's buffers have the layout of GET_STATE already. */
static struct kvm_msix_state vfio_kvm_msix_state(VFIOKVMMSIX *k)
{
    PCIDevice *pdev = &k->vdev->pdev;

    return (struct kvm_msix_state) {
        .size = sizeof(struct kvm_msix_state),
        .nr_vectors = pdev->msix_entries_nr,
        .control = k->control,
        .table = (uintptr_t)pdev->msix_table,
        .pba = (uintptr_t)pdev->msix_pba,
    };
}

static void vfio_kvm_msix_fetch(VFIOKVMMSIX *k)
{
    struct kvm_msix_state state = vfio_kvm_msix_state(k);

    vfio_kvm_msix_must(k, "read the MSI-X table",
                       vfio_kvm_msix_ioctl(k, KVM_MSIX_GET_STATE, &state));
}

static void vfio_kvm_msix_store(VFIOKVMMSIX *k)
{
    struct kvm_msix_state state = vfio_kvm_msix_state(k);

    vfio_kvm_msix_must(k, "set the MSI-X table",
                       vfio_kvm_msix_ioctl(k, KVM_MSIX_SET_STATE, &state));
}

static void vfio_kvm_msix_set_control(VFIOKVMMSIX *k, uint16_t value)
{
    struct kvm_msix_control control = {
        .size = sizeof(control),
        .control = value,
    };

    if (value == k->control) {
        return;
    }
    k->control = value;
    trace_vfio_kvm_msix_control(k->vdev->vbasedev.name, value);
    vfio_kvm_msix_must(k, "set Message Control",
                       vfio_kvm_msix_ioctl(k, KVM_MSIX_CONTROL, &control));
}

/*
 * Enable as VFIO has it, not as config space has it: a reset takes the vectors
 * down before QEMU's PCI core clears the bit.
 */
static uint16_t vfio_kvm_msix_wanted_control(VFIOPCIDevice *vdev)
{
    PCIDevice *pdev = &vdev->pdev;
    uint16_t control = pci_get_word(pdev->config + pdev->msix_cap +
                                    PCI_MSIX_FLAGS);

    control &= PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
    if (vdev->interrupt != VFIO_INT_MSIX) {
        control &= ~PCI_MSIX_FLAGS_ENABLE;
    }
    return control;
}

/*
 * Vectors: k->bound says which ones have an eventfd; the two functions here
 * make a range of vectors so, one in the kernel's table, one in the device.
 */

/* Without @attach, the kernel lets go, and events stay in their eventfds. */
static int vfio_kvm_msix_bind(VFIOKVMMSIX *k, unsigned int first,
                              unsigned int count, bool attach)
{
    g_autofree struct kvm_msix_vector *vectors = NULL;
    struct kvm_msix_bind bind = {
        .size = sizeof(bind),
        .first = first,
        .count = count,
    };
    unsigned int i;
    int ret;

    vectors = g_new(struct kvm_msix_vector, count);
    for (i = 0; i < count; i++) {
        EventNotifier *e = &k->events[first + i];

        vectors[i].eventfd = attach && test_bit(first + i, k->bound) ?
                             event_notifier_get_fd(e) : -1;
        vectors[i].gsi = -1;
    }
    bind.vectors = (uintptr_t)vectors;

    ret = vfio_kvm_msix_ioctl(k, KVM_MSIX_BIND, &bind);
    trace_vfio_kvm_msix_bind(k->vdev->vbasedev.name, first, count, attach, ret);
    return ret;
}

/*
 * An eventfd of -1 is a vector without interrupt.  Returns more than 0 where
 * VFIO could only allocate that many vectors, and has enabled none.
 */
static int vfio_kvm_msix_plumb(VFIOKVMMSIX *k, unsigned int first,
                               unsigned int count)
{
    size_t argsz = sizeof(struct vfio_irq_set) + count * sizeof(int32_t);
    g_autofree struct vfio_irq_set *irq_set = g_malloc0(argsz);
    int32_t *fds = (int32_t *)irq_set->data;
    unsigned int i;
    int ret;

    irq_set->argsz = argsz;
    irq_set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    irq_set->index = VFIO_PCI_MSIX_IRQ_INDEX;
    irq_set->start = first;
    irq_set->count = count;
    for (i = 0; i < count; i++) {
        fds[i] = test_bit(first + i, k->bound) ?
                 event_notifier_get_fd(&k->events[first + i]) : -1;
    }

    ret = ioctl(k->vdev->vbasedev.fd, VFIO_DEVICE_SET_IRQS, irq_set);
    if (ret < 0) {
        ret = -errno;
    }
    trace_vfio_kvm_msix_plumb(k->vdev->vbasedev.name, first, count, ret);
    return ret;
}

/* What came of vfio_kvm_msix_plumb(). */
static const char *vfio_kvm_msix_why(int ret)
{
    return ret < 0 ? strerror(-ret) : "too few vectors left on the host";
}

/*
 * Make VFIO allocate at least @nr vectors where it can only do so all at once
 * (VFIO_IRQ_INFO_NORESIZE).  For a moment the device has no MSI-X, and what it
 * signals then is lost.  So:
 * - Do that seldom: double the number each time.  A vector without eventfd has
 *   no interrupt on the host, and takes none of a CPU's scarce vectors.
 * - Signal each vector that was in use, afterwards.  A device may interrupt
 *   once too often, and drivers live with that; an interrupt that never comes
 *   can be the end of a driver.
 */
static int vfio_kvm_msix_grow(VFIOKVMMSIX *k, unsigned int nr)
{
    VFIODevice *vbasedev = &k->vdev->vbasedev;
    unsigned int entries = k->vdev->msix->entries, old = k->nr_enabled;
    unsigned int count = MIN(entries, MAX(nr, 2 * old));
    unsigned int i;
    int ret;

    vfio_disable_irqindex(vbasedev, VFIO_PCI_MSIX_IRQ_INDEX);
    ret = vfio_kvm_msix_plumb(k, 0, count);
    if (ret && count > nr) {
        count = nr;
        ret = vfio_kvm_msix_plumb(k, 0, count);
    }
    k->nr_enabled = count;
    if (ret) {
        /* Back to what worked; if even that fails, the next call starts anew */
        k->nr_enabled = old && !vfio_kvm_msix_plumb(k, 0, old) ? old : 0;
    }

    for (i = find_first_bit(k->bound, old); i < old;
         i = find_next_bit(k->bound, old, i + 1)) {
        event_notifier_set(&k->events[i]);
    }
    return ret;
}

/*
 * Give vectors their eventfds, all or none.  First the kernel's table, then the
 * device: the kernel is there to take the first event.
 */
static int vfio_kvm_msix_try_use(VFIOKVMMSIX *k, unsigned int first,
                                 unsigned int count)
{
    unsigned int i;
    int ret;

    for (i = 0; i < count; i++) {
        ret = event_notifier_init(&k->events[first + i], 0);
        if (ret) {
            goto fail;
        }
        set_bit(first + i, k->bound);
    }

    ret = vfio_kvm_msix_bind(k, first, count, true);
    if (ret) {
        goto fail;
    }

    if (first + count <= k->nr_enabled || k->dynamic) {
        ret = vfio_kvm_msix_plumb(k, first, count);
    } else {
        ret = vfio_kvm_msix_grow(k, first + count);
    }
    if (ret) {
        goto fail_plumb;
    }
    return 0;

fail_plumb:
    vfio_kvm_msix_must(k, "unbind vectors",
                       vfio_kvm_msix_bind(k, first, count, false));
fail:
    while (i--) {
        clear_bit(first + i, k->bound);
        event_notifier_cleanup(&k->events[first + i]);
    }
    return ret;
}

/*
 * The guest uses vectors that have no eventfd yet.
 *
 * If the host has no vector left, the guest's vector stays silent, as it would
 * without kvm_msix; it is tried again when the guest unmasks it again.
 */
static void vfio_kvm_msix_use(VFIOKVMMSIX *k, unsigned int first,
                              unsigned int count)
{
    int ret = vfio_kvm_msix_try_use(k, first, count);
    unsigned int i;

    if (ret && count > 1) {
        /* As many as there are */
        for (i = 0; i < count; i++) {
            vfio_kvm_msix_use(k, first + i, 1);
        }
    } else if (ret) {
        vfio_kvm_msix_complain(k, "set up an MSI-X vector",
                               vfio_kvm_msix_why(ret));
    }
}

static void vfio_kvm_msix_release_all(VFIOKVMMSIX *k)
{
    unsigned int entries = k->vdev->msix->entries, i;

    vfio_kvm_msix_must(k, "unbind the vectors",
                       vfio_kvm_msix_bind(k, 0, entries, false));
    vfio_disable_irqindex(&k->vdev->vbasedev, VFIO_PCI_MSIX_IRQ_INDEX);
    k->nr_enabled = 0;

    for (i = find_first_bit(k->bound, entries); i < entries;
         i = find_next_bit(k->bound, entries, i + 1)) {
        event_notifier_cleanup(&k->events[i]);
    }
    bitmap_zero(k->bound, entries);
}

/* Does the guest use a vector that has no eventfd?  By QEMU's buffer. */
static bool vfio_kvm_msix_wants_use(VFIOKVMMSIX *k, unsigned int nr)
{
    uint8_t *entry = k->vdev->pdev.msix_table + nr * PCI_MSIX_ENTRY_SIZE;

    return !test_bit(nr, k->bound) &&
           !(pci_get_long(entry + PCI_MSIX_ENTRY_VECTOR_CTRL) &
             PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static void vfio_kvm_msix_use_unmasked(VFIOKVMMSIX *k)
{
    unsigned int entries = k->vdev->msix->entries, first, end;

    vfio_kvm_msix_fetch(k);
    for (first = 0; first < entries; first = end + 1) {
        for (end = first; end < entries; end++) {
            if (!vfio_kvm_msix_wants_use(k, end)) {
                break;
            }
        }
        if (end > first) {
            vfio_kvm_msix_use(k, first, end - first);
        }
    }
}

/* Exit-free: the kernel found unbound vectors unmasked. */
static void vfio_kvm_msix_unmasked(EventNotifier *e)
{
    VFIOKVMMSIX *k = container_of(e, VFIOKVMMSIX, unmasked);

    if (!event_notifier_test_and_clear(e)) {
        return;
    }
    trace_vfio_kvm_msix_unmasked(k->vdev->vbasedev.name);
    if (k->vdev->interrupt == VFIO_INT_MSIX) {
        vfio_kvm_msix_use_unmasked(k);
    }
}

/* Bind the vectors that are unmasked; if one cannot be, none is. */
static int vfio_kvm_msix_start(VFIOKVMMSIX *k)
{
    unsigned int entries = k->vdev->msix->entries, i, count = 0;
    int ret = 0;

    /*
     * Nobody told of a vector that was unmasked before Enable was set, or was
     * told and found nothing to be bound to.
     */
    vfio_kvm_msix_fetch(k);
    for (i = 0; i < entries; i++) {
        if (!vfio_kvm_msix_wants_use(k, i)) {
            continue;
        }
        ret = event_notifier_init(&k->events[i], 0);
        if (ret) {
            break;
        }
        set_bit(i, k->bound);
        count = i + 1;
    }
    if (!ret && count) {
        ret = vfio_kvm_msix_bind(k, 0, count, true);
    }

    /*
     * With no vector in use yet, MSI-X is enabled on the device all the same,
     * by a vector without eventfd: some devices look at their own Enable bit
     * (see vfio_msix_enable()).
     */
    k->nr_enabled = MAX(count, 1);
    if (!ret) {
        ret = vfio_kvm_msix_plumb(k, 0, k->nr_enabled);
    }
    if (ret) {
        vfio_kvm_msix_release_all(k);
    }
    return ret;
}

void vfio_kvm_msix_enable(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;

    if (vfio_kvm_msix_start(k)) {
        /* As many as there are */
        k->nr_enabled = vfio_kvm_msix_plumb(k, 0, 1) ? 0 : 1;
        vfio_kvm_msix_use_unmasked(k);
    }
    vfio_kvm_msix_set_control(k, vfio_kvm_msix_wanted_control(vdev));
}

void vfio_kvm_msix_disable(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;

    /* From here on nothing is sent, whatever comes while it is taken down. */
    vfio_kvm_msix_set_control(k, 0);
    vfio_kvm_msix_release_all(k);
}

/*
 * Trapped: where table and PBA are
 *
 * Of all devices whose table moves in one transaction, each says so twice: that
 * it is no longer where it was, when the memory core goes through what is gone,
 * which it does first; and where it is now, when all that is new is there too.
 * So no device finds another one's table still at its new place.  An ioeventfd
 * has come and gone in between.
 *
 * It does not matter whether KVM's memory slots change before or after that
 * (QEMU 7.2 changes them one by one, before; QEMU 8 in the commit of KVM's own
 * listener): KVM looks for memory first, and where there is none, for who
 * answers.  An access for which it finds neither comes to QEMU, and waits here
 * for the BQL, until the memory map is what it will be.
 */

static int vfio_kvm_msix_set_location(VFIOKVMMSIX *k,
                                      struct kvm_msix_locate *where)
{
    int ret = vfio_kvm_msix_ioctl(k, KVM_MSIX_LOCATE, where);

    trace_vfio_kvm_msix_locate(k->vdev->vbasedev.name, where->flags,
                               where->table_gpa, where->pba_gpa, ret);
    if (!ret) {
        k->located = *where;
    }
    return ret;
}

static void vfio_kvm_msix_set_nowhere(VFIOKVMMSIX *k)
{
    struct kvm_msix_locate nowhere = { .size = sizeof(nowhere) };

    vfio_kvm_msix_must(k, "give up the MSI-X table's address",
                       vfio_kvm_msix_set_location(k, &nowhere));
}

static void vfio_kvm_msix_locate(VFIOKVMMSIX *k)
{
    int ret;

    if (!memcmp(&k->asked, &k->mapped, sizeof(k->mapped))) {
        return;
    }
    k->asked = k->mapped;
    ret = vfio_kvm_msix_set_location(k, &k->asked);
    if (ret) {
        /* The old place is somebody else's by now. QEMU answers, slowly. */
        vfio_kvm_msix_set_nowhere(k);
        vfio_kvm_msix_complain(k, "answer for the MSI-X table",
                               strerror(-ret));
    }
}

static void vfio_kvm_msix_part(VFIOKVMMSIX *k, uint32_t flags, __u64 *at,
                               uint64_t gpa, bool add)
{
    if (add) {
        k->mapped.flags |= flags;
        *at = gpa;
    } else if (*at == gpa) {
        k->mapped.flags &= ~flags;
        *at = 0;
    }
}

/*
 * Table or PBA count as mapped only where all of it is there to be accessed.
 * Parts of it are QEMU's.
 */
static void vfio_kvm_msix_region(VFIOKVMMSIX *k, MemoryRegionSection *section,
                                 bool add)
{
    uint64_t gpa = section->offset_within_address_space;

    if (section->offset_within_region ||
        int128_ne(section->size,
                  int128_make64(memory_region_size(section->mr)))) {
        return;
    }

    if (section->mr == &k->table.mr) {
        vfio_kvm_msix_part(k, KVM_MSIX_LOCATE_TABLE, &k->mapped.table_gpa, gpa,
                           add);
    } else if (section->mr == &k->pba.mr) {
        vfio_kvm_msix_part(k, KVM_MSIX_LOCATE_PBA, &k->mapped.pba_gpa, gpa,
                           add);
    }
}

static void vfio_kvm_msix_region_add(MemoryListener *listener,
                                     MemoryRegionSection *section)
{
    vfio_kvm_msix_region(container_of(listener, VFIOKVMMSIX, listener),
                         section, true);
}

static void vfio_kvm_msix_region_del(MemoryListener *listener,
                                     MemoryRegionSection *section)
{
    VFIOKVMMSIX *k = container_of(listener, VFIOKVMMSIX, listener);

    vfio_kvm_msix_region(k, section, false);
    vfio_kvm_msix_locate(k);
}

static void vfio_kvm_msix_commit(MemoryListener *listener)
{
    vfio_kvm_msix_locate(container_of(listener, VFIOKVMMSIX, listener));
}

/*
 * Trapped: accesses that come to QEMU
 *
 * The kernel hands over the first unmask of a vector that is not bound (with
 * the new value stored already), and a read of the PBA that covers such a
 * vector.  Anything else comes from somebody who is no vCPU, or while the
 * kernel answers nowhere.
 */

static uint64_t vfio_kvm_msix_table_read(void *opaque, hwaddr addr,
                                         unsigned size)
{
    VFIOKVMMSIX *k = opaque;

    trace_vfio_kvm_msix_exit(k->vdev->vbasedev.name, "table read", addr, size);
    vfio_kvm_msix_fetch(k);
    return ldn_le_p(k->vdev->pdev.msix_table + addr, size);
}

/*
 * Change the table from here, which takes reading and writing all of it.
 * While the kernel answers nowhere, no vCPU can store in between: it comes to
 * QEMU and waits for the BQL.  An event in between would not be in the PBA that
 * is written back: let it wait in its eventfd.
 */
static void vfio_kvm_msix_poke(VFIOKVMMSIX *k, hwaddr addr, uint64_t val,
                               unsigned size)
{
    unsigned int entries = k->vdev->msix->entries;
    struct kvm_msix_locate back = k->located;

    k->poked = true;
    vfio_kvm_msix_set_nowhere(k);
    vfio_kvm_msix_must(k, "unbind the vectors",
                       vfio_kvm_msix_bind(k, 0, entries, false));
    vfio_kvm_msix_fetch(k);
    stn_le_p(k->vdev->pdev.msix_table + addr, size, val);
    vfio_kvm_msix_store(k);
    vfio_kvm_msix_must(k, "bind the vectors again",
                       vfio_kvm_msix_bind(k, 0, entries, true));
    vfio_kvm_msix_must(k, "answer for the MSI-X table again",
                       vfio_kvm_msix_set_location(k, &back));
}

/* Does this write of the guest's leave its entry unmasked? */
static bool vfio_kvm_msix_unmasks(hwaddr addr, uint64_t val, unsigned size)
{
    unsigned int first = addr % PCI_MSIX_ENTRY_SIZE;
    unsigned int control = PCI_MSIX_ENTRY_VECTOR_CTRL;

    return first <= control && control < first + size &&
           !(val >> (control - first) * 8 & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/*
 * Has the kernel stored what comes here?  It hands over the first unmask of a
 * vector, stored; not the rest of a store that is wider than 8 bytes, nor what
 * comes while it answers nowhere.  The last looks like the first, so once that
 * may have happened, look.
 */
static bool vfio_kvm_msix_is_stored(VFIOKVMMSIX *k, hwaddr addr, uint64_t val,
                                    unsigned size)
{
    if (!current_cpu || !(k->located.flags & KVM_MSIX_LOCATE_TABLE) ||
        !vfio_kvm_msix_unmasks(addr, val, size)) {
        return false;
    }
    if (!k->poked) {
        return true;
    }
    vfio_kvm_msix_fetch(k);
    return ldn_le_p(k->vdev->pdev.msix_table + addr, size) == val;
}

static void vfio_kvm_msix_table_write(void *opaque, hwaddr addr, uint64_t val,
                                      unsigned size)
{
    VFIOKVMMSIX *k = opaque;
    VFIOPCIDevice *vdev = k->vdev;
    unsigned int nr = addr / PCI_MSIX_ENTRY_SIZE;

    trace_vfio_kvm_msix_exit(vdev->vbasedev.name, "table write", addr, size);

    if (!vfio_kvm_msix_is_stored(k, addr, val, size)) {
        vfio_kvm_msix_poke(k, addr, val, size);
    }

    /* Before Enable there is nothing to bind: vfio_kvm_msix_enable() will. */
    if (vdev->interrupt == VFIO_INT_MSIX && !test_bit(nr, k->bound) &&
        vfio_kvm_msix_unmasks(addr, val, size)) {
        vfio_kvm_msix_use(k, nr, 1);
    }
}

/* Events of vectors that are not bound are pending in the device itself. */
static uint64_t vfio_kvm_msix_pba_read(void *opaque, hwaddr addr, unsigned size)
{
    VFIOKVMMSIX *k = opaque;
    VFIOPCIDevice *vdev = k->vdev;
    unsigned int nr, end = MIN((addr + size) * 8, vdev->msix->entries);
    uint8_t device[8] = {};
    uint64_t val;

    trace_vfio_kvm_msix_exit(vdev->vbasedev.name, "PBA read", addr, size);
    vfio_kvm_msix_fetch(k);
    val = ldn_le_p(vdev->pdev.msix_pba + addr, size);

    if (k->device_pba &&
        pread(vdev->vbasedev.fd, device, size, k->device_pba->fd_offset +
              k->device_pba_offset + addr) == size) {
        for (nr = addr * 8; nr < end; nr++) {
            unsigned int bit = nr - addr * 8;

            if (!test_bit(nr, k->bound) && device[bit / 8] & (1 << bit % 8)) {
                val |= 1ULL << bit;
            }
        }
    }
    return val;
}

static void vfio_kvm_msix_pba_write(void *opaque, hwaddr addr, uint64_t val,
                                    unsigned size)
{
    VFIOKVMMSIX *k = opaque;

    trace_vfio_kvm_msix_exit(k->vdev->vbasedev.name, "PBA write", addr, size);
}

static const MemoryRegionOps vfio_kvm_msix_table_ops = {
    .read = vfio_kvm_msix_table_read,
    .write = vfio_kvm_msix_table_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 1, .max_access_size = 8 },
};

static const MemoryRegionOps vfio_kvm_msix_pba_ops = {
    .read = vfio_kvm_msix_pba_read,
    .write = vfio_kvm_msix_pba_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 1, .max_access_size = 8 },
};

/*
 * What the guest sees
 */

typedef struct VFIOKVMMSIXPages {
    hwaddr offset;                  /* in the BAR */
    hwaddr size;
} VFIOKVMMSIXPages;

/* The pages that something is on. */
static VFIOKVMMSIXPages vfio_kvm_msix_pages(hwaddr offset, hwaddr size)
{
    hwaddr first = QEMU_ALIGN_DOWN(offset, TARGET_PAGE_SIZE);

    return (VFIOKVMMSIXPages) {
        .offset = first,
        .size = QEMU_ALIGN_UP(offset + size, TARGET_PAGE_SIZE) - first,
    };
}

static VFIOKVMMSIXPages vfio_kvm_msix_pba_pages(VFIOPCIDevice *vdev)
{
    return vfio_kvm_msix_pages(vdev->msix->pba_offset,
                               memory_region_size(&vdev->pdev.msix_pba_mmio));
}

static bool vfio_kvm_msix_pba_is_near_table(VFIOPCIDevice *vdev)
{
    VFIOMSIXInfo *msix = vdev->msix;
    VFIOKVMMSIXPages pba = vfio_kvm_msix_pba_pages(vdev);
    VFIOKVMMSIXPages table =
        vfio_kvm_msix_pages(msix->table_offset,
                            memory_region_size(&vdev->pdev.msix_table_mmio));

    return msix->pba_bar == msix->table_bar &&
           ranges_overlap(pba.offset, pba.size, table.offset, table.size);
}

/* With the PBA's, if they share any. */
static VFIOKVMMSIXPages vfio_kvm_msix_table_pages(VFIOPCIDevice *vdev)
{
    hwaddr first = vdev->msix->table_offset;
    hwaddr end = first + memory_region_size(&vdev->pdev.msix_table_mmio);
    hwaddr pba = vdev->msix->pba_offset;

    if (vfio_kvm_msix_pba_is_near_table(vdev)) {
        first = MIN(first, pba);
        end = MAX(end, pba + memory_region_size(&vdev->pdev.msix_pba_mmio));
    }
    return vfio_kvm_msix_pages(first, end - first);
}

/*
 * A BAR that begins with the table or the PBA, and is no larger than it takes
 * to hold both, was made for them.
 */
static bool vfio_kvm_msix_has_bar_alone(VFIOPCIDevice *vdev)
{
    VFIOMSIXInfo *msix = vdev->msix;
    uint64_t end = MAX(msix->table_offset +
                       memory_region_size(&vdev->pdev.msix_table_mmio),
                       msix->pba_offset +
                       memory_region_size(&vdev->pdev.msix_pba_mmio));

    return msix->table_bar == msix->pba_bar &&
           !MIN(msix->table_offset, msix->pba_offset) &&
           pow2ceil(end) == memory_region_size(vdev->bars[msix->table_bar].mr);
}

/*
 * Is it known that nothing but table and PBA is on their pages?  The PCI
 * specification wants it so, but devices do not care.
 */
static bool vfio_kvm_msix_has_pages_alone(VFIOPCIDevice *vdev)
{
    return vdev->msix_relo != OFF_AUTOPCIBAR_OFF ||
           vfio_kvm_msix_has_bar_alone(vdev) ||
           /* QEMU's own NVMe disk: nvme_mbar_size() lays out its BAR 0 */
           vfio_pci_is(vdev, PCI_VENDOR_ID_REDHAT, PCI_DEVICE_ID_REDHAT_NVME);
}

/*
 * Is it known that something else is?
 *
 * - Intel's WLAN cards have the registers that route and mask their causes 2 kB
 *   behind the table's beginning: CSR_MSIX_BASE + 0x800 and on, in Linux's
 *   iwl-csr.h.
 */
static bool vfio_kvm_msix_shares_pages(VFIOPCIDevice *vdev)
{
    return vdev->vendor_id == PCI_VENDOR_ID_INTEL &&
           pci_get_word(vdev->pdev.config + PCI_CLASS_DEVICE) ==
           PCI_CLASS_NETWORK_OTHER;
}

/* Lay @part over what the device has there. */
static void vfio_kvm_msix_add_part(VFIOKVMMSIX *k, VFIOKVMMSIXPart *part,
                                   int bar, hwaddr offset)
{
    part->bar = k->vdev->bars[bar].mr;
    memory_region_add_subregion_overlap(part->bar, offset, &part->mr, 1);
}

/*
 * What accesses this other than a vCPU (a debugger, an emulated device) changes
 * memory as a vCPU does, and the kernel hears of it in the same way.
 *
 * Protected: devices' DMA has no business there, so VFIO leaves it out.
 */
static void vfio_kvm_msix_add_memory(VFIOKVMMSIX *k, VFIOKVMMSIXPart *part,
                                     const char *name, int bar,
                                     VFIOKVMMSIXPages pages, void *memory)
{
    memory_region_init_ram_device_ptr(&part->mr, OBJECT(k->vdev), name,
                                      pages.size, memory);
    part->mr.ram_block->flags |= RAM_PROTECTED;
    trace_vfio_kvm_msix_memory(k->vdev->vbasedev.name, name, bar, pages.offset,
                               pages.size);
    vfio_kvm_msix_add_part(k, part, bar, pages.offset);
}

/* The PBA's own pages are memory only where vfio_kvm_msix_layout() said so. */
static void vfio_kvm_msix_map_memory(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    VFIOKVMMSIXPages table = vfio_kvm_msix_table_pages(vdev);

    vfio_kvm_msix_add_memory(k, &k->table, "kvm-msix-table",
                             vdev->msix->table_bar, table, k->memory);
    if (k->memory_size > table.size) {
        vfio_kvm_msix_add_memory(k, &k->pba, "kvm-msix-pba",
                                 vdev->msix->pba_bar,
                                 vfio_kvm_msix_pba_pages(vdev),
                                 k->memory + table.size);
    }
}

/*
 * A PBA that traps has everything else on its page go through QEMU.  So it is
 * there only where that is nothing, or goes through QEMU already, for the
 * table.  Else the guest sees the device's PBA, where only vectors that are not
 * bound can be pending; so it does in stock QEMU, while nothing is pending.
 */
static void vfio_kvm_msix_map_trapped(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    VFIOMSIXInfo *msix = vdev->msix;
    PCIDevice *pdev = &vdev->pdev;

    memory_region_init_io(&k->table.mr, OBJECT(vdev), &vfio_kvm_msix_table_ops,
                          k, "kvm-msix-table",
                          memory_region_size(&pdev->msix_table_mmio));
    vfio_kvm_msix_add_part(k, &k->table, msix->table_bar, msix->table_offset);

    if (vfio_kvm_msix_has_pages_alone(vdev) ||
        vfio_kvm_msix_pba_is_near_table(vdev)) {
        memory_region_init_io(&k->pba.mr, OBJECT(vdev), &vfio_kvm_msix_pba_ops,
                              k, "kvm-msix-pba",
                              memory_region_size(&pdev->msix_pba_mmio));
        vfio_kvm_msix_add_part(k, &k->pba, msix->pba_bar, msix->pba_offset);
    }
}

static void vfio_kvm_msix_map(VFIOKVMMSIX *k)
{
    memory_region_transaction_begin();
    if (k->memory) {
        vfio_kvm_msix_map_memory(k);
    } else {
        vfio_kvm_msix_map_trapped(k);
    }
    memory_region_transaction_commit();

    if (k->memory) {
        event_notifier_set_handler(&k->unmasked, vfio_kvm_msix_unmasked);
        return;
    }
    k->mapped.size = k->asked.size = k->located.size = sizeof(k->mapped);
    k->listener = (MemoryListener) {
        .name = "vfio-kvm-msix",
        .region_add = vfio_kvm_msix_region_add,
        .region_del = vfio_kvm_msix_region_del,
        .commit = vfio_kvm_msix_commit,
    };
    memory_listener_register(&k->listener, &address_space_memory);
}

static void vfio_kvm_msix_del_part(VFIOKVMMSIXPart *part)
{
    if (part->bar) {
        memory_region_del_subregion(part->bar, &part->mr);
    }
}

static void vfio_kvm_msix_unmap(VFIOKVMMSIX *k)
{
    if (k->memory) {
        event_notifier_set_handler(&k->unmasked, NULL);
        event_notifier_cleanup(&k->unmasked);
    } else {
        memory_listener_unregister(&k->listener);
    }

    memory_region_transaction_begin();
    vfio_kvm_msix_del_part(&k->table);
    vfio_kvm_msix_del_part(&k->pba);
    memory_region_transaction_commit();

    if (k->memory) {
        /* The mapping would hold the function; but somebody may be reading. */
        mmap(k->memory, k->memory_size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
}

/*
 * Life
 */

/* Messages are sent as they stand in the table; nobody would remap them. */
static bool vfio_kvm_msix_remapped(void)
{
    X86IOMMUState *iommu = x86_iommu_get_default();

    return iommu && x86_iommu_ir_supported(iommu);
}

#define REMAPPED "the guest's machine has interrupt remapping"

static bool vfio_kvm_msix_fits(VFIOPCIDevice *vdev, Error **errp)
{
    const char *reason = NULL;

    if (!kvm_enabled() || !kvm_irqchip_in_kernel()) {
        reason = "it needs KVM with an in-kernel irqchip";
    } else if (!msix_present(&vdev->pdev)) {
        reason = "the device has no MSI-X";
    } else if (vdev->no_kvm_msix) {
        reason = "x-no-kvm-msix=on says otherwise";
    } else if (vfio_kvm_msix_remapped()) {
        reason = REMAPPED;
    } else if (vfio_pci_is(vdev, PCI_VENDOR_ID_REALTEK, 0x8168)) {
        /* vfio_probe_rtl8168_bar2_quirk() goes to QEMU's table directly */
        reason = "the device has a second way to its MSI-X table";
    }

    if (reason) {
        error_setg(errp, "%s", reason);
    }
    return !reason;
}

static bool vfio_kvm_msix_ext_dest_id(void)
{
    return X86_CPU(first_cpu)->env.features[FEAT_KVM] &
           (1U << KVM_FEATURE_MSI_EXT_DEST_ID);
}

/* Does the BAR have these pages whole? */
static bool vfio_kvm_msix_bar_has(VFIOPCIDevice *vdev, int bar,
                                  VFIOKVMMSIXPages pages)
{
    return pages.offset + pages.size <= memory_region_size(vdev->bars[bar].mr);
}

static bool vfio_kvm_msix_exit_free_fits(VFIOPCIDevice *vdev,
                                         uint64_t capabilities, Error **errp)
{
    VFIOKVMMSIXPages pages = vfio_kvm_msix_table_pages(vdev);
    const char *reason = NULL;

    if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_OFF) {
        reason = "x-kvm-msix-exit-free=off";
    } else if (!(capabilities & KVM_MSIX_CAP_MMAP)) {
        reason = "kvm_msix cannot do it on this kernel";
    } else if (vfio_kvm_msix_shares_pages(vdev)) {
        reason = "the device has other registers on its MSI-X table's page";
    } else if (!vfio_kvm_msix_bar_has(vdev, vdev->msix->table_bar, pages)) {
        reason = "the BAR with the MSI-X table ends within the table's page";
    } else if (vdev->msix->table_offset - pages.offset >= TARGET_PAGE_SIZE) {
        reason = "the MSI-X table's page begins with the end of the PBA";
    } else if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_AUTO &&
               !vfio_kvm_msix_has_pages_alone(vdev)) {
        reason = "the device may have other registers on its MSI-X table's "
                 "page; x-kvm-msix-exit-free=on if it has not";
    }

    if (reason) {
        error_setg(errp, "%s", reason);
    }
    return !reason;
}

static int vfio_kvm_msix_try_create(VFIOKVMMSIX *k, int fd,
                                    struct kvm_msix_create *create,
                                    Error **errp)
{
    int ret = ioctl(fd, KVM_MSIX_CREATE, create);

    if (ret < 0 && errno == EINVAL &&
        create->flags & KVM_MSIX_CREATE_EXT_DEST_ID) {
        /* QEMU left 32-bit ids off: no id needs the extension */
        create->flags &= ~KVM_MSIX_CREATE_EXT_DEST_ID;
        ret = ioctl(fd, KVM_MSIX_CREATE, create);
    }
    trace_vfio_kvm_msix_create(k->vdev->vbasedev.name, create->nr_vectors,
                               create->flags, ret);
    if (ret < 0) {
        error_setg_errno(errp, errno, "KVM_MSIX_CREATE of %u vectors",
                         create->nr_vectors);
    }
    return ret;
}

/*
 * Where table and PBA are on the pages that the guest has as memory.  A PBA
 * with pages of its own has them last there, or not at all: whoever vouches for
 * the table's pages does not vouch for these.
 */
static void vfio_kvm_msix_layout(VFIOKVMMSIX *k, struct kvm_msix_create *create)
{
    VFIOPCIDevice *vdev = k->vdev;
    VFIOMSIXInfo *msix = vdev->msix;
    VFIOKVMMSIXPages table = vfio_kvm_msix_table_pages(vdev);
    VFIOKVMMSIXPages pba = vfio_kvm_msix_pba_pages(vdev);

    create->flags |= KVM_MSIX_CREATE_MMAP;
    create->table_offset = msix->table_offset - table.offset;
    k->memory_size = table.size;
    if (vfio_kvm_msix_pba_is_near_table(vdev)) {
        create->flags |= KVM_MSIX_CREATE_MMAP_PBA;
        create->pba_offset = msix->pba_offset - table.offset;
    } else if (vfio_kvm_msix_has_pages_alone(vdev) &&
               vfio_kvm_msix_bar_has(vdev, msix->pba_bar, pba)) {
        create->flags |= KVM_MSIX_CREATE_MMAP_PBA;
        create->pba_offset = table.size + msix->pba_offset - pba.offset;
        k->memory_size += pba.size;
    }
}

/* As @create says, and so that the table's pages can be the guest's memory. */
static int vfio_kvm_msix_create_exit_free(VFIOKVMMSIX *k, int fd,
                                          struct kvm_msix_create create,
                                          Error **errp)
{
    VFIOPCIDevice *vdev = k->vdev;
    void *memory;
    int ret;

    ret = event_notifier_init(&k->unmasked, 0);
    if (ret) {
        error_setg_errno(errp, -ret, "eventfd");
        return -1;
    }
    vfio_kvm_msix_layout(k, &create);
    create.unmask_eventfd = event_notifier_get_fd(&k->unmasked);

    ret = vfio_kvm_msix_try_create(k, fd, &create, errp);
    if (ret < 0) {
        goto fail;
    }
    memory = mmap(NULL, k->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, ret,
                  0);
    if (memory == MAP_FAILED) {
        error_setg_errno(errp, errno, "mmap of the MSI-X table");
        close(ret);
        goto fail;
    }
    k->memory = memory;
    if (!vfio_kvm_msix_has_pages_alone(vdev)) {
        warn_report("vfio %s: x-kvm-msix-exit-free=on: the guest will not "
                    "reach what else the device may have on the pages of its "
                    "MSI-X table", vdev->vbasedev.name);
    }
    return ret;

fail:
    event_notifier_cleanup(&k->unmasked);
    return -1;
}

/* What x-kvm-msix-state says from now on. */
static void vfio_kvm_msix_set_state(VFIOPCIDevice *vdev, const char *state,
                                    const char *reason)
{
    g_free(vdev->kvm_msix_state);
    vdev->kvm_msix_state = g_strconcat(state, reason ? ": " : NULL, reason,
                                       NULL);
    trace_vfio_kvm_msix_state(vdev->vbasedev.name, vdev->kvm_msix_state);
}

/*
 * The table stays in QEMU.  That is news only to somebody who has the module,
 * and a device for it.
 */
static void vfio_kvm_msix_fall_back(VFIOPCIDevice *vdev, const char *reason)
{
    vfio_kvm_msix_set_state(vdev, "stock", reason);
    if (msix_present(&vdev->pdev) && !access(VFIO_KVM_MSIX_NODE, F_OK)) {
        info_report("vfio %s: kvm_msix is not used: %s", vdev->vbasedev.name,
                    reason);
    }
}

/* The property that insists on the kernel's table, or NULL. */
static const char *vfio_kvm_msix_required(VFIOPCIDevice *vdev)
{
    if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_ON) {
        return "x-kvm-msix-exit-free=on";
    }
    return vdev->kvm_msix_mode == ON_OFF_AUTO_ON ? "x-kvm-msix=on" : NULL;
}

/* Returns the device fd, or -1. */
static int vfio_kvm_msix_create(VFIOKVMMSIX *k, Error **errp)
{
    VFIOPCIDevice *vdev = k->vdev;
    struct kvm_msix_info info = { .size = sizeof(info) };
    uint64_t need = KVM_MSIX_CAP_LAZY;
    struct kvm_msix_create create = {
        .size = sizeof(create),
        .flags = KVM_MSIX_CREATE_LAZY,
        .vm_fd = kvm_state->vmfd,
        .nr_vectors = vdev->msix->entries,
    };
    Error *err = NULL;
    int fd, ret = -1;

    fd = qemu_open(VFIO_KVM_MSIX_NODE, O_RDWR, errp);
    if (fd < 0) {
        return -1;
    }

    if (vfio_kvm_msix_ext_dest_id()) {
        create.flags |= KVM_MSIX_CREATE_EXT_DEST_ID;
        need |= KVM_MSIX_CAP_EXT_DEST_ID;
    }

    if (ioctl(fd, KVM_MSIX_INFO, &info)) {
        error_setg_errno(errp, errno, "KVM_MSIX_INFO");
        goto out;
    }
    if (need & ~info.capabilities) {
        error_setg(errp, "kvm_msix lacks capabilities: 0x%" PRIx64,
                   (uint64_t)(need & ~info.capabilities));
        goto out;
    }
    if (info.capabilities & KVM_MSIX_CAP_HOST_POSTS &&
        !vfio_kvm_msix_required(vdev)) {
        /* Interrupts are more frequent than masks, with most guests. */
        error_setg(errp, "the host posts interrupts, which kvm_msix cannot; "
                   "x-kvm-msix=on if the guest masks more often than that");
        goto out;
    }

    if (vfio_kvm_msix_exit_free_fits(vdev, info.capabilities, &err)) {
        ret = vfio_kvm_msix_create_exit_free(k, fd, create, &err);
    }
    if (ret >= 0) {
        vfio_kvm_msix_set_state(vdev, "exit-free", NULL);
        goto out;
    }
    if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_ON) {
        error_propagate(errp, err);
        goto out;
    }
    ret = vfio_kvm_msix_try_create(k, fd, &create, errp);
    if (ret >= 0) {
        vfio_kvm_msix_set_state(vdev, "trapped", error_get_pretty(err));
    }
    error_free(err);

out:
    close(fd);
    return ret;
}

static bool vfio_kvm_msix_vectors_are_dynamic(VFIOPCIDevice *vdev)
{
    struct vfio_irq_info info = {
        .argsz = sizeof(info),
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };

    return !ioctl(vdev->vbasedev.fd, VFIO_DEVICE_GET_IRQ_INFO, &info) &&
           !(info.flags & VFIO_IRQ_INFO_NORESIZE);
}

static void vfio_kvm_msix_find_device_pba(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    uint32_t bar = vdev->msix->pba_bar, offset = vdev->msix->pba_offset, pba;

    /* With x-msix-relocation the guest's PBA is elsewhere. */
    if (vdev->msix_relo != OFF_AUTOPCIBAR_OFF) {
        if (pread(vdev->vbasedev.fd, &pba, sizeof(pba), vdev->config_offset +
                  vdev->pdev.msix_cap + PCI_MSIX_PBA) != sizeof(pba)) {
            return;
        }
        bar = le32_to_cpu(pba) & PCI_MSIX_FLAGS_BIRMASK;
        offset = le32_to_cpu(pba) & ~PCI_MSIX_FLAGS_BIRMASK;
    }

    if (bar < PCI_ROM_SLOT && offset < vdev->bars[bar].region.size) {
        k->device_pba = &vdev->bars[bar].region;
        k->device_pba_offset = offset;
    }
}

/* An IOMMU may come after the device on the command line. */
static void vfio_kvm_msix_machine_done(Notifier *notifier, void *data)
{
    VFIOKVMMSIX *k = container_of(notifier, VFIOKVMMSIX, machine_done);
    VFIOPCIDevice *vdev = k->vdev;

    if (!vfio_kvm_msix_remapped()) {
        return;
    }
    if (vfio_kvm_msix_required(vdev)) {
        error_report("vfio %s: %s: " REMAPPED, vdev->vbasedev.name,
                     vfio_kvm_msix_required(vdev));
        exit(1);
    }
    vfio_kvm_msix_exit(vdev);
    vfio_kvm_msix_fall_back(vdev, REMAPPED);
}

bool vfio_kvm_msix_realize(VFIOPCIDevice *vdev, Error **errp)
{
    VFIOKVMMSIX *k;
    Error *err = NULL;

    if (vdev->kvm_msix_mode == ON_OFF_AUTO_OFF) {
        if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_ON) {
            error_setg(errp, "x-kvm-msix-exit-free=on: x-kvm-msix=off");
            return false;
        }
        vfio_kvm_msix_set_state(vdev, "stock", "x-kvm-msix=off");
        return true;
    }

    k = g_new0(VFIOKVMMSIX, 1);
    k->vdev = vdev;
    k->fd = -1;
    if (vfio_kvm_msix_fits(vdev, &err)) {
        k->fd = vfio_kvm_msix_create(k, &err);
    }
    if (k->fd < 0) {
        g_free(k);
        if (vfio_kvm_msix_required(vdev)) {
            error_propagate_prepend(errp, err, "%s: ",
                                    vfio_kvm_msix_required(vdev));
            return false;
        }
        vfio_kvm_msix_fall_back(vdev, error_get_pretty(err));
        error_free(err);
        return true;
    }

    k->events = g_new0(EventNotifier, vdev->msix->entries);
    k->bound = bitmap_new(vdev->msix->entries);
    k->dynamic = vfio_kvm_msix_vectors_are_dynamic(vdev);
    vfio_kvm_msix_find_device_pba(k);
    vdev->kvm_msix = k;
    vfio_kvm_msix_map(k);

    k->machine_done.notify = vfio_kvm_msix_machine_done;
    qemu_add_machine_init_done_notifier(&k->machine_done);
    return true;
}

/* MSI-X is disabled by now, or never was enabled. */
void vfio_kvm_msix_exit(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;

    if (!vfio_kvm_msix_active(vdev)) {
        return;
    }
    trace_vfio_kvm_msix_close(vdev->vbasedev.name);
    qemu_remove_machine_init_done_notifier(&k->machine_done);
    vfio_kvm_msix_unmap(k);
    close(k->fd);
    k->fd = -1;
}

static void vfio_kvm_msix_free_part(VFIOKVMMSIXPart *part)
{
    if (part->bar) {
        object_unparent(OBJECT(&part->mr));
    }
}

/* Memory regions live until nobody can hold on to their owner any more. */
void vfio_kvm_msix_finalize(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;

    g_free(vdev->kvm_msix_state);
    if (!k) {
        return;
    }
    vfio_kvm_msix_free_part(&k->table);
    vfio_kvm_msix_free_part(&k->pba);
    if (k->memory) {
        munmap(k->memory, k->memory_size);
    }
    g_slist_free(k->complaints);
    g_free(k->events);
    g_free(k->bound);
    g_free(k);
    vdev->kvm_msix = NULL;
}

bool vfio_kvm_msix_active(VFIOPCIDevice *vdev)
{
    return vdev->kvm_msix && vdev->kvm_msix->fd >= 0;
}

void vfio_kvm_msix_control(VFIOPCIDevice *vdev)
{
    if (vfio_kvm_msix_active(vdev)) {
        vfio_kvm_msix_set_control(vdev->kvm_msix,
                                  vfio_kvm_msix_wanted_control(vdev));
    }
}

void vfio_kvm_msix_reset(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;
    struct kvm_msix_reset reset = { .size = sizeof(reset) };

    if (!vfio_kvm_msix_active(vdev)) {
        return;
    }
    k->control = 0;
    trace_vfio_kvm_msix_reset(vdev->vbasedev.name);
    vfio_kvm_msix_must(k, "reset MSI-X",
                       vfio_kvm_msix_ioctl(k, KVM_MSIX_RESET, &reset));
}

/* Does a write to configuration space set @bit of the byte at @where? */
static bool vfio_kvm_msix_sets(uint32_t addr, uint32_t val, int len,
                               uint32_t where, uint8_t bit)
{
    return range_covers_byte(addr, len, where) &&
           val >> (where - addr) * 8 & bit;
}

/*
 * VFIO resets the device when this write gets there, and has its own MSI-X as
 * before when that is done.  So what the guest sees of it is reset here, and
 * before: then nothing of the device's is bound, as after any clear of Enable.
 */
void vfio_kvm_msix_flr(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                       int len)
{
    PCIDevice *pdev = &vdev->pdev;
    uint8_t exp = pdev->exp.exp_cap;
    uint8_t af = pci_find_capability(pdev, PCI_CAP_ID_AF);

    if (!vfio_kvm_msix_active(vdev) || !vdev->has_flr) {
        return;
    }
    if ((exp &&
         pci_get_long(pdev->config + exp + PCI_EXP_DEVCAP) &
         PCI_EXP_DEVCAP_FLR &&
         vfio_kvm_msix_sets(addr, val, len, exp + PCI_EXP_DEVCTL + 1,
                            PCI_EXP_DEVCTL_BCR_FLR >> 8)) ||
        (af &&
         pci_get_byte(pdev->config + af + PCI_AF_CAP) & PCI_AF_CAP_FLR &&
         vfio_kvm_msix_sets(addr, val, len, af + PCI_AF_CTRL,
                            PCI_AF_CTRL_FLR))) {
        vfio_pci_write_config(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, 0, 2);
        vfio_kvm_msix_reset(vdev);
    }
}

void vfio_kvm_msix_save(VFIOPCIDevice *vdev)
{
    if (vfio_kvm_msix_active(vdev)) {
        trace_vfio_kvm_msix_save(vdev->vbasedev.name);
        vfio_kvm_msix_fetch(vdev->kvm_msix);
    }
}

/* Enable is still 0 then: vfio_kvm_msix_enable() sets it, with all bound. */
void vfio_kvm_msix_load(VFIOPCIDevice *vdev)
{
    if (vfio_kvm_msix_active(vdev)) {
        trace_vfio_kvm_msix_load(vdev->vbasedev.name);
        vdev->kvm_msix->control = vfio_kvm_msix_wanted_control(vdev);
        vfio_kvm_msix_store(vdev->kvm_msix);
    }
}
