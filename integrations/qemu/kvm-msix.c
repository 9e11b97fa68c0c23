/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * MSI-X of assigned devices, emulated in the kernel by kvm_msix
 *
 * With /dev/kvm_msix, the guest's MSI-X table and PBA live in the kernel.  The
 * kernel answers the guest's accesses and sends the messages.  QEMU, in this
 * file, tells the kernel the guest addresses of table and PBA, passes Message
 * Control on, and gives a vector its eventfd when the guest first uses the
 * vector.  The vector has no KVM route and no irqfd.
 *
 * The guest's accesses reach the kernel in one of two ways:
 * - trapped: as exits to KVM.  The first unmask of a vector goes on to QEMU.
 * - exit-free: while the guest maps the BAR, the pages of the table are guest
 *   memory.  An eventfd tells QEMU of the first unmask of a vector.
 *
 * Meanwhile QEMU's MSI-X core is inert: without vector notifiers, without used
 * vectors, and with its MMIO regions below the regions added here.
 * pdev->msix_table and pdev->msix_pba are only buffers, valid right after
 * vfio_kvm_msix_fetch() and at no other time.
 *
 * All code here runs under the BQL.  When multifd threads of a migration save,
 * the thread waiting for them holds the BQL.
 */

#include "qemu/osdep.h"
#include <linux/kvm_msix.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "exec/target_page.h"
#include "hw/core/cpu.h"
#include "hw/i386/apic-msidef.h"
#include "hw/i386/x86-iommu.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_ids.h"
#include "kvm/kvm_i386.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/range.h"
#include "kvm-msix.h"
#include "kvm-msix-compat.h"
#include "trace.h"

/* A region above the other contents of a BAR. */
typedef struct VFIOKVMMSIXPart {
    MemoryRegion mr;
    MemoryRegion *bar;              /* contains @mr; NULL: no region */
} VFIOKVMMSIXPart;

typedef struct VFIOKVMMSIX {
    VFIOPCIDevice *vdev;
    int fd;                         /* of kvm_msix; -1: not active */
    uint16_t control;               /* the kernel's value */
    GSList *complaints;             /* already printed */

    /* Vectors */
    EventNotifier *events;          /* of the vectors in @bound */
    unsigned long *bound;
    unsigned int nr_enabled;        /* allocated by VFIO, from 0 on */
    bool dynamic;                   /* VFIO can add vectors one by one */

    /* The guest's view of table and PBA */
    VFIOKVMMSIXPart table;
    VFIOKVMMSIXPart pba;

    /* Exit-free */
    void *memory;                   /* pages of table and PBA; NULL: trapped */
    uint64_t memory_size;
    EventNotifier unmasked;         /* the guest uses vectors not in @bound */

    /* Trapped */
    QLIST_ENTRY(VFIOKVMMSIX) next;  /* in vfio_kvm_msix_trapped */
    struct kvm_msix_addr mapped;    /* by the memory map */
    struct kvm_msix_addr located;   /* the kernel's value */
    bool silent;                    /* see vfio_kvm_msix_is_stored() */

    /* The device's own PBA */
    int device_pba_bar;             /* -1: not readable */
    uint32_t device_pba_offset;

    Notifier machine_done;
    VMChangeStateEntry *vm_state;
    Error *cpr_blocker;
} VFIOKVMMSIX;

static int vfio_kvm_msix_ioctl(VFIOKVMMSIX *k, unsigned long request, void *arg)
{
    return ioctl(k->fd, request, arg) ? -errno : 0;
}

/*
 * Report that @what, a string literal, failed.  The guest can repeat a failure
 * at will, so print each only once for a device.
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
 * For calls without a reason to fail.  The guest cannot be told of a failure,
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

/* QEMU's buffers already have the layout of GET_STATE. */
static struct kvm_msix_state vfio_kvm_msix_state(VFIOKVMMSIX *k)
{
    PCIDevice *pdev = PCI_DEVICE(k->vdev);

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

/*
 * When the VM stops, a handler without priority runs last: the vCPUs and all
 * devices have stopped by then.  The kernel may only now notice unmasks of the
 * last moment.  Have the kernel send the messages due: QEMU reads the local
 * APICs before vfio_kvm_msix_save(), which must not send a message any more.
 */
static void vfio_kvm_msix_vm_state(void *opaque, bool running, RunState state)
{
    if (!running) {
        vfio_kvm_msix_fetch(opaque);
    }
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
 * Take Enable from VFIO's state, not from config space: a reset takes the
 * vectors down before QEMU's PCI core clears the bit.
 */
static uint16_t vfio_kvm_msix_wanted_control(VFIOPCIDevice *vdev)
{
    PCIDevice *pdev = PCI_DEVICE(vdev);
    uint16_t control = pci_get_word(pdev->config + pdev->msix_cap +
                                    PCI_MSIX_FLAGS);

    control &= PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
    if (vdev->interrupt != VFIO_INT_MSIX) {
        control &= ~PCI_MSIX_FLAGS_ENABLE;
    }
    return control;
}

/*
 * Vectors: k->bound says which vectors have an eventfd.  Of the two functions
 * here, vfio_kvm_msix_bind() brings a range of vectors in line with k->bound in
 * the kernel's table, and vfio_kvm_msix_plumb() in the device.
 */

/* Without @attach, unbind the vectors: events stay in their eventfds. */
static int vfio_kvm_msix_bind(VFIOKVMMSIX *k, unsigned int first,
                              unsigned int count, bool attach)
{
    g_autofree struct kvm_msix_binding *bindings = NULL;
    struct kvm_msix_bind bind = {
        .size = sizeof(bind),
        .first = first,
        .count = count,
    };
    unsigned int i;
    int ret;

    bindings = g_new(struct kvm_msix_binding, count);
    for (i = 0; i < count; i++) {
        EventNotifier *e = &k->events[first + i];

        bindings[i].eventfd = attach && test_bit(first + i, k->bound) ?
                              event_notifier_get_fd(e) : -1;
        bindings[i].gsi = -1;
    }
    bind.bindings = (uintptr_t)bindings;

    ret = vfio_kvm_msix_ioctl(k, KVM_MSIX_BIND, &bind);
    trace_vfio_kvm_msix_bind(k->vdev->vbasedev.name, first, count, attach, ret);
    return ret;
}

/*
 * A vector with an eventfd of -1 has no interrupt.  If VFIO could only allocate
 * a smaller number of vectors, it has enabled none: returns the number.
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

    ret = vfio_kvm_msix_set_irqs(&k->vdev->vbasedev, irq_set);
    trace_vfio_kvm_msix_plumb(k->vdev->vbasedev.name, first, count, ret);
    return ret;
}

/* The result of vfio_kvm_msix_plumb(), in words. */
static const char *vfio_kvm_msix_why(int ret)
{
    return ret < 0 ? strerror(-ret) : "too few vectors left on the host";
}

/*
 * Make VFIO allocate at least @nr vectors where VFIO can only allocate all at
 * once (VFIO_IRQ_INFO_NORESIZE).  For a moment the device has no MSI-X, and its
 * signals of that moment are lost.  Therefore:
 * - Allocate seldom: double the number each time.  A vector without eventfd has
 *   no interrupt on the host, and takes none of a CPU's scarce vectors.
 * - Afterwards, signal each vector in use.  Drivers live with a spurious
 *   interrupt; a missing interrupt can be the end of a driver.
 */
static int vfio_kvm_msix_grow(VFIOKVMMSIX *k, unsigned int nr)
{
    VFIODevice *vbasedev = &k->vdev->vbasedev;
    unsigned int entries = k->vdev->msix->entries, old = k->nr_enabled;
    unsigned int count = MIN(entries, MAX(nr, 2 * old));
    unsigned int i;
    int ret;

    vfio_device_irq_disable(vbasedev, VFIO_PCI_MSIX_IRQ_INDEX);
    ret = vfio_kvm_msix_plumb(k, 0, count);
    if (ret && count > nr) {
        count = nr;
        ret = vfio_kvm_msix_plumb(k, 0, count);
    }
    k->nr_enabled = count;
    if (ret) {
        /* Restore the old number; if even this fails, start anew next time */
        k->nr_enabled = old && !vfio_kvm_msix_plumb(k, 0, old) ? old : 0;
    }

    for (i = find_first_bit(k->bound, old); i < old;
         i = find_next_bit(k->bound, old, i + 1)) {
        event_notifier_set(&k->events[i]);
    }
    return ret;
}

/*
 * Give all these vectors their eventfds, or none of them.  Bind in the kernel's
 * table before the device, so the kernel is ready for the first event.
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
 * The guest uses vectors without eventfd.
 *
 * If the host has no vector left, the guest's vector stays silent, as without
 * kvm_msix.  The next unmask of the vector tries again.
 */
static void vfio_kvm_msix_use(VFIOKVMMSIX *k, unsigned int first,
                              unsigned int count)
{
    int ret = vfio_kvm_msix_try_use(k, first, count);
    unsigned int i;

    if (ret && count > 1) {
        /* As many as the host has left */
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
    vfio_device_irq_disable(&k->vdev->vbasedev, VFIO_PCI_MSIX_IRQ_INDEX);
    k->nr_enabled = 0;

    for (i = find_first_bit(k->bound, entries); i < entries;
         i = find_next_bit(k->bound, entries, i + 1)) {
        event_notifier_cleanup(&k->events[i]);
    }
    bitmap_zero(k->bound, entries);
}

/* By QEMU's buffer: is the vector in use, but without eventfd? */
static bool vfio_kvm_msix_wants_use(VFIOKVMMSIX *k, unsigned int nr)
{
    PCIDevice *pdev = PCI_DEVICE(k->vdev);
    uint8_t *entry = pdev->msix_table + nr * PCI_MSIX_ENTRY_SIZE;

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

/* Bind all unmasked vectors, or none of them. */
static int vfio_kvm_msix_start(VFIOKVMMSIX *k)
{
    unsigned int entries = k->vdev->msix->entries, i, count = 0;
    int ret = 0;

    /*
     * QEMU did not hear of vectors unmasked before the guest set Enable, or
     * had no eventfd to bind to them yet.
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
     * If no vector is in use yet, enable MSI-X on the device all the same, by a
     * vector without eventfd: some devices look at their own Enable bit (see
     * vfio_msix_enable()).
     */
    k->nr_enabled = MAX(count, 1);
    if (!ret && k->dynamic && count > 1) {
        /* Once enabled, VFIO allocates no vector without eventfd. */
        ret = vfio_kvm_msix_plumb(k, 0, 1);
    }
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
        /* As many as the host has left */
        k->nr_enabled = vfio_kvm_msix_plumb(k, 0, 1) ? 0 : 1;
        vfio_kvm_msix_use_unmasked(k);
    }
    vfio_kvm_msix_set_control(k, vfio_kvm_msix_wanted_control(vdev));
}

void vfio_kvm_msix_disable(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;

    /* Send no message for events during the teardown. */
    vfio_kvm_msix_set_control(k, 0);
    vfio_kvm_msix_release_all(k);
}

/*
 * Trapped: the addresses of table and PBA
 *
 * One listener for all devices follows the memory map.  While the memory core
 * walks the changes of a transaction, the listener only notes them in @mapped.
 * At commit, first clear all changed addresses of all devices in the kernel,
 * then set the new addresses: a device's new address is free of other devices'
 * tables by then, and of ioeventfds, which the memory core has updated.  An
 * unchanged address answers throughout.
 *
 * The listener runs after KVM's own.  When the kernel gets a new address, KVM's
 * memory slots have changed already, so the kernel never answers on top of
 * memory.  If KVM finds neither slot nor table for an access, the access comes
 * to QEMU, and waits for the BQL until the new memory map is complete.
 */

static QLIST_HEAD(, VFIOKVMMSIX) vfio_kvm_msix_trapped =
    QLIST_HEAD_INITIALIZER(vfio_kvm_msix_trapped);

static int vfio_kvm_msix_set_addr(VFIOKVMMSIX *k, struct kvm_msix_addr addr)
{
    int ret;

    if (!memcmp(&addr, &k->located, sizeof(addr))) {
        return 0;
    }
    ret = vfio_kvm_msix_ioctl(k, KVM_MSIX_SET_ADDR, &addr);
    trace_vfio_kvm_msix_set_addr(k->vdev->vbasedev.name, addr.flags,
                                 addr.table_gpa, addr.pba_gpa, ret);
    if (!ret) {
        k->located = addr;
    }
    return ret;
}

/* Clear the kernel's addresses, except those also in @stay. */
static void vfio_kvm_msix_clear_addr(VFIOKVMMSIX *k, struct kvm_msix_addr stay)
{
    struct kvm_msix_addr addr = k->located;

    addr.flags &= stay.flags;
    if (addr.table_gpa != stay.table_gpa) {
        addr.flags &= ~KVM_MSIX_ADDR_TABLE;
        addr.table_gpa = 0;
    }
    if (addr.pba_gpa != stay.pba_gpa) {
        addr.flags &= ~KVM_MSIX_ADDR_PBA;
        addr.pba_gpa = 0;
    }
    vfio_kvm_msix_must(k, "give up the MSI-X table's address",
                       vfio_kvm_msix_set_addr(k, addr));
}

/*
 * If the kernel refuses an address, QEMU answers there, slowly, and asks the
 * kernel again at the next change of the memory map.
 */
static void vfio_kvm_msix_commit(MemoryListener *listener)
{
    VFIOKVMMSIX *k;
    int ret;

    QLIST_FOREACH(k, &vfio_kvm_msix_trapped, next) {
        vfio_kvm_msix_clear_addr(k, k->mapped);
    }
    QLIST_FOREACH(k, &vfio_kvm_msix_trapped, next) {
        ret = vfio_kvm_msix_set_addr(k, k->mapped);
        k->silent |= ret < 0;
        vfio_kvm_msix_must(k, "answer for the MSI-X table", ret);
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
 * Table or PBA count as mapped only if the guest can access the whole region.
 * Of a region in parts, QEMU answers the accesses.
 */
static void vfio_kvm_msix_region(MemoryRegionSection *section, bool add)
{
    uint64_t gpa = section->offset_within_address_space;
    VFIOKVMMSIX *k;

    if (section->offset_within_region ||
        int128_ne(section->size,
                  int128_make64(memory_region_size(section->mr)))) {
        return;
    }

    QLIST_FOREACH(k, &vfio_kvm_msix_trapped, next) {
        if (section->mr == &k->table.mr) {
            vfio_kvm_msix_part(k, KVM_MSIX_ADDR_TABLE, &k->mapped.table_gpa,
                               gpa, add);
        } else if (section->mr == &k->pba.mr) {
            vfio_kvm_msix_part(k, KVM_MSIX_ADDR_PBA, &k->mapped.pba_gpa, gpa,
                               add);
        }
    }
}

static void vfio_kvm_msix_region_add(MemoryListener *listener,
                                     MemoryRegionSection *section)
{
    vfio_kvm_msix_region(section, true);
}

static void vfio_kvm_msix_region_del(MemoryListener *listener,
                                     MemoryRegionSection *section)
{
    vfio_kvm_msix_region(section, false);
}

static MemoryListener vfio_kvm_msix_listener = {
    .name = "vfio-kvm-msix",
    .priority = MEMORY_LISTENER_PRIORITY_DEV_BACKEND,
    .region_add = vfio_kvm_msix_region_add,
    .region_del = vfio_kvm_msix_region_del,
    .commit = vfio_kvm_msix_commit,
};

/* Call before adding the device's regions to the memory map. */
static void vfio_kvm_msix_listen(VFIOKVMMSIX *k)
{
    k->mapped.size = k->located.size = sizeof(k->mapped);
    if (QLIST_EMPTY(&vfio_kvm_msix_trapped)) {
        memory_listener_register(&vfio_kvm_msix_listener,
                                 &address_space_memory);
    }
    QLIST_INSERT_HEAD(&vfio_kvm_msix_trapped, k, next);
}

/* Call after removing the device's regions from the memory map. */
static void vfio_kvm_msix_unlisten(VFIOKVMMSIX *k)
{
    QLIST_REMOVE(k, next);
    if (QLIST_EMPTY(&vfio_kvm_msix_trapped)) {
        memory_listener_unregister(&vfio_kvm_msix_listener);
    }
}

/*
 * Trapped: accesses in QEMU
 *
 * The kernel hands over the first unmask of an unbound vector, with the new
 * value stored already, and reads of the PBA covering unbound vectors.  Other
 * accesses come from an initiator other than a vCPU, or while the kernel has no
 * address to answer at.
 */

static uint64_t vfio_kvm_msix_table_read(void *opaque, hwaddr addr,
                                         unsigned size)
{
    VFIOKVMMSIX *k = opaque;

    trace_vfio_kvm_msix_exit(k->vdev->vbasedev.name, "table read", addr, size);
    vfio_kvm_msix_fetch(k);
    return ldn_le_p(PCI_DEVICE(k->vdev)->msix_table + addr, size);
}

/*
 * Change the table from QEMU, by reading and writing the whole table.  Clear
 * the address, so that no vCPU can store in between: the vCPU's access comes to
 * QEMU and waits for the BQL.  Unbind the vectors, so that events in between
 * wait in their eventfds: the PBA written back would not contain them.
 */
static void vfio_kvm_msix_poke(VFIOKVMMSIX *k, hwaddr addr, uint64_t val,
                               unsigned size)
{
    unsigned int entries = k->vdev->msix->entries;
    struct kvm_msix_addr nowhere = { .size = sizeof(nowhere) };
    struct kvm_msix_addr back = k->located;

    k->silent = true;
    vfio_kvm_msix_clear_addr(k, nowhere);
    vfio_kvm_msix_must(k, "unbind the vectors",
                       vfio_kvm_msix_bind(k, 0, entries, false));
    vfio_kvm_msix_fetch(k);
    stn_le_p(PCI_DEVICE(k->vdev)->msix_table + addr, size, val);
    vfio_kvm_msix_store(k);
    vfio_kvm_msix_must(k, "bind the vectors again",
                       vfio_kvm_msix_bind(k, 0, entries, true));
    vfio_kvm_msix_must(k, "answer for the MSI-X table again",
                       vfio_kvm_msix_set_addr(k, back));
}

/* Does the guest's write leave the entry unmasked? */
static bool vfio_kvm_msix_unmasks(hwaddr addr, uint64_t val, unsigned size)
{
    unsigned int first = addr % PCI_MSIX_ENTRY_SIZE;
    unsigned int control = PCI_MSIX_ENTRY_VECTOR_CTRL;

    return first <= control && control < first + size &&
           !(val >> (control - first) * 8 & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/*
 * Has the kernel stored the value of a write already?  The kernel stores the
 * first unmask of a vector and hands the write over.  The kernel has not stored
 * the rest of a store wider than 8 bytes, nor a write from a time when the
 * kernel was silent at the table's address, and may be answering again by now.
 * If the kernel has ever been silent, compare with the table.
 */
static bool vfio_kvm_msix_is_stored(VFIOKVMMSIX *k, hwaddr addr, uint64_t val,
                                    unsigned size)
{
    if (!current_cpu || !(k->located.flags & KVM_MSIX_ADDR_TABLE) ||
        !vfio_kvm_msix_unmasks(addr, val, size)) {
        return false;
    }
    if (!k->silent) {
        return true;
    }
    vfio_kvm_msix_fetch(k);
    return ldn_le_p(PCI_DEVICE(k->vdev)->msix_table + addr, size) == val;
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

    /* Before Enable, leave the bind to vfio_kvm_msix_enable(). */
    if (vdev->interrupt == VFIO_INT_MSIX && !test_bit(nr, k->bound) &&
        vfio_kvm_msix_unmasks(addr, val, size)) {
        vfio_kvm_msix_use(k, nr, 1);
    }
}

/* Events of unbound vectors are pending in the device itself. */
static uint64_t vfio_kvm_msix_pba_read(void *opaque, hwaddr addr, unsigned size)
{
    VFIOKVMMSIX *k = opaque;
    VFIOPCIDevice *vdev = k->vdev;
    unsigned int nr, end = MIN((addr + size) * 8, vdev->msix->entries);
    uint8_t device[8] = {};
    uint64_t val;

    trace_vfio_kvm_msix_exit(vdev->vbasedev.name, "PBA read", addr, size);
    vfio_kvm_msix_fetch(k);
    val = ldn_le_p(PCI_DEVICE(vdev)->msix_pba + addr, size);

    if (k->device_pba_bar >= 0 &&
        vfio_kvm_msix_read_region(vdev, k->device_pba_bar,
                                  k->device_pba_offset + addr, size, device)) {
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
 * The guest's view of the BARs
 */

typedef struct VFIOKVMMSIXPages {
    hwaddr offset;                  /* in the BAR */
    hwaddr size;
} VFIOKVMMSIXPages;

/* The pages which a range of a BAR touches. */
static VFIOKVMMSIXPages vfio_kvm_msix_pages(hwaddr offset, hwaddr size)
{
    hwaddr page = qemu_target_page_size();
    hwaddr first = QEMU_ALIGN_DOWN(offset, page);

    return (VFIOKVMMSIXPages) {
        .offset = first,
        .size = QEMU_ALIGN_UP(offset + size, page) - first,
    };
}

static hwaddr vfio_kvm_msix_table_size(VFIOPCIDevice *vdev)
{
    return memory_region_size(&PCI_DEVICE(vdev)->msix_table_mmio);
}

static hwaddr vfio_kvm_msix_pba_size(VFIOPCIDevice *vdev)
{
    return memory_region_size(&PCI_DEVICE(vdev)->msix_pba_mmio);
}

static VFIOKVMMSIXPages vfio_kvm_msix_pba_pages(VFIOPCIDevice *vdev)
{
    return vfio_kvm_msix_pages(vdev->msix->pba_offset,
                               vfio_kvm_msix_pba_size(vdev));
}

static bool vfio_kvm_msix_pba_is_near_table(VFIOPCIDevice *vdev)
{
    VFIOMSIXInfo *msix = vdev->msix;
    VFIOKVMMSIXPages pba = vfio_kvm_msix_pba_pages(vdev);
    VFIOKVMMSIXPages table =
        vfio_kvm_msix_pages(msix->table_offset, vfio_kvm_msix_table_size(vdev));

    return msix->pba_bar == msix->table_bar &&
           ranges_overlap(pba.offset, pba.size, table.offset, table.size);
}

/* The table's pages; with the PBA's, if table and PBA share a page. */
static VFIOKVMMSIXPages vfio_kvm_msix_table_pages(VFIOPCIDevice *vdev)
{
    hwaddr first = vdev->msix->table_offset;
    hwaddr end = first + vfio_kvm_msix_table_size(vdev);
    hwaddr pba = vdev->msix->pba_offset;

    if (vfio_kvm_msix_pba_is_near_table(vdev)) {
        first = MIN(first, pba);
        end = MAX(end, pba + vfio_kvm_msix_pba_size(vdev));
    }
    return vfio_kvm_msix_pages(first, end - first);
}

/*
 * If a BAR begins with the table or the PBA, and is no larger than needed for
 * both, the BAR was made for them.
 */
static bool vfio_kvm_msix_has_bar_alone(VFIOPCIDevice *vdev)
{
    VFIOMSIXInfo *msix = vdev->msix;
    uint64_t end = MAX(msix->table_offset + vfio_kvm_msix_table_size(vdev),
                       msix->pba_offset + vfio_kvm_msix_pba_size(vdev));

    return msix->table_bar == msix->pba_bar &&
           !MIN(msix->table_offset, msix->pba_offset) &&
           pow2ceil(end) == memory_region_size(vdev->bars[msix->table_bar].mr);
}

/*
 * Are table and PBA known to have their pages to themselves?  The PCI
 * specification asks for separate pages, but devices do not care.
 */
static bool vfio_kvm_msix_has_pages_alone(VFIOPCIDevice *vdev)
{
    return vdev->msix_relo != OFF_AUTO_PCIBAR_OFF ||
           vfio_kvm_msix_has_bar_alone(vdev) ||
           /* QEMU's own NVMe disk: nvme_mbar_size() lays out its BAR 0 */
           vfio_pci_is(vdev, PCI_VENDOR_ID_REDHAT, PCI_DEVICE_ID_REDHAT_NVME);
}

/*
 * Are table and PBA known to share their pages with other registers?
 *
 * - Intel's WLAN cards have the registers for routing and masking their causes
 *   2 kB behind the table's beginning: CSR_MSIX_BASE + 0x800 and on, in Linux's
 *   iwl-csr.h.
 */
static bool vfio_kvm_msix_shares_pages(VFIOPCIDevice *vdev)
{
    return vdev->vendor_id == PCI_VENDOR_ID_INTEL &&
           pci_get_word(PCI_DEVICE(vdev)->config + PCI_CLASS_DEVICE) ==
           PCI_CLASS_NETWORK_OTHER;
}

/* Put @part above the device's own contents of the BAR. */
static void vfio_kvm_msix_add_part(VFIOKVMMSIX *k, VFIOKVMMSIXPart *part,
                                   int bar, hwaddr offset)
{
    part->bar = k->vdev->bars[bar].mr;
    memory_region_add_subregion_overlap(part->bar, offset, &part->mr, 1);
}

/*
 * If a debugger or an emulated device accesses the region, memory changes as by
 * a vCPU's access, and the kernel notices in the same way.
 *
 * RAM_PROTECTED keeps the region out of VFIO's DMA mappings: devices' DMA has
 * no business there.  Set the flag from outside of the memory core, for want of
 * an interface: memory_region_init_ram_from_fd() takes the flag, but makes
 * ordinary RAM.  QEMU would pass the fd to vhost-user's processes, and keep the
 * fd, hence kvm_msix's function, as long as the region.
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

/* Pages of the PBA alone are memory only by vfio_kvm_msix_layout(). */
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
 * If the PBA traps, accesses to other registers on the PBA's page go through
 * QEMU.  Trap the PBA only if the page has no other registers, or traps already
 * because of the table.  Otherwise the guest sees the device's own PBA, where
 * only unbound vectors can be pending.  With stock QEMU, too, the guest sees
 * the device's own PBA while no vector is pending.
 */
static void vfio_kvm_msix_map_trapped(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    VFIOMSIXInfo *msix = vdev->msix;

    memory_region_init_io(&k->table.mr, OBJECT(vdev), &vfio_kvm_msix_table_ops,
                          k, "kvm-msix-table",
                          vfio_kvm_msix_table_size(vdev));
    vfio_kvm_msix_add_part(k, &k->table, msix->table_bar, msix->table_offset);

    if (vfio_kvm_msix_has_pages_alone(vdev) ||
        vfio_kvm_msix_pba_is_near_table(vdev)) {
        memory_region_init_io(&k->pba.mr, OBJECT(vdev), &vfio_kvm_msix_pba_ops,
                              k, "kvm-msix-pba",
                              vfio_kvm_msix_pba_size(vdev));
        vfio_kvm_msix_add_part(k, &k->pba, msix->pba_bar, msix->pba_offset);
    }
}

static void vfio_kvm_msix_map(VFIOKVMMSIX *k)
{
    if (k->memory) {
        event_notifier_set_handler(&k->unmasked, vfio_kvm_msix_unmasked);
    } else {
        vfio_kvm_msix_listen(k);
    }

    memory_region_transaction_begin();
    if (k->memory) {
        vfio_kvm_msix_map_memory(k);
    } else {
        vfio_kvm_msix_map_trapped(k);
    }
    memory_region_transaction_commit();
}

static void vfio_kvm_msix_del_part(VFIOKVMMSIXPart *part)
{
    if (part->bar) {
        memory_region_del_subregion(part->bar, &part->mr);
    }
}

static void vfio_kvm_msix_unmap(VFIOKVMMSIX *k)
{
    memory_region_transaction_begin();
    vfio_kvm_msix_del_part(&k->table);
    vfio_kvm_msix_del_part(&k->pba);
    memory_region_transaction_commit();

    if (k->memory) {
        event_notifier_set_handler(&k->unmasked, NULL);
        event_notifier_cleanup(&k->unmasked);
        /* The mapping holds the function: replace it, others may be reading. */
        mmap(k->memory, k->memory_size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    } else {
        vfio_kvm_msix_unlisten(k);
    }
}

/*
 * Life
 */

/* The kernel sends messages as in the table, without remapping. */
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
    } else if (!msix_present(PCI_DEVICE(vdev))) {
        reason = "the device has no MSI-X";
    } else if (vdev->no_kvm_msix) {
        reason = "x-no-kvm-msix=on says otherwise";
    } else if (vfio_kvm_msix_remapped()) {
        reason = REMAPPED;
    } else if (vfio_kvm_msix_xen_is_emulated()) {
        reason = "the guest's messages may be for Xen's event channels";
    } else if (vfio_kvm_msix_cpr_is_incoming()) {
        reason = "the device comes from another QEMU by CPR";
    } else if (vfio_pci_is(vdev, PCI_VENDOR_ID_REALTEK, 0x8168)) {
        /* vfio_probe_rtl8168_bar2_quirk() goes to QEMU's table directly */
        reason = "the device has a second way to its MSI-X table";
    }

    if (reason) {
        error_setg(errp, "%s", reason);
    }
    return !reason;
}

/*
 * CPR (migration modes cpr-transfer and cpr-exec) hands a running device to a
 * new QEMU.  kvm_msix's function would stay behind with the old VM, and
 * hw/vfio/cpr.c expects vdev->msi_vectors while MSI-X is enabled.
 */
static bool vfio_kvm_msix_block_cpr(VFIOKVMMSIX *k, Error **errp)
{
    error_setg(&k->cpr_blocker, "vfio %s: CPR cannot take along an MSI-X table "
               "that kvm_msix has; start with x-kvm-msix=off",
               k->vdev->vbasedev.name);
    return vfio_kvm_msix_add_cpr_blocker(&k->cpr_blocker, errp);
}

/* Does the guest know bits 11 to 5 of an address as part of the ID? */
static bool vfio_kvm_msix_ext_dest_id(void)
{
    uint64_t address = 2 << MSI_ADDR_DEST_IDX_SHIFT;

    return kvm_swizzle_msi_ext_dest_id(address) != address;
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
    } else if (vdev->msix->table_offset - pages.offset >=
               qemu_target_page_size()) {
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
        /* QEMU left 32-bit IDs off: no ID needs the extension */
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
 * Lay out table and PBA on the pages of guest memory.  If the PBA has pages of
 * its own, put these last, or leave them out unless known to be the PBA's
 * alone: x-kvm-msix-exit-free=on vouches for the table's pages only.
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

/* Create by @create, with the table's pages for use as guest memory. */
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

/* Set the value of x-kvm-msix-state. */
static void vfio_kvm_msix_set_state(VFIOPCIDevice *vdev, const char *state,
                                    const char *reason)
{
    g_free(vdev->kvm_msix_state);
    vdev->kvm_msix_state = g_strconcat(state, reason ? ": " : NULL, reason,
                                       NULL);
    trace_vfio_kvm_msix_state(vdev->vbasedev.name, vdev->kvm_msix_state);
}

/* kvm_msix's device node, or a file descriptor for it: /dev/fdset/N. */
static const char *vfio_kvm_msix_node(VFIOPCIDevice *vdev)
{
    return vdev->kvm_msix_device ?: "/dev/kvm_msix";
}

/*
 * The table stays in QEMU.  Tell users only if they have the module, and a
 * device for the module.
 */
static void vfio_kvm_msix_fall_back(VFIOPCIDevice *vdev, const char *reason)
{
    vfio_kvm_msix_set_state(vdev, "stock", reason);
    if (msix_present(PCI_DEVICE(vdev)) &&
        (vdev->kvm_msix_device || !access(vfio_kvm_msix_node(vdev), F_OK))) {
        info_report("vfio %s: kvm_msix is not used: %s", vdev->vbasedev.name,
                    reason);
    }
}

/* The property requiring the table to be in the kernel, or NULL. */
static const char *vfio_kvm_msix_required(VFIOPCIDevice *vdev)
{
    if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_ON) {
        return "x-kvm-msix-exit-free=on";
    }
    return vdev->kvm_msix_mode == ON_OFF_AUTO_ON ? "x-kvm-msix=on" : NULL;
}

/*
 * Returns the device fd, or -1.
 *
 * kvm_msix needs the VM's fd.  QEMU has no interface for the fd: kvm_vm_ioctl()
 * only passes on ioctls.
 */
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

    fd = qemu_open(vfio_kvm_msix_node(vdev), O_RDWR, errp);
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
        !(info.capabilities & KVM_MSIX_CAP_POSTED) &&
        !vfio_kvm_msix_required(vdev)) {
        /* Most guests have more interrupts than masks. */
        error_setg(errp, "the host posts interrupts, which this kvm_msix does "
                   "not; x-kvm-msix=on if the guest masks more often than that");
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
    qemu_close(fd);
    return ret;
}

static void vfio_kvm_msix_find_device_pba(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    uint32_t bar = vdev->msix->pba_bar, offset = vdev->msix->pba_offset, pba;

    k->device_pba_bar = -1;

    /* With x-msix-relocation the guest's PBA is elsewhere. */
    if (vdev->msix_relo != OFF_AUTO_PCIBAR_OFF) {
        if (!vfio_kvm_msix_read_region(vdev, VFIO_PCI_CONFIG_REGION_INDEX,
                                       PCI_DEVICE(vdev)->msix_cap +
                                       PCI_MSIX_PBA, sizeof(pba), &pba)) {
            return;
        }
        bar = le32_to_cpu(pba) & PCI_MSIX_FLAGS_BIRMASK;
        offset = le32_to_cpu(pba) & ~PCI_MSIX_FLAGS_BIRMASK;
    }

    if (bar < PCI_ROM_SLOT && offset < vdev->bars[bar].region.size) {
        k->device_pba_bar = bar;
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
    if (vfio_kvm_msix_fits(vdev, &err) && vfio_kvm_msix_block_cpr(k, &err)) {
        k->fd = vfio_kvm_msix_create(k, &err);
    }
    if (k->fd < 0) {
        vfio_kvm_msix_del_cpr_blocker(&k->cpr_blocker);
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
    k->dynamic = vfio_kvm_msix_can_add_vectors(vdev);
    vfio_kvm_msix_find_device_pba(k);
    vdev->kvm_msix = k;
    vfio_kvm_msix_map(k);

    k->machine_done.notify = vfio_kvm_msix_machine_done;
    qemu_add_machine_init_done_notifier(&k->machine_done);
    k->vm_state = qemu_add_vm_change_state_handler(vfio_kvm_msix_vm_state, k);
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
    qemu_del_vm_change_state_handler(k->vm_state);
    qemu_remove_machine_init_done_notifier(&k->machine_done);
    vfio_kvm_msix_unmap(k);
    vfio_kvm_msix_del_cpr_blocker(&k->cpr_blocker);
    close(k->fd);
    k->fd = -1;
}

static void vfio_kvm_msix_free_part(VFIOKVMMSIXPart *part)
{
    if (part->bar) {
        object_unparent(OBJECT(&part->mr));
    }
}

/* Memory regions live as long as references to their owner. */
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
 * If the write starts a function-level reset, VFIO resets the device when the
 * write gets there, and afterwards restores the device's own MSI-X.  Reset the
 * guest's view of MSI-X here, before the device: then no vector is bound, as
 * whenever the guest clears Enable.
 */
void vfio_kvm_msix_flr(VFIOPCIDevice *vdev, uint32_t addr, uint32_t val,
                       int len)
{
    PCIDevice *pdev = PCI_DEVICE(vdev);
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

/* Leave Enable at 0: vfio_kvm_msix_enable() binds all, then sets Enable. */
void vfio_kvm_msix_load(VFIOPCIDevice *vdev)
{
    if (vfio_kvm_msix_active(vdev)) {
        trace_vfio_kvm_msix_load(vdev->vbasedev.name);
        vdev->kvm_msix->control = vfio_kvm_msix_wanted_control(vdev);
        vfio_kvm_msix_store(vdev->kvm_msix);
    }
}
