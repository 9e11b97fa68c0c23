// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions with a table in guest memory, see kvm_msix_util.h. Each function has a
 * memory slot, with a number that KVM's library does not use.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "kvm_msix_util.h"

#define MAPPED_SLOT	1000

struct mapping {
	struct kvm_vm *vm;
	int vm_fd;
	int fd;		/* the function's fd; 0: unused */
	void *mem;
	u64 gpa;
};

static struct mapping mappings[1024];
static u32 nr_mappings;	/* ever used; while 0, close() has nothing to look up */
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

bool msix_mapped(void)
{
	return getenv("KVM_MSIX_MAPPED");
}

int msix_gsi(int gsi)
{
	return msix_mapped() ? -1 : gsi;
}

void msix_set_memory(struct kvm_vm *vm, u32 slot, u64 gpa, u64 size, void *mem)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa == NOWHERE ? 0 : gpa,
		.memory_size = gpa == NOWHERE ? 0 : size,
		.userspace_addr = (uintptr_t)mem,
	};

	MSIX_CHECK(__msix_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region));
}

static struct mapping *mapping_of(int fd)
{
	u32 i;

	for (i = 0; i < nr_mappings; i++)
		if (mappings[i].fd == fd)
			return &mappings[i];
	return NULL;
}

static struct mapping *mapping_new(void)
{
	struct mapping *map = mapping_of(0);

	if (map)
		return map;
	TEST_ASSERT(nr_mappings < ARRAY_SIZE(mappings), "too many functions");
	return &mappings[nr_mappings++];
}

/* A function outlives the fd of its VM, without which no slot can be changed. */
static bool can_move(const struct mapping *map)
{
	return fcntl(map->vm_fd, F_GETFD) >= 0;
}

static void mapping_move(struct mapping *map, u64 gpa)
{
	u32 slot = MAPPED_SLOT + (map - mappings);

	if (map->gpa == gpa || !can_move(map))
		return;
	if (map->gpa != NOWHERE)
		msix_set_memory(map->vm, slot, NOWHERE, 0, map->mem);
	if (gpa != NOWHERE)
		msix_set_memory(map->vm, slot, gpa, getpagesize(), map->mem);
	map->gpa = gpa;
}

int __wrap_close(int fd)
{
	struct mapping *map;

	pthread_mutex_lock(&mappings_lock);
	map = fd > 0 ? mapping_of(fd) : NULL;
	if (map) {
		mapping_move(map, NOWHERE);
		munmap(map->mem, getpagesize());
		map->fd = 0;
	}
	pthread_mutex_unlock(&mappings_lock);
	return __real_close(fd);
}

void *msix_map(int fd, u64 size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	return mem;
}

struct msix_dev msix_create_mapped(struct kvm_vm *vm, u32 nr, u32 flags)
{
	struct msix_dev d = { .nr = nr, .table = NOWHERE, .pba = NOWHERE };
	struct kvm_msix_create args = {
		.flags = flags | KVM_MSIX_CREATE_MMAP | KVM_MSIX_CREATE_MMAP_PBA,
		.vm_fd = vm->fd,
		.nr_vectors = nr,
		.pba_offset = MAPPED_PBA,
	};
	struct mapping *map;

	pthread_mutex_lock(&mappings_lock);
	map = mapping_new();
	d.fd = msix_create_args(&args);
	map->vm = vm;
	map->vm_fd = vm->fd;
	map->fd = d.fd;
	map->gpa = NOWHERE;
	map->mem = msix_map(d.fd, getpagesize());
	pthread_mutex_unlock(&mappings_lock);
	return d;
}

struct msix_dev msix_create(struct kvm_vm *vm, u32 nr, u32 flags)
{
	struct msix_dev d = { .nr = nr, .table = NOWHERE, .pba = NOWHERE };

	if (msix_mapped() && !(flags & KVM_MSIX_CREATE_LAZY) && nr * ENTRY_SIZE <= MAPPED_PBA)
		return msix_create_mapped(vm, nr, flags);
	MSIX_CHECK(__msix_create(vm->fd, nr, flags, &d.fd));
	return d;
}

void msix_set_addr(struct msix_dev *d, u64 table, u64 pba)
{
	struct mapping *map;

	pthread_mutex_lock(&mappings_lock);
	map = mapping_of(d->fd);
	if (map && can_move(map))
		mapping_move(map, table % getpagesize() == 0 && pba == table + MAPPED_PBA ?
				  table : NOWHERE);
	MSIX_CHECK(__msix_set_addr(d->fd, table, pba));
	pthread_mutex_unlock(&mappings_lock);
	d->table = table;
	d->pba = pba;
}
