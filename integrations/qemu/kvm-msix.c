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
 * Where all vectors can have their eventfd at once, it goes further: while
 * MSI-X is enabled, the guest has the pages of the table as memory
 * ("exit-free").
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

typedef struct VFIOKVMMSIX {
    VFIOPCIDevice *vdev;
    int fd;                         /* of kvm_msix; -1: not active */
    uint16_t control;               /* as the kernel has it */

    /* Vectors */
    EventNotifier *events;          /* of the vectors in @bound */
    unsigned long *bound;
    unsigned int nr_enabled;        /* that VFIO has allocated, from 0 on */
    bool dynamic;                   /* VFIO can add vectors one by one */

    /* Where in guest memory */
    MemoryRegion table;
    MemoryRegion pba;
    MemoryRegion pages;             /* of the table, exit-free */
    void *memory;                   /* @pages in QEMU; NULL: never exit-free */
    struct kvm_msix_create layout;  /* says what is where on @pages */
    bool exit_free;
    MemoryListener listener;
    struct kvm_msix_locate mapped;  /* as the memory map has it */
    struct kvm_msix_locate asked;   /* as last asked for; it may have failed */
    struct kvm_msix_locate located; /* as the kernel has it */
    QEMUBH *locate_again;

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
 * For calls that have no reason to fail.  There is no way to tell the guest,
 * and the next call may well succeed.
 */
static void vfio_kvm_msix_must(VFIOKVMMSIX *k, const char *what, int ret)
{
    if (ret) {
        error_report("vfio %s: kvm_msix: cannot %s: %s",
                     k->vdev->vbasedev.name, what, strerror(-ret));
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
 * The guest uses a vector that has no eventfd yet.  First the kernel's table,
 * then the device: the kernel is there to take the first event.
 *
 * If the host has no vector left, the guest's vector stays silent, as it would
 * without kvm_msix; it is tried again when the guest unmasks it again.
 */
static void vfio_kvm_msix_use(VFIOKVMMSIX *k, unsigned int nr)
{
    int ret;

    ret = event_notifier_init(&k->events[nr], 0);
    if (ret) {
        goto fail;
    }
    set_bit(nr, k->bound);

    ret = vfio_kvm_msix_bind(k, nr, 1, true);
    if (ret) {
        goto fail_bind;
    }

    if (nr < k->nr_enabled || k->dynamic) {
        ret = vfio_kvm_msix_plumb(k, nr, 1);
    } else {
        ret = vfio_kvm_msix_grow(k, nr + 1);
    }
    if (ret) {
        goto fail_plumb;
    }
    return;

fail_plumb:
    vfio_kvm_msix_must(k, "unbind a vector",
                       vfio_kvm_msix_bind(k, nr, 1, false));
fail_bind:
    clear_bit(nr, k->bound);
    event_notifier_cleanup(&k->events[nr]);
fail:
    error_report("vfio %s: cannot set up MSI-X vector %u: %s",
                 k->vdev->vbasedev.name, nr, vfio_kvm_msix_why(ret));
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

static bool vfio_kvm_msix_entry_masked(PCIDevice *pdev, unsigned int nr)
{
    uint8_t *entry = pdev->msix_table + nr * PCI_MSIX_ENTRY_SIZE;

    return pci_get_long(entry + PCI_MSIX_ENTRY_VECTOR_CTRL) &
           PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/* Bind the vectors that are unmasked, or @all; if one cannot be, none is. */
static int vfio_kvm_msix_start(VFIOKVMMSIX *k, bool all)
{
    unsigned int entries = k->vdev->msix->entries, i, count = 0;
    int ret = 0;

    /*
     * A vector that was unmasked before Enable was set came here as an exit
     * and found nothing to be bound to.
     */
    vfio_kvm_msix_fetch(k);
    for (i = 0; i < entries; i++) {
        if (!all && vfio_kvm_msix_entry_masked(&k->vdev->pdev, i)) {
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

/*
 * Let the guest have the table's pages as memory, or take them away.  The
 * kernel's windows lie below, so there is no moment at which nobody answers.
 */
static void vfio_kvm_msix_set_exit_free(VFIOKVMMSIX *k, bool on)
{
    if (on == k->exit_free) {
        return;
    }
    k->exit_free = on;
    trace_vfio_kvm_msix_exit_free(k->vdev->vbasedev.name, on);
    memory_region_set_enabled(&k->pages, on);
}

/* Nobody hears of an unmask in memory, so this takes all vectors or none. */
static bool vfio_kvm_msix_start_exit_free(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    int ret;

    if (!k->memory) {
        return false;
    }
    ret = vfio_kvm_msix_start(k, true);
    if (!ret) {
        return true;
    }
    trace_vfio_kvm_msix_trapped(vdev->vbasedev.name, vfio_kvm_msix_why(ret));
    if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_ON) {
        warn_report("vfio %s: x-kvm-msix-exit-free=on: cannot set up all %u "
                    "MSI-X vectors: %s; the guest's accesses to the table exit",
                    vdev->vbasedev.name, vdev->msix->entries,
                    vfio_kvm_msix_why(ret));
    }
    return false;
}

void vfio_kvm_msix_enable(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;
    int ret;

    if (vfio_kvm_msix_start_exit_free(k)) {
        vfio_kvm_msix_set_exit_free(k, true);
    } else {
        ret = vfio_kvm_msix_start(k, false);
        if (ret) {
            error_report("vfio %s: cannot set up the MSI-X vectors in use: %s",
                         vdev->vbasedev.name, vfio_kvm_msix_why(ret));
            /* Those that the guest unmasks again may still work. */
            k->nr_enabled = vfio_kvm_msix_plumb(k, 0, 1) ? 0 : 1;
        }
    }

    vfio_kvm_msix_set_control(k, vfio_kvm_msix_wanted_control(vdev));
}

void vfio_kvm_msix_disable(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;

    /* From here on nothing is sent, whatever comes while it is taken down. */
    vfio_kvm_msix_set_control(k, 0);
    vfio_kvm_msix_set_exit_free(k, false);
    vfio_kvm_msix_release_all(k);
}

/*
 * Accesses that come to QEMU
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
 * Change the table from here.  An event between GET_STATE and SET_STATE would
 * not be in the PBA that is written back: let it wait in its eventfd meanwhile.
 */
static void vfio_kvm_msix_poke(VFIOKVMMSIX *k, hwaddr addr, uint64_t val,
                               unsigned size)
{
    unsigned int entries = k->vdev->msix->entries;

    vfio_kvm_msix_must(k, "unbind the vectors",
                       vfio_kvm_msix_bind(k, 0, entries, false));
    vfio_kvm_msix_fetch(k);
    stn_le_p(k->vdev->pdev.msix_table + addr, size, val);
    vfio_kvm_msix_store(k);
    vfio_kvm_msix_must(k, "bind the vectors again",
                       vfio_kvm_msix_bind(k, 0, entries, true));
}

/* Does this write of the guest's leave its entry unmasked? */
static bool vfio_kvm_msix_unmasks(hwaddr addr, uint64_t val, unsigned size)
{
    unsigned int first = addr % PCI_MSIX_ENTRY_SIZE;
    unsigned int control = PCI_MSIX_ENTRY_VECTOR_CTRL;

    return first <= control && control < first + size &&
           !(val >> (control - first) * 8 & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static void vfio_kvm_msix_table_write(void *opaque, hwaddr addr, uint64_t val,
                                      unsigned size)
{
    VFIOKVMMSIX *k = opaque;
    VFIOPCIDevice *vdev = k->vdev;
    unsigned int nr = addr / PCI_MSIX_ENTRY_SIZE;

    trace_vfio_kvm_msix_exit(vdev->vbasedev.name, "table write", addr, size);

    /* The kernel has stored what unmasks; not the rest of a wider store. */
    if (!current_cpu || !(k->located.flags & KVM_MSIX_LOCATE_TABLE) ||
        !vfio_kvm_msix_unmasks(addr, val, size)) {
        vfio_kvm_msix_poke(k, addr, val, size);
    }

    /* Before Enable there is nothing to bind: vfio_kvm_msix_enable() will. */
    if (vdev->interrupt == VFIO_INT_MSIX && !test_bit(nr, k->bound) &&
        vfio_kvm_msix_unmasks(addr, val, size)) {
        vfio_kvm_msix_use(k, nr);
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
 * Where table and PBA are
 */

static void vfio_kvm_msix_locate(VFIOKVMMSIX *k, bool again)
{
    int ret;

    k->asked = k->mapped;
    ret = vfio_kvm_msix_ioctl(k, KVM_MSIX_LOCATE, &k->asked);
    trace_vfio_kvm_msix_locate(k->vdev->vbasedev.name, k->asked.flags,
                               k->asked.table_gpa, k->asked.pba_gpa, ret);
    if (!ret) {
        k->located = k->asked;
        return;
    }

    /* The old place is somebody else's by now. */
    k->located = (struct kvm_msix_locate) { .size = sizeof(k->located) };
    vfio_kvm_msix_must(k, "give up the MSI-X table's old address",
                       vfio_kvm_msix_ioctl(k, KVM_MSIX_LOCATE, &k->located));

    if ((ret == -EEXIST || k->exit_free) && !again) {
        /*
         * Another device moved away from there in the same transaction, but
         * its listener comes after this one.  And the guest's memory cannot be
         * changed from within a listener.
         */
        qemu_bh_schedule(k->locate_again);
        return;
    }
    warn_report("vfio %s: kvm_msix: cannot answer for the MSI-X table at "
                "0x%" PRIx64 ": %s; %s", k->vdev->vbasedev.name,
                (uint64_t)k->asked.table_gpa, strerror(-ret),
                k->exit_free ? "trying without exit-free" :
                               "QEMU does, slowly");
    /* The kernel would not look at that memory.  This locates anew. */
    vfio_kvm_msix_set_exit_free(k, false);
}

static void vfio_kvm_msix_locate_again(void *opaque)
{
    VFIOKVMMSIX *k = opaque;

    if (memcmp(&k->located, &k->mapped, sizeof(k->mapped))) {
        vfio_kvm_msix_locate(k, true);
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

    if (section->mr == &k->table) {
        vfio_kvm_msix_part(k, KVM_MSIX_LOCATE_TABLE, &k->mapped.table_gpa, gpa,
                           add);
    } else if (section->mr == &k->pba) {
        vfio_kvm_msix_part(k, KVM_MSIX_LOCATE_PBA, &k->mapped.pba_gpa, gpa,
                           add);
    } else if (section->mr == &k->pages) {
        vfio_kvm_msix_part(k, KVM_MSIX_LOCATE_TABLE | KVM_MSIX_LOCATE_MAPPED,
                           &k->mapped.table_gpa, gpa + k->layout.table_offset,
                           add);
        if (k->layout.flags & KVM_MSIX_CREATE_MMAP_PBA) {
            vfio_kvm_msix_part(k, KVM_MSIX_LOCATE_PBA, &k->mapped.pba_gpa,
                               gpa + k->layout.pba_offset, add);
        }
        /* KVM has new memory, or none; say so even if it is where it was. */
        k->asked.size = 0;
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
    vfio_kvm_msix_region(container_of(listener, VFIOKVMMSIX, listener),
                         section, false);
}

static void vfio_kvm_msix_commit(MemoryListener *listener)
{
    VFIOKVMMSIX *k = container_of(listener, VFIOKVMMSIX, listener);

    if (memcmp(&k->asked, &k->mapped, sizeof(k->mapped))) {
        vfio_kvm_msix_locate(k, false);
    }
}

/* The pages that the table is on: their offset in its BAR, and their size. */
static uint32_t vfio_kvm_msix_pages_offset(VFIOPCIDevice *vdev)
{
    return QEMU_ALIGN_DOWN(vdev->msix->table_offset, TARGET_PAGE_SIZE);
}

static uint64_t vfio_kvm_msix_pages_size(VFIOPCIDevice *vdev)
{
    return QEMU_ALIGN_UP(vdev->msix->table_offset +
                         memory_region_size(&vdev->pdev.msix_table_mmio),
                         TARGET_PAGE_SIZE) - vfio_kvm_msix_pages_offset(vdev);
}

/*
 * Above all that is there, once it is enabled.  What accesses it other than a
 * vCPU (a debugger, an emulated device) changes memory and no more: the kernel
 * sees it when it next looks.
 *
 * Protected: devices' DMA has no business there, so VFIO leaves it out.
 */
static void vfio_kvm_msix_map_pages(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;

    memory_region_init_ram_device_ptr(&k->pages, OBJECT(vdev), "kvm-msix-pages",
                                      vfio_kvm_msix_pages_size(vdev),
                                      k->memory);
    k->pages.ram_block->flags |= RAM_PROTECTED;
    memory_region_set_enabled(&k->pages, false);
    memory_region_add_subregion_overlap(vdev->bars[vdev->msix->table_bar].mr,
                                        vfio_kvm_msix_pages_offset(vdev),
                                        &k->pages, 2);
}

/*
 * Lay the two regions over whatever else is there.  That also keeps the page of
 * the PBA from being the device's own, mapped into the guest as RAM.  The other
 * registers on these pages are then accessed through QEMU.
 */
static void vfio_kvm_msix_map(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    VFIOMSIXInfo *msix = vdev->msix;
    PCIDevice *pdev = &vdev->pdev;

    memory_region_init_io(&k->table, OBJECT(vdev), &vfio_kvm_msix_table_ops, k,
                          "kvm-msix-table",
                          memory_region_size(&pdev->msix_table_mmio));
    memory_region_init_io(&k->pba, OBJECT(vdev), &vfio_kvm_msix_pba_ops, k,
                          "kvm-msix-pba",
                          memory_region_size(&pdev->msix_pba_mmio));

    memory_region_transaction_begin();
    memory_region_add_subregion_overlap(vdev->bars[msix->table_bar].mr,
                                        msix->table_offset, &k->table, 1);
    memory_region_add_subregion_overlap(vdev->bars[msix->pba_bar].mr,
                                        msix->pba_offset, &k->pba, 1);
    if (k->memory) {
        vfio_kvm_msix_map_pages(k);
    }
    memory_region_transaction_commit();

    k->mapped.size = k->asked.size = k->located.size = sizeof(k->mapped);
    k->locate_again = qemu_bh_new(vfio_kvm_msix_locate_again, k);
    k->listener = (MemoryListener) {
        .name = "vfio-kvm-msix",
        .region_add = vfio_kvm_msix_region_add,
        .region_del = vfio_kvm_msix_region_del,
        .commit = vfio_kvm_msix_commit,
    };
    memory_listener_register(&k->listener, &address_space_memory);
}

static void vfio_kvm_msix_unmap(VFIOKVMMSIX *k)
{
    VFIOPCIDevice *vdev = k->vdev;
    VFIOMSIXInfo *msix = vdev->msix;

    memory_listener_unregister(&k->listener);
    qemu_bh_delete(k->locate_again);
    memory_region_transaction_begin();
    memory_region_del_subregion(vdev->bars[msix->table_bar].mr, &k->table);
    memory_region_del_subregion(vdev->bars[msix->pba_bar].mr, &k->pba);
    if (k->memory) {
        memory_region_del_subregion(vdev->bars[msix->table_bar].mr, &k->pages);
    }
    memory_region_transaction_commit();
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

/*
 * The PCI specification keeps other registers off the table's pages.  These
 * devices do not care:
 *
 * - Intel's WLAN cards have those that route and mask their causes 2 kB behind
 *   the table's beginning: CSR_MSIX_BASE + 0x800 and on, in Linux's iwl-csr.h.
 */
static bool vfio_kvm_msix_page_is_shared(VFIOPCIDevice *vdev)
{
    return vdev->vendor_id == PCI_VENDOR_ID_INTEL &&
           pci_get_word(vdev->pdev.config + PCI_CLASS_DEVICE) ==
           PCI_CLASS_NETWORK_OTHER;
}

static bool vfio_kvm_msix_exit_free_fits(VFIOPCIDevice *vdev,
                                         uint64_t capabilities, Error **errp)
{
    const char *reason = NULL;

    if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_OFF) {
        reason = "x-kvm-msix-exit-free=off";
    } else if (!(capabilities & KVM_MSIX_CAP_MMAP)) {
        reason = "kvm_msix cannot do it on this kernel";
    } else if (vfio_kvm_msix_page_is_shared(vdev)) {
        reason = "the device has other registers on its MSI-X table's page";
    } else if (vfio_kvm_msix_pages_offset(vdev) +
               vfio_kvm_msix_pages_size(vdev) >
               memory_region_size(vdev->bars[vdev->msix->table_bar].mr)) {
        reason = "the BAR with the MSI-X table ends within the table's page";
    }

    if (reason) {
        error_setg(errp, "%s", reason);
    }
    return !reason;
}

static int vfio_kvm_msix_try_create(int fd, struct kvm_msix_create *create,
                                    Error **errp)
{
    int ret = ioctl(fd, KVM_MSIX_CREATE, create);

    if (ret < 0 && errno == EINVAL &&
        create->flags & KVM_MSIX_CREATE_EXT_DEST_ID) {
        /* QEMU left 32-bit ids off: no id needs the extension */
        create->flags &= ~KVM_MSIX_CREATE_EXT_DEST_ID;
        ret = ioctl(fd, KVM_MSIX_CREATE, create);
    }
    if (ret < 0) {
        error_setg_errno(errp, errno, "KVM_MSIX_CREATE of %u vectors",
                         create->nr_vectors);
    }
    return ret;
}

/* As @create says, and so that the table's pages can be the guest's memory. */
static int vfio_kvm_msix_create_exit_free(VFIOKVMMSIX *k, int fd,
                                          struct kvm_msix_create create,
                                          Error **errp)
{
    VFIOPCIDevice *vdev = k->vdev;
    VFIOMSIXInfo *msix = vdev->msix;
    uint32_t offset = vfio_kvm_msix_pages_offset(vdev);
    uint64_t size = vfio_kvm_msix_pages_size(vdev);
    void *memory;
    int ret;

    create.flags |= KVM_MSIX_CREATE_MMAP;
    create.table_offset = msix->table_offset - offset;
    if (msix->pba_bar == msix->table_bar &&
        ranges_overlap(msix->pba_offset,
                       memory_region_size(&vdev->pdev.msix_pba_mmio),
                       offset, size)) {
        create.flags |= KVM_MSIX_CREATE_MMAP_PBA;
        create.pba_offset = msix->pba_offset - offset;
    }

    ret = vfio_kvm_msix_try_create(fd, &create, errp);
    if (ret < 0) {
        return ret;
    }
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ret, 0);
    if (memory == MAP_FAILED) {
        error_setg_errno(errp, errno, "mmap of the MSI-X table");
        close(ret);
        return -1;
    }
    k->memory = memory;
    k->layout = create;
    return ret;
}

/* Returns the device fd, or -1. */
static int vfio_kvm_msix_create(VFIOKVMMSIX *k, Error **errp)
{
    VFIOPCIDevice *vdev = k->vdev;
    struct kvm_msix_info info = { .size = sizeof(info) };
    uint64_t need = KVM_MSIX_CAP_LAZY;
    Error *err = NULL;
    int fd, ret = -1;

    k->layout = (struct kvm_msix_create) {
        .size = sizeof(k->layout),
        .flags = KVM_MSIX_CREATE_LAZY,
        .vm_fd = kvm_state->vmfd,
        .nr_vectors = vdev->msix->entries,
    };

    fd = qemu_open("/dev/kvm_msix", O_RDWR, errp);
    if (fd < 0) {
        return -1;
    }

    if (vfio_kvm_msix_ext_dest_id()) {
        k->layout.flags |= KVM_MSIX_CREATE_EXT_DEST_ID;
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

    if (vfio_kvm_msix_exit_free_fits(vdev, info.capabilities, &err)) {
        ret = vfio_kvm_msix_create_exit_free(k, fd, k->layout, &err);
    }
    if (ret < 0) {
        trace_vfio_kvm_msix_trapped(vdev->vbasedev.name, error_get_pretty(err));
        if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_ON) {
            error_propagate(errp, err);
            goto out;
        }
        error_free(err);
        ret = vfio_kvm_msix_try_create(fd, &k->layout, errp);
    }

out:
    trace_vfio_kvm_msix_create(vdev->vbasedev.name, k->layout.nr_vectors,
                               k->layout.flags, ret);
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

/* The property that insists on the kernel's table, or NULL. */
static const char *vfio_kvm_msix_required(VFIOPCIDevice *vdev)
{
    if (vdev->kvm_msix_exit_free == ON_OFF_AUTO_ON) {
        return "x-kvm-msix-exit-free=on";
    }
    return vdev->kvm_msix_mode == ON_OFF_AUTO_ON ? "x-kvm-msix=on" : NULL;
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
    trace_vfio_kvm_msix_fallback(vdev->vbasedev.name, REMAPPED);
    vfio_kvm_msix_exit(vdev);
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
        trace_vfio_kvm_msix_fallback(vdev->vbasedev.name,
                                     error_get_pretty(err));
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
    if (k->memory) {
        /* The mapping would hold the function; but somebody may be reading. */
        mmap(k->memory, memory_region_size(&k->pages), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    close(k->fd);
    k->fd = -1;
}

/* Memory regions live until nobody can hold on to their owner any more. */
void vfio_kvm_msix_finalize(VFIOPCIDevice *vdev)
{
    VFIOKVMMSIX *k = vdev->kvm_msix;

    if (!k) {
        return;
    }
    object_unparent(OBJECT(&k->table));
    object_unparent(OBJECT(&k->pba));
    if (k->memory) {
        munmap(k->memory, memory_region_size(&k->pages));
        object_unparent(OBJECT(&k->pages));
    }
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
