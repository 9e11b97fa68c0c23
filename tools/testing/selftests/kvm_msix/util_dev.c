// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions of the kvm_msix selftests, see kvm_msix_util.h: the ioctls, the state,
 * the statistics, and the table as the guest sees it.
 */
#include "kvm_msix_util.h"

int __msix_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? errno : 0;
}

int __msix_create_args(struct kvm_msix_create *args, int *fd)
{
	int dev = msix_open();
	int err;

	args->size = sizeof(*args);
	*fd = ioctl(dev, KVM_MSIX_CREATE, args);
	err = *fd < 0 ? errno : 0;
	__real_close(dev);
	return err;
}

int __msix_create(int vm_fd, u32 nr, u32 flags, int *fd)
{
	struct kvm_msix_create args = {
		.flags = flags,
		.vm_fd = vm_fd,
		.nr_vectors = nr,
	};

	return __msix_create_args(&args, fd);
}

int __msix_set_addr(int fd, u64 table, u64 pba)
{
	struct kvm_msix_addr args = { .size = sizeof(args) };

	if (table != NOWHERE) {
		args.flags |= KVM_MSIX_ADDR_TABLE;
		args.table_gpa = table;
	}
	if (pba != NOWHERE) {
		args.flags |= KVM_MSIX_ADDR_PBA;
		args.pba_gpa = pba;
	}
	return __msix_ioctl(fd, KVM_MSIX_SET_ADDR, &args);
}

int __msix_bind_flags(int fd, u32 flags, u32 first, u32 count,
		      const struct kvm_msix_binding *bindings)
{
	struct kvm_msix_bind args = {
		.size = sizeof(args),
		.flags = flags,
		.first = first,
		.count = count,
		.bindings = (uintptr_t)bindings,
	};

	return __msix_ioctl(fd, KVM_MSIX_BIND, &args);
}

int __msix_bind(int fd, u32 first, u32 count, const struct kvm_msix_binding *bindings)
{
	return __msix_bind_flags(fd, 0, first, count, bindings);
}

int __msix_bind_one(int fd, u32 vector, int eventfd, int gsi)
{
	struct kvm_msix_binding v = { .eventfd = eventfd, .gsi = gsi };

	return __msix_bind(fd, vector, 1, &v);
}

int __msix_add(int fd, u32 vector, int eventfd)
{
	struct kvm_msix_binding v = { .eventfd = eventfd, .gsi = -1 };

	return __msix_bind_flags(fd, KVM_MSIX_BIND_ADD, vector, 1, &v);
}

int __msix_remove(int fd, u32 vector, int eventfd)
{
	struct kvm_msix_binding v = { .eventfd = eventfd, .gsi = -1 };

	return __msix_bind_flags(fd, KVM_MSIX_BIND_REMOVE, vector, 1, &v);
}

int __msix_control(int fd, u32 control)
{
	struct kvm_msix_control args = { .size = sizeof(args), .control = control };

	return __msix_ioctl(fd, KVM_MSIX_CONTROL, &args);
}

int __msix_reset(int fd)
{
	struct kvm_msix_reset args = { .size = sizeof(args) };

	return __msix_ioctl(fd, KVM_MSIX_RESET, &args);
}

int __msix_get_state(int fd, struct msix_state *s)
{
	struct kvm_msix_state args = {
		.size = sizeof(args),
		.nr_vectors = s->nr,
		.table = (uintptr_t)s->entry,
		.pba = (uintptr_t)s->pba,
	};
	int err = __msix_ioctl(fd, KVM_MSIX_GET_STATE, &args);

	s->control = args.control;
	return err;
}

int __msix_set_state(int fd, const struct msix_state *s)
{
	struct kvm_msix_state args = {
		.size = sizeof(args),
		.nr_vectors = s->nr,
		.control = s->control,
		.table = (uintptr_t)s->entry,
		.pba = (uintptr_t)s->pba,
	};

	return __msix_ioctl(fd, KVM_MSIX_SET_STATE, &args);
}

int __msix_set_gsi_routing(int fd, u32 nr, const struct kvm_irq_routing_entry *entries)
{
	struct kvm_msix_gsi_routing args = {
		.size = sizeof(args),
		.nr = nr,
		.entries = (uintptr_t)entries,
	};

	return __msix_ioctl(fd, KVM_MSIX_SET_GSI_ROUTING, &args);
}

int msix_create_args(struct kvm_msix_create *args)
{
	int fd;

	MSIX_CHECK(__msix_create_args(args, &fd));
	return fd;
}

void msix_bind_one(struct msix_dev *d, u32 vector, int eventfd, int gsi)
{
	MSIX_CHECK(__msix_bind_one(d->fd, vector, eventfd, gsi));
}

void msix_control(struct msix_dev *d, u32 control)
{
	MSIX_CHECK(__msix_control(d->fd, control));
}

void msix_reset(struct msix_dev *d)
{
	MSIX_CHECK(__msix_reset(d->fd));
}

int __msix_stats_fd(int fd, int *stats_fd)
{
	struct kvm_msix_stats_fd args = { .size = sizeof(args) };

	*stats_fd = ioctl(fd, KVM_MSIX_GET_STATS_FD, &args);
	return *stats_fd < 0 ? errno : 0;
}

int msix_stats_fd(struct msix_dev *d)
{
	int fd, err = __msix_stats_fd(d->fd, &fd);

	TEST_ASSERT(!err, "KVM_MSIX_GET_STATS_FD: %s", strerror(err));
	return fd;
}

void msix_stat_values(int stats_fd, const char *name, u32 first, u32 nr, u64 *value)
{
	struct kvm_stats_desc *descs, *desc;
	struct kvm_stats_header header;
	size_t size = nr * sizeof(*value);
	bool found = false;
	u32 i;

	read_stats_header(stats_fd, &header);
	descs = read_stats_descriptors(stats_fd, &header);
	for (i = 0; i < header.num_desc && !found; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (strcmp(desc->name, name))
			continue;
		found = true;
		TEST_ASSERT(first + nr <= desc->size, "%s has %u values", name, desc->size);
		TEST_ASSERT(pread(stats_fd, value, size, header.data_offset + desc->offset +
				  first * sizeof(*value)) == size, "%s: %s", name, strerror(errno));
	}
	free(descs);
	TEST_ASSERT(found, "no statistic \"%s\"", name);
}

u64 msix_stat(int stats_fd, const char *name, u32 vector)
{
	u64 value;

	msix_stat_values(stats_fd, name, vector, 1, &value);
	return value;
}

struct msix_state *msix_state_alloc(u32 nr)
{
	struct msix_state *s = calloc(1, sizeof(*s));

	TEST_ASSERT(s, "calloc");
	s->nr = nr;
	s->entry = calloc(nr, ENTRY_SIZE);
	s->pba = calloc(1, msix_pba_size(nr));
	TEST_ASSERT(s->entry && s->pba, "calloc");
	return s;
}

void msix_state_free(struct msix_state *s)
{
	free(s->entry);
	free(s->pba);
	free(s);
}

struct msix_state *msix_get_state(int fd, u32 nr)
{
	struct msix_state *s = msix_state_alloc(nr);

	MSIX_CHECK(__msix_get_state(fd, s));
	return s;
}

bool msix_state_equal(const struct msix_state *a, const struct msix_state *b)
{
	return a->nr == b->nr && a->control == b->control &&
	       !memcmp(a->entry, b->entry, a->nr * ENTRY_SIZE) &&
	       !memcmp(a->pba, b->pba, msix_pba_size(a->nr));
}

bool msix_state_is_reset(const struct msix_state *s)
{
	struct msix_state *fresh = msix_state_alloc(s->nr);
	bool equal;
	u32 i;

	for (i = 0; i < s->nr; i++)
		fresh->entry[i][ENTRY_CTRL / 4] = MASKED;
	equal = msix_state_equal(s, fresh);
	msix_state_free(fresh);
	return equal;
}

bool msix_pending(struct msix_dev *d, u32 vector)
{
	struct msix_state *s = msix_get_state(d->fd, d->nr);
	bool pending = s->pba[vector / 64] >> (vector % 64) & 1;

	msix_state_free(s);
	return pending;
}

/*
 * The table, by the guest.
 */

void entry_write(struct msix_vm *m, struct msix_dev *d, u32 vector, u32 field,
		 u32 val)
{
	guest_write(m, entry_gpa(d, vector, field), 4, val);
}

u32 entry_read(struct msix_vm *m, struct msix_dev *d, u32 vector, u32 field)
{
	return guest_read(m, entry_gpa(d, vector, field), 4);
}

void entry_program(struct msix_vm *m, struct msix_dev *d, u32 vector, u64 addr,
		   u32 data)
{
	guest_write(m, entry_gpa(d, vector, ENTRY_ADDR_LO), 8, addr);
	entry_write(m, d, vector, ENTRY_DATA, data);
}

void entry_mask(struct msix_vm *m, struct msix_dev *d, u32 vector)
{
	entry_write(m, d, vector, ENTRY_CTRL, MASKED);
}

void entry_unmask(struct msix_vm *m, struct msix_dev *d, u32 vector)
{
	entry_write(m, d, vector, ENTRY_CTRL, 0);
}

void msix_start(struct msix_vm *m, struct msix_dev *d, u8 first, int *event)
{
	u32 v;

	msix_set_addr(d, BAR_GPA, BAR_GPA + MAPPED_PBA);
	for (v = 0; v < d->nr; v++) {
		event[v] = event_create();
		msix_bind_one(d, v, event[v], -1);
		entry_program(m, d, v, MSI_ADDR(0), first + v);
	}
	msix_control(d, ENABLE);
}

bool pba_read(struct msix_vm *m, struct msix_dev *d, u32 vector)
{
	return guest_read(m, d->pba + vector / 64 * 8, 8) >> (vector % 64) & 1;
}

bool pba_clears(struct msix_vm *m, struct msix_dev *d, u32 vector)
{
	u32 ms;

	for (ms = 0; ms < 2000 && msix_mapped() && pba_read(m, d, vector); ms++)
		usleep(1000);
	/* KVM_MSIX_GET_STATE takes the vector's lock. */
	return !pba_read(m, d, vector) && !msix_pending(d, vector);
}
