// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-msix: show the state of kvm_msix on this machine.
 *
 * The module's capabilities come from /dev/kvm_msix, the devices' state from
 * debugfs, the VM of a device from /proc, and the host devices of a VM from /proc
 * and sysfs. The program only reads.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm_msix.h>
#include <linux/magic.h>
#include <linux/pci_regs.h>

#define NODE	"/dev/kvm_msix"
#define MODULE	"/sys/module/kvm_msix"
#define DEBUGFS	"/sys/kernel/debug"
#define DEVICES	DEBUGFS "/kvm_msix"

/* A vector that may send, but has been pending for this long, has lost a message. */
#define STUCK_MS	1000

#define MAX_HOSTS	16

typedef unsigned long long u64;

/* The statistics of a vector, with the names of debugfs and of the stats fd. */
enum statistic {
	MASK_CHANGES, EVENTS, LATCHED, COALESCED, RELEASED, DELIVERED, DROPPED, DROPPED_ADDRESS,
	DROPPED_MODE, DROPPED_DESTINATION, POSTS, UNPOSTS,
	NR_COUNTERS,
	POSTED = NR_COUNTERS, PENDING, EVENT_AGE, PENDING_AGE,
	NR_STATS
};

static const struct {
	const char *name;
	const char *help;
} stats[NR_STATS] = {
	[MASK_CHANGES] = { "mask_changes", "Changes of the mask bit that the module saw" },
	[EVENTS] = { "events", "Signals of the device" },
	[LATCHED] = { "latched", "Events that set the pending bit" },
	[COALESCED] = { "coalesced", "Events that found the pending bit set" },
	[RELEASED] = { "released", "Pending messages that were sent" },
	[DELIVERED] = { "delivered", "Messages that an APIC took" },
	[DROPPED] = { "dropped", "Messages that no APIC took" },
	[DROPPED_ADDRESS] = { "dropped_address", "Messages to no MSI address" },
	[DROPPED_MODE] = { "dropped_mode", "Messages of a reserved delivery mode" },
	[DROPPED_DESTINATION] = { "dropped_destination", "Messages to no vCPU that is on" },
	[POSTS] = { "posts", "How often the vector was posted" },
	[UNPOSTS] = { "unposts", "How often the vector was remapped after that" },
	[POSTED] = { "posted", "Whether the vector is posted" },
	[PENDING] = { "pending", "Whether the pending bit is set" },
	[EVENT_AGE] = { "event_age", "Time since the last event" },
	[PENDING_AGE] = { "pending_age", "Time since the pending bit was set" },
};

struct vector {
	u64 address;
	unsigned int data;
	unsigned int control;
	bool bound;
	int gsi;		/* -1: none */
	u64 stat[NR_STATS];
};

struct device {
	char name[32];		/* PID-DEV */
	unsigned int pid;
	char vm[64];
	char host[MAX_HOSTS][16];
	int nr_hosts;		/* more than one: host[] has candidates */
	unsigned int nr;
	unsigned int control;	/* Message Control: Enable, Function Mask */
	bool exit_free;
	bool ext_dest_id;
	struct vector *vector;
};

/* All devices at one moment. */
struct sample {
	struct timespec when;
	struct device *device;
	int nr;
};

static const char *const sort_names[] = { "events", "pending", "masks", "dropped", "device" };

static struct {
	bool json;
	bool once;
	double interval;	/* 0: not set */
	const char *vm;
	const char *device;
	int vector;		/* -1: all */
	unsigned int sort;	/* index of sort_names */
} opt = { .vector = -1 };

static const char usage[] =
"usage: kvm-msix [--json] info           what the module in the kernel can do\n"
"       kvm-msix [--json] [-i SECONDS] list\n"
"                                        the devices, with their counters; with -i, what is\n"
"                                        counted in each so many seconds\n"
"       kvm-msix [--json] show PID-DEV   a device's table, decoded\n"
"       kvm-msix [OPTION]... top         the vectors in use, live; q quits, s sorts by another column\n"
"           --once [--json]              once instead\n"
"           -i SECONDS                   look so often; default 1\n"
"           --sort events|pending|masks|dropped|device\n"
"           --vm NAME|PID  --device PID-DEV|HOST-ADDRESS  --vector NUMBER\n"
"                                        only these\n"
"       kvm-msix [--vm ...] [--device ...] [--vector ...] prometheus\n"
"                                        all counters, as Prometheus reads them\n"
"       kvm-msix -h | --help | --version\n"
"See kvm-msix(8) and Documentation/virt/kvm_msix.rst.\n";

/*
 * Errors of reading, with advice.
 */

static int fail(const char *what, const char *advice)
{
	fprintf(stderr, "kvm-msix: %s: %s%s\n", what, strerror(errno), advice);
	return EXIT_FAILURE;
}

static int node_failed(void)
{
	switch (errno) {
	case ENOENT:
		return fail(NODE, "; load the module: modprobe kvm_msix");
	case EACCES:
		return fail(NODE, "; run kvm-msix as root, or join group kvm");
	default:
		return fail(NODE, "");
	}
}

static int devices_failed(void)
{
	struct statfs fs;
	int err = errno;

	switch (err) {
	case ENOENT:
		if (statfs(DEBUGFS, &fs) || fs.f_type != DEBUGFS_MAGIC) {
			fputs("kvm-msix: no debugfs at " DEBUGFS
			      "; mount it: mount -t debugfs none " DEBUGFS "\n",
			      stderr);
			return EXIT_FAILURE;
		}
		errno = err;
		return fail(DEVICES, "; load the module: modprobe kvm_msix");
	case EACCES:
		return fail(DEVICES, "; only root can read debugfs");
	default:
		return fail(DEVICES, "");
	}
}

static void out_of_memory(void)
{
	fputs("kvm-msix: out of memory\n", stderr);
	exit(EXIT_FAILURE);
}

/*
 * info
 */

/* The loaded module's version; "" for a module without, as of a kernel's own tree. */
static void read_version(char *version, int size)
{
	FILE *f = fopen(MODULE "/version", "re");

	version[0] = '\0';
	if (!f)
		return;
	if (fgets(version, size, f))
		version[strcspn(version, "\n")] = '\0';
	fclose(f);
}

static int info(void)
{
	static const struct {
		unsigned long long bit;
		const char *name;
	} capabilities[] = {
		{ KVM_MSIX_CAP_LAZY, "lazy" },
		{ KVM_MSIX_CAP_EXT_DEST_ID, "ext-dest-id" },
		{ KVM_MSIX_CAP_GSI, "gsi" },
		{ KVM_MSIX_CAP_MMAP, "mmap" },
		{ KVM_MSIX_CAP_HOST_POSTS, "host-posts" },
		{ KVM_MSIX_CAP_POSTED, "posted" },
		{ KVM_MSIX_CAP_STATS, "stats" },
		{ KVM_MSIX_CAP_BIND_ADD, "bind-add" },
		{ }
	};
	struct kvm_msix_info info = { .size = sizeof(info) };
	const char *separator = "";
	char version[64];
	size_t i;
	int fd;

	fd = open(NODE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return node_failed();
	if (ioctl(fd, KVM_MSIX_INFO, &info))
		return fail("KVM_MSIX_INFO", "");
	close(fd);
	read_version(version, sizeof(version));

	if (opt.json)
		printf("{\"version\": \"%s\", \"capabilities\": [", version);
	else
		printf("version %s\ncapabilities ",
		       version[0] ? version : "unknown");
	for (i = 0; capabilities[i].name; i++) {
		if (!(info.capabilities & capabilities[i].bit))
			continue;
		printf(opt.json ? "%s\"%s\"" : "%s%s", separator,
		       capabilities[i].name);
		separator = opt.json ? ", " : " ";
	}
	printf(opt.json ? "], \"max_vectors\": %u, \"max_gsi\": %u}\n" :
	       "\nmax_vectors %u\nmax_gsi %u\n", info.max_vectors,
	       info.max_gsi);

	if (version[0] && strcmp(version, VERSION))
		fprintf(stderr,
			"kvm-msix: the loaded module is version %s, this program %s; while no VM uses the module, load the installed one: rmmod kvm_msix && modprobe kvm_msix\n",
			version, VERSION);
	return EXIT_SUCCESS;
}

/*
 * The VM and the host device of a device: /proc, sysfs.
 */

static bool read_file(const char *path, char *buf, size_t size, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return false;
	buf[n] = '\0';
	*len = n;
	return true;
}

/* The VM's name by QEMU's option -name guest=NAME,..., else the program's name. */
static void find_vm_name(struct device *d)
{
	char path[64], args[65536], *arg, *end;
	bool is_name = false;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%u/cmdline", d->pid);
	if (read_file(path, args, sizeof(args), &len)) {
		for (arg = args; arg < args + len; arg += strlen(arg) + 1) {
			if (is_name) {
				end = strstr(arg, "guest=");
				arg = end ? end + strlen("guest=") : arg;
				snprintf(d->vm, sizeof(d->vm), "%.*s", (int)strcspn(arg, ","), arg);
				return;
			}
			is_name = !strcmp(arg, "-name") || !strcmp(arg, "--name");
		}
	}
	snprintf(path, sizeof(path), "/proc/%u/comm", d->pid);
	if (read_file(path, args, sizeof(args), &len))
		snprintf(d->vm, sizeof(d->vm), "%.*s", (int)strcspn(args, "\n"), args);
	else
		snprintf(d->vm, sizeof(d->vm), "?");
}

/* The number of vectors in the MSI-X capability of a host device; 0: no capability. */
static unsigned int host_vectors(const char *address)
{
	unsigned char config[PCI_CFG_SPACE_SIZE + 1];
	unsigned int at, hops;
	char path[300];
	size_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
	if (!read_file(path, (char *)config, sizeof(config), &len) || len < PCI_CFG_SPACE_SIZE)
		return 0;
	at = config[PCI_CAPABILITY_LIST];
	for (hops = 0; at >= PCI_STD_HEADER_SIZEOF && hops < 48; hops++) {
		at &= ~3u;
		if (config[at] == PCI_CAP_ID_MSIX) {
			at += PCI_MSIX_FLAGS;
			return ((config[at] | config[at + 1] << 8) & PCI_MSIX_FLAGS_QSIZE) + 1;
		}
		at = config[at + PCI_CAP_LIST_NEXT];
	}
	return 0;
}

static void add_host(struct device *d, const char *address)
{
	int i;

	if (d->nr_hosts == MAX_HOSTS || host_vectors(address) != d->nr)
		return;
	for (i = 0; i < d->nr_hosts; i++)
		if (!strcmp(d->host[i], address))
			return;
	snprintf(d->host[d->nr_hosts++], sizeof(d->host[0]), "%s", address);
}

/* @target is an open file of the VMM, perhaps a group or device of VFIO. */
static void add_hosts_of_file(struct device *d, const char *target)
{
	char path[128], link[256];
	struct dirent *entry;
	unsigned int nr;
	ssize_t len;
	DIR *dir;
	int end = 0;

	if (sscanf(target, "/dev/vfio/%u%n", &nr, &end) == 1 && !target[end]) {
		snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices", nr);
		dir = opendir(path);
		while (dir && (entry = readdir(dir)))
			if (entry->d_name[0] != '.')
				add_host(d, entry->d_name);
		if (dir)
			closedir(dir);
	} else if (sscanf(target, "/dev/vfio/devices/vfio%u%n", &nr, &end) == 1 && !target[end]) {
		snprintf(path, sizeof(path), "/sys/class/vfio-dev/vfio%u/device", nr);
		len = readlink(path, link, sizeof(link) - 1);
		link[len < 0 ? 0 : len] = '\0';
		if (strrchr(link, '/'))
			add_host(d, strrchr(link, '/') + 1);
	}
}

/*
 * The module knows eventfds, not host devices. Find devices that the VMM has opened
 * by VFIO and whose table has as many vectors.
 */
static void find_hosts(struct device *d)
{
	char path[64], target[256];
	struct dirent *entry;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/fd", d->pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		add_hosts_of_file(d, target);
	}
	if (dir)
		closedir(dir);
}

/*
 * The state of a device: debugfs.
 */

static FILE *open_file(const char *device, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, name);
	return fopen(path, "re");
}

static int is_device(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static bool has_word(const char *line, const char *word)
{
	const char *at = line;
	size_t len = strlen(word);

	while ((at = strstr(at, word))) {
		if (at > line && at[-1] == ' ' && !isgraph((unsigned char)at[len]))
			return true;
		at += len;
	}
	return false;
}

/* The file "table" has a first line, and then a line for each vector. */
static bool read_table(struct device *d)
{
	FILE *f = open_file(d->name, "table");
	char line[256], *gsi, *end;
	struct vector *v;
	unsigned int nr;

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f) ||
	    sscanf(line, "vectors %u control %x", &d->nr, &d->control) != 2) {
		fclose(f);
		return false;
	}
	d->exit_free = has_word(line, "exit-free");
	d->ext_dest_id = has_word(line, "ext-dest-id");
	d->vector = calloc(d->nr, sizeof(*d->vector));
	if (!d->vector)
		out_of_memory();
	while (fgets(line, sizeof(line), f)) {
		nr = strtoul(line, &end, 10);
		if (nr >= d->nr)
			continue;
		v = &d->vector[nr];
		if (sscanf(end, " address %llx data %x control %x", &v->address, &v->data,
			   &v->control) != 3)
			continue;
		v->bound = has_word(line, "bound");
		gsi = strstr(line, " gsi ");
		v->gsi = gsi ? atoi(gsi + strlen(" gsi ")) : -1;
	}
	fclose(f);
	return true;
}

/* The file "vectors" has a line for each vector: number, then names and values. */
static bool read_vectors(struct device *d)
{
	FILE *f = open_file(d->name, "vectors");
	char line[1024], name[32], *at;
	unsigned int nr;
	int i, len;
	u64 value;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		nr = strtoul(line, &at, 10);
		if (nr >= d->nr)
			continue;
		for (; sscanf(at, " %31s %llu%n", name, &value, &len) == 2; at += len)
			for (i = 0; i < NR_STATS; i++)
				if (!strcmp(name, stats[i].name))
					d->vector[nr].stat[i] = value;
	}
	fclose(f);
	return true;
}

static bool is_wanted(const struct device *d)
{
	char *end;
	int i;

	if (opt.vm && strcmp(opt.vm, d->vm) &&
	    (strtoul(opt.vm, &end, 10) != d->pid || *end))
		return false;
	if (!opt.device || !strcmp(opt.device, d->name))
		return true;
	for (i = 0; i < d->nr_hosts; i++)
		if (!strcmp(opt.device, d->host[i]) || !strcmp(opt.device, d->host[i] + 5))
			return true;
	return false;
}

static const struct device *find_device(const struct sample *s, const char *name)
{
	int i;

	for (i = 0; i < s->nr; i++)
		if (!strcmp(s->device[i].name, name))
			return &s->device[i];
	return NULL;
}

/*
 * @known: the device of this name in the last sample, or NULL. VM and host device
 * of a device do not change.
 * Return: whether the device is still there.
 */
static bool read_device(struct device *d, const char *name, const struct device *known)
{
	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%.31s", name);
	d->pid = strtoul(name, NULL, 10);
	if (!read_table(d))
		return false;
	if (!read_vectors(d)) {
		free(d->vector);
		return false;
	}
	if (known && known->nr == d->nr) {
		memcpy(d->vm, known->vm, sizeof(d->vm));
		memcpy(d->host, known->host, sizeof(d->host));
		d->nr_hosts = known->nr_hosts;
	} else {
		find_vm_name(d);
		find_hosts(d);
	}
	return true;
}

static void free_sample(struct sample *s)
{
	int i;

	for (i = 0; i < s->nr; i++)
		free(s->device[i].vector);
	free(s->device);
	memset(s, 0, sizeof(*s));
}

/* Read all devices of the filter. Return: whether debugfs could be read. */
static bool take_sample(struct sample *s, const struct sample *before)
{
	const struct device *known;
	struct dirent **entries;
	struct device *d;
	int i, n;

	memset(s, 0, sizeof(*s));
	/* versionsort() sorts process 181 before process 1200. */
	n = scandir(DEVICES, &entries, is_device, versionsort);
	if (n < 0)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &s->when);
	s->device = calloc(n + 1, sizeof(*s->device));
	if (!s->device)
		out_of_memory();
	for (i = 0; i < n; i++) {
		d = &s->device[s->nr];
		known = find_device(before, entries[i]->d_name);
		if (read_device(d, entries[i]->d_name, known)) {
			if (is_wanted(d))
				s->nr++;
			else
				free(d->vector);
		}
		free(entries[i]);
	}
	free(entries);
	return true;
}

static double seconds_between(const struct sample *from, const struct sample *to)
{
	return to->when.tv_sec - from->when.tv_sec + (to->when.tv_nsec - from->when.tv_nsec) / 1e9;
}

/*
 * Judgement of a vector.
 */

static bool is_masked(const struct vector *v)
{
	return v->control & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/* Has a vector that may send been pending for longer than a message can take? */
static bool is_stuck(const struct device *d, const struct vector *v)
{
	return v->stat[PENDING] && v->stat[PENDING_AGE] >= STUCK_MS && !is_masked(v) &&
	       d->control == PCI_MSIX_FLAGS_ENABLE;
}

static bool books_balance(const struct vector *v)
{
	return v->stat[EVENTS] - v->stat[LATCHED] - v->stat[COALESCED] + v->stat[RELEASED] ==
	       v->stat[DELIVERED] + v->stat[DROPPED];
}

static bool is_used(const struct vector *v)
{
	return v->bound || v->stat[EVENTS] || v->stat[PENDING];
}

static const char *mode_of(const struct device *d, const struct vector *v)
{
	return v->stat[POSTED] ? "posted" : d->exit_free ? "exit-free" : "trapped";
}

/* Intel SDM volume 3, "Message Signalled Interrupts"; KVM_FEATURE_MSI_EXT_DEST_ID. */
struct destination {
	bool valid;
	bool logical;
	bool all;
	unsigned int id;	/* APIC id, which is the vCPU's id, unless logical or all */
	unsigned int vector;
	const char *delivery;
};

static struct destination destination_of(const struct device *d, const struct vector *v)
{
	static const char *const delivery[] = {
		"fixed", "lowest", "SMI", "reserved", "NMI", "INIT", "reserved", "ExtINT"
	};
	unsigned int lo = v->address, hi = v->address >> 32;
	struct destination to = {
		.valid = lo >> 20 == 0xfee,
		.logical = lo & 4,
		.id = lo >> 12 & 0xff,
		.vector = v->data & 0xff,
		.delivery = delivery[v->data >> 8 & 7],
	};

	if (d->ext_dest_id)
		to.id |= (lo >> 5 & 0x7f) << 8;
	to.id |= hi & ~0xffu;
	to.all = to.id == 0xff;
	return to;
}

static void describe_destination(const struct device *d, const struct vector *v, char *text,
				 size_t size)
{
	struct destination to = destination_of(d, v);

	if (!to.valid)
		snprintf(text, size, "none");
	else if (to.all)
		snprintf(text, size, "all vCPUs vector %u %s", to.vector, to.delivery);
	else if (to.logical)
		snprintf(text, size, "logical %#x vector %u %s", to.id, to.vector, to.delivery);
	else
		snprintf(text, size, "vCPU %u vector %u %s", to.id, to.vector, to.delivery);
}

/*
 * JSON
 */

static void json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < ' ')
			printf("\\u%04x", *s);
		else
			putchar(*s);
	}
	putchar('"');
}

static const char *json_bool(bool b)
{
	return b ? "true" : "false";
}

static void json_destination(const struct device *d, const struct vector *v)
{
	struct destination to = destination_of(d, v);

	if (!to.valid) {
		printf("null");
		return;
	}
	printf("{\"mode\": \"%s\", \"id\": %u, \"vcpu\": ", to.logical ? "logical" : "physical",
	       to.id);
	if (to.logical || to.all)
		printf("null");
	else
		printf("%u", to.id);
	printf(", \"vector\": %u, \"delivery\": \"%s\"}", to.vector, to.delivery);
}

static double rate(const struct vector *v, const struct vector *before, enum statistic stat,
		   double seconds)
{
	/* A new device with the number of an earlier device counts from 0. */
	if (!before || seconds <= 0 || v->stat[stat] < before->stat[stat])
		return 0;
	return (v->stat[stat] - before->stat[stat]) / seconds;
}

/* @before: the same vector @seconds ago; NULL: print no rates. */
static void json_vector(const struct device *d, unsigned int nr, const struct vector *before,
			double seconds)
{
	const struct vector *v = &d->vector[nr];
	const char *separator = "";
	int i;

	printf("{\"vector\": %u, \"mode\": \"%s\", \"bound\": %s, \"masked\": %s, ", nr,
	       mode_of(d, v), json_bool(v->bound), json_bool(is_masked(v)));
	printf("\"pending\": %s, ", json_bool(v->stat[PENDING]));
	printf("\"pending_age\": %.3f, \"event_age\": %.3f, ", v->stat[PENDING_AGE] / 1e3,
	       v->stat[EVENT_AGE] / 1e3);
	printf("\"address\": \"0x%016llx\", \"data\": \"0x%08x\", \"control\": \"0x%08x\", ",
	       v->address, v->data, v->control);
	printf(v->gsi < 0 ? "\"gsi\": null" : "\"gsi\": %i", v->gsi);
	printf(", \"destination\": ");
	json_destination(d, v);
	printf(", \"stuck\": %s, \"books_balance\": %s, \"counters\": {", json_bool(is_stuck(d, v)),
	       json_bool(books_balance(v)));
	for (i = 0; i < NR_COUNTERS; i++, separator = ", ")
		printf("%s\"%s\": %llu", separator, stats[i].name, v->stat[i]);
	putchar('}');
	if (seconds > 0) {
		printf(", \"rates\": {");
		for (i = 0, separator = ""; i < NR_COUNTERS; i++, separator = ", ")
			printf("%s\"%s\": %.1f", separator, stats[i].name,
			       rate(v, before, i, seconds));
		putchar('}');
	}
	putchar('}');
}

/* @all: also print vectors that are not in use. */
static void json_device(const struct device *d, const struct device *before, double seconds,
			bool all)
{
	const char *separator = "";
	unsigned int v;
	int i;

	printf("{\"device\": \"%s\", \"vm\": ", d->name);
	json_string(d->vm);
	printf(", \"pid\": %u, \"host\": [", d->pid);
	for (i = 0; i < d->nr_hosts; i++)
		printf("%s\"%s\"", i ? ", " : "", d->host[i]);
	printf("], \"mode\": \"%s\", \"enabled\": %s, \"function_masked\": %s, ",
	       d->exit_free ? "exit-free" : "trapped",
	       json_bool(d->control & PCI_MSIX_FLAGS_ENABLE),
	       json_bool(d->control & PCI_MSIX_FLAGS_MASKALL));
	printf("\"nr_vectors\": %u,\n  \"vectors\": [", d->nr);
	for (v = 0; v < d->nr; v++) {
		if (!all && !is_used(&d->vector[v]))
			continue;
		if (opt.vector >= 0 && v != (unsigned int)opt.vector)
			continue;
		printf("%s", separator);
		json_vector(d, v, before && v < before->nr ? &before->vector[v] : NULL, seconds);
		separator = ",\n   ";
	}
	printf("]}");
}

/*
 * list
 */

struct counter {
	char name[32];
	u64 value;
};

struct counters {
	char device[32];
	struct counter counter[64];
	int nr;
};

static bool read_counters(struct counters *c, const char *device)
{
	FILE *f = open_file(device, "stats");

	if (!f)
		return false;
	snprintf(c->device, sizeof(c->device), "%.31s", device);
	for (c->nr = 0; c->nr < 64; c->nr++)
		if (fscanf(f, "%31s %llu", c->counter[c->nr].name, &c->counter[c->nr].value) != 2)
			break;
	fclose(f);
	return true;
}

/* Subtract the counters of the same device in @before. */
static void subtract(struct counters *c, const struct counters *before, int nr)
{
	int i, j;

	for (i = 0; i < nr; i++) {
		if (strcmp(before[i].device, c->device))
			continue;
		for (j = 0; j < c->nr; j++)
			c->counter[j].value -= before[i].counter[j].value;
	}
}

static void print_counters(const struct counters *c, bool first)
{
	int i;

	printf(opt.json ? "%s{\"device\": \"%s\"" : "%s%s", opt.json && !first ? ",\n " : "",
	       c->device);
	for (i = 0; i < c->nr; i++)
		printf(opt.json ? ", \"%s\": %llu" : " %s %llu", c->counter[i].name,
		       c->counter[i].value);
	printf(opt.json ? "}" : "\n");
}

static void sleep_for(double seconds)
{
	struct timespec ts = { seconds, (seconds - (time_t)seconds) * 1e9 };

	nanosleep(&ts, NULL);
}

static int list(void)
{
	struct counters *now = NULL, *before = NULL, change;
	struct dirent **devices;
	int i, n, nr, nr_before = 0;

	do {
		n = scandir(DEVICES, &devices, is_device, versionsort);
		if (n < 0)
			return devices_failed();
		now = calloc(n + 1, sizeof(*now));
		if (!now)
			out_of_memory();
		if (opt.json)
			printf("[");
		for (i = 0, nr = 0; i < n; i++) {
			if (read_counters(&now[nr], devices[i]->d_name)) {
				change = now[nr];
				subtract(&change, before, nr_before);
				print_counters(&change, !nr);
				nr++;
			}
			free(devices[i]);
		}
		if (opt.json)
			printf("]\n");
		else if (opt.interval)
			printf("\n");
		fflush(stdout);
		free(devices);
		free(before);
		before = now;
		nr_before = nr;
		sleep_for(opt.interval);
	} while (opt.interval && !ferror(stdout));
	free(before);
	return EXIT_SUCCESS;
}

/*
 * show
 */

static int show(const char *device)
{
	struct device d;
	char line[256];
	FILE *f;

	if (strchr(device, '/') || device[0] == '.') {
		errno = EINVAL;
		return fail(device, "; a device is named PID-DEV, as list shows");
	}
	f = open_file(device, "table");
	if (!f && (errno != ENOENT || access(DEVICES, F_OK)))
		return devices_failed();
	if (!f || (opt.json && !read_device(&d, device, NULL)))
		return fail(device, "; kvm-msix list shows the devices");
	if (opt.json) {
		json_device(&d, NULL, 0, true);
		putchar('\n');
		free(d.vector);
	} else {
		while (fgets(line, sizeof(line), f))
			fputs(line, stdout);
	}
	fclose(f);
	return EXIT_SUCCESS;
}

/*
 * prometheus
 */

static void print_label(const char *name, const char *value)
{
	printf("%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			printf("\\n");
		else
			printf(*value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
	}
	putchar('"');
}

static void print_labels(const struct device *d)
{
	putchar('{');
	print_label("vm", d->vm);
	putchar(',');
	print_label("device", d->name);
	putchar(',');
	print_label("host", d->nr_hosts == 1 ? d->host[0] : "");
}

static void print_metric(const struct sample *s, enum statistic stat)
{
	const char *type = stat < NR_COUNTERS ? "counter" : "gauge", *suffix = "";
	bool is_age = stat == EVENT_AGE || stat == PENDING_AGE;
	const struct device *d;
	unsigned int v;

	if (stat < NR_COUNTERS)
		suffix = "_total";
	else if (is_age)
		suffix = "_seconds";
	printf("# HELP kvm_msix_%s%s %s\n# TYPE kvm_msix_%s%s %s\n", stats[stat].name, suffix,
	       stats[stat].help, stats[stat].name, suffix, type);
	for (d = s->device; d < s->device + s->nr; d++) {
		for (v = 0; v < d->nr; v++) {
			if (!is_used(&d->vector[v]) ||
			    (opt.vector >= 0 && v != (unsigned int)opt.vector))
				continue;
			printf("kvm_msix_%s%s", stats[stat].name, suffix);
			print_labels(d);
			printf(",vector=\"%u\"} ", v);
			if (is_age)
				printf("%.3f\n", d->vector[v].stat[stat] / 1e3);
			else
				printf("%llu\n", d->vector[v].stat[stat]);
		}
	}
}

static int prometheus(void)
{
	const struct sample none = { };
	struct sample s;
	int i;

	if (!take_sample(&s, &none))
		return devices_failed();
	for (i = 0; i < NR_STATS; i++)
		print_metric(&s, i);
	free_sample(&s);
	return EXIT_SUCCESS;
}

/*
 * top
 */

/* A vector in use, on one line. */
struct row {
	const struct device *d;
	const struct vector *v;
	unsigned int nr;
	double rate[NR_COUNTERS];
};

struct rows {
	struct row *row;
	int nr;
};

static struct rows make_rows(const struct sample *now, const struct sample *before)
{
	double seconds = seconds_between(before, now);
	const struct device *d, *old;
	struct rows rows = { };
	struct row *row;
	unsigned int v, room = 0;
	int i;

	for (d = now->device; d < now->device + now->nr; d++)
		room += d->nr;
	rows.row = calloc(room + 1, sizeof(*rows.row));
	if (!rows.row)
		out_of_memory();
	for (d = now->device; d < now->device + now->nr; d++) {
		old = find_device(before, d->name);
		for (v = 0; v < d->nr; v++) {
			if (!is_used(&d->vector[v]) ||
			    (opt.vector >= 0 && v != (unsigned int)opt.vector))
				continue;
			row = &rows.row[rows.nr++];
			row->d = d;
			row->v = &d->vector[v];
			row->nr = v;
			for (i = 0; i < NR_COUNTERS; i++)
				row->rate[i] = rate(row->v, old && v < old->nr ? &old->vector[v] :
						    NULL, i, seconds);
		}
	}
	return rows;
}

static bool is_bad(const struct row *row)
{
	return is_stuck(row->d, row->v) || !books_balance(row->v);
}

static double sort_key(const struct row *row)
{
	switch (opt.sort) {
	case 0:
		return row->rate[EVENTS];
	case 1:
		return row->v->stat[PENDING_AGE];
	case 2:
		return row->rate[MASK_CHANGES];
	case 3:
		return row->v->stat[DROPPED];
	default:
		return 0;
	}
}

/* Sort faulty vectors first, then by the key, then by device and vector. */
static int compare_rows(const void *one, const void *other)
{
	const struct row *a = one, *b = other;
	double x = sort_key(a), y = sort_key(b);

	if (is_bad(a) != is_bad(b))
		return is_bad(b) - is_bad(a);
	if (x != y)
		return x < y ? 1 : -1;
	if (a->d != b->d)
		return a->d < b->d ? -1 : 1;
	return a->nr < b->nr ? -1 : 1;
}

/* Print a line of the screen, cut to @width, in red if @red. */
__attribute__((format(printf, 3, 4)))
static void print_line(int width, bool red, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (isatty(STDOUT_FILENO))
		printf(red ? "\033[31m%.*s\033[0m\033[K\n" : "%.*s\033[K\n", width, line);
	else
		printf("%s\n", line);
}

static void print_summary(const struct sample *now, const struct rows *rows, int width)
{
	double events = 0, delivered = 0;
	int i, pending = 0, vms = 0;
	u64 oldest = 0;

	for (i = 0; i < rows->nr; i++) {
		events += rows->row[i].rate[EVENTS];
		delivered += rows->row[i].rate[DELIVERED];
		pending += !!rows->row[i].v->stat[PENDING];
		if (rows->row[i].v->stat[PENDING_AGE] > oldest)
			oldest = rows->row[i].v->stat[PENDING_AGE];
	}
	/* Devices are in the order of processes. */
	for (i = 0; i < now->nr; i++)
		vms += !i || now->device[i].pid != now->device[i - 1].pid;
	print_line(width, false,
		   "VMs %i  devices %i  vectors %i  events/s %.0f  sent/s %.0f  pending %i (%.1f s)  by %s",
		   vms, now->nr, rows->nr, events, delivered, pending, oldest / 1e3,
		   sort_names[opt.sort]);
}

static void print_row(const struct row *row, int width)
{
	const struct device *d = row->d;
	const struct vector *v = row->v;
	char vm[32], host[20] = "-", age[16] = "-", to[64];

	snprintf(vm, sizeof(vm), "%.12s(%u)", d->vm, d->pid);
	if (d->nr_hosts)
		snprintf(host, sizeof(host), "%s%s", d->host[0], d->nr_hosts > 1 ? "?" : "");
	if (v->stat[PENDING])
		snprintf(age, sizeof(age), "%.1f s", v->stat[PENDING_AGE] / 1e3);
	describe_destination(d, v, to, sizeof(to));
	print_line(width, is_bad(row),
		   "%-18s %-8s %-12s %4u %-9s %-7s %8.1f %7.1f %6.1f %7.1f %7llu %s%s%s%s", vm,
		   d->name, host, row->nr, mode_of(d, v), age, row->rate[EVENTS],
		   row->rate[DELIVERED], row->rate[COALESCED],
		   row->rate[MASK_CHANGES], v->stat[DROPPED], is_stuck(d, v) ? "STUCK " : "",
		   books_balance(v) ? "" : "BOOKS ", to, is_masked(v) ? " masked" : "");
}

/* @lines: number of lines of the screen; 0: no screen. */
static void draw(const struct sample *now, const struct sample *before, int lines, int width)
{
	struct rows rows = make_rows(now, before);
	int i;

	qsort(rows.row, rows.nr, sizeof(*rows.row), compare_rows);
	print_summary(now, &rows, width);
	print_line(width, false, "%-18s %-8s %-12s %4s %-9s %-7s %8s %7s %6s %7s %7s %s", "VM(PID)",
		   "DEVICE", "HOST", "VEC", "MODE", "PENDING", "EVENTS/s", "SENT/s", "COAL/s",
		   "MASKS/s", "DROPPED", "DESTINATION");
	for (i = 0; i < rows.nr && (!lines || i < lines - 3); i++)
		print_row(&rows.row[i], width);
	free(rows.row);
}

static void top_json(const struct sample *now, const struct sample *before)
{
	double seconds = seconds_between(before, now);
	int i;

	printf("{\"interval\": %.3f, \"devices\": [", seconds);
	for (i = 0; i < now->nr; i++) {
		printf("%s\n ", i ? "," : "");
		json_device(&now->device[i], find_device(before, now->device[i].name), seconds,
			    false);
	}
	printf("]}\n");
}

static struct termios saved_terminal;
static const char screen_on[] = "\033[?1049h\033[?25l", screen_off[] = "\033[?25h\033[?1049l";

static void end_screen(void)
{
	if (write(STDOUT_FILENO, screen_off, strlen(screen_off)) < 0)
		return;		/* the terminal is gone */
	tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
}

/* Call only async-signal-safe functions. */
static void on_signal(int sig)
{
	end_screen();
	_exit(128 + sig);
}

/* Switch to the alternate screen, without a cursor, and read keys unbuffered. */
static void start_screen(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct termios raw;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	tcgetattr(STDIN_FILENO, &saved_terminal);
	raw = saved_terminal;
	raw.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs(screen_on, stdout);
}

/* Wait for a key until the next sample is due. Return: the key, or 0. */
static int wait_for_key(double seconds)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char key = 0;

	if (poll(&in, 1, seconds * 1000) > 0 && read(STDIN_FILENO, &key, 1) != 1)
		key = 'q';
	return key;
}

static void draw_screen(const struct sample *now, const struct sample *before)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	fputs("\033[H", stdout);
	draw(now, before, size.ws_row, size.ws_col);
	fputs("\033[J", stdout);
	fflush(stdout);
}

static int top_live(void)
{
	struct sample before = { }, now;
	int key;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fputs("kvm-msix: top needs a terminal; or use top --once\n", stderr);
		return EXIT_FAILURE;
	}
	if (!take_sample(&now, &before))
		return devices_failed();
	start_screen();
	for (;;) {
		draw_screen(&now, before.nr ? &before : &now);
		key = wait_for_key(opt.interval);
		if (key == 'q')
			break;
		if (key == 's') {
			opt.sort = (opt.sort + 1) % (sizeof(sort_names) / sizeof(*sort_names));
			continue;
		}
		free_sample(&before);
		before = now;
		if (!take_sample(&now, &before)) {
			end_screen();
			return devices_failed();
		}
	}
	end_screen();
	free_sample(&before);
	free_sample(&now);
	return EXIT_SUCCESS;
}

static int top(void)
{
	const struct sample none = { };
	struct sample before, now;

	if (!opt.interval)
		opt.interval = 1;
	if (!opt.once)
		return top_live();
	if (!take_sample(&before, &none))
		return devices_failed();
	sleep_for(opt.interval);
	if (!take_sample(&now, &before))
		return devices_failed();
	if (opt.json)
		top_json(&now, &before);
	else
		draw(&now, &before, 0, 512);
	free_sample(&before);
	free_sample(&now);
	return EXIT_SUCCESS;
}

/*
 * The command line.
 */

static int wrong_usage(const char *what, const char *which)
{
	fprintf(stderr, "kvm-msix: %s%s\n%s", what, which, usage);
	return 2;
}

static bool parse_sort(const char *name)
{
	for (opt.sort = 0; opt.sort < sizeof(sort_names) / sizeof(*sort_names); opt.sort++)
		if (!strcmp(name, sort_names[opt.sort]))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "once", no_argument, NULL, 'o' },
		{ "interval", required_argument, NULL, 'i' },
		{ "sort", required_argument, NULL, 's' },
		{ "vm", required_argument, NULL, 'v' },
		{ "device", required_argument, NULL, 'd' },
		{ "vector", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ }
	};
	const char *command, *device = NULL;
	int (*run)(void) = NULL;
	int option;
	char *end;

	while ((option = getopt_long(argc, argv, "hi:", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			opt.json = true;
			break;
		case 'o':
			opt.once = true;
			break;
		case 'i':
			opt.interval = strtod(optarg, &end);
			if (*end || !(opt.interval >= 0.1 && opt.interval <= 86400))
				return wrong_usage("-i needs 0.1 to 86400 seconds, not ", optarg);
			break;
		case 's':
			if (!parse_sort(optarg))
				return wrong_usage("--sort knows no ", optarg);
			break;
		case 'v':
			opt.vm = optarg;
			break;
		case 'd':
			opt.device = optarg;
			break;
		case 'n':
			opt.vector = strtol(optarg, &end, 10);
			if (*end || end == optarg || opt.vector < 0)
				return wrong_usage("--vector needs a number, not ", optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("kvm-msix " VERSION);
			return EXIT_SUCCESS;
		default:	/* getopt_long() has said what is wrong. */
			fputs(usage, stderr);
			return 2;
		}
	}

	if (optind == argc)
		return wrong_usage("which command?", "");
	command = argv[optind++];
	if (!strcmp(command, "info")) {
		run = info;
	} else if (!strcmp(command, "list")) {
		run = list;
	} else if (!strcmp(command, "top")) {
		if (opt.json && !opt.once)
			return wrong_usage("top has --json with --once only", "");
		run = top;
	} else if (!strcmp(command, "prometheus")) {
		run = prometheus;
	} else if (!strcmp(command, "show")) {
		if (optind == argc)
			return wrong_usage("show needs the name of a device, as list shows", "");
		device = argv[optind++];
	} else {
		return wrong_usage("no such command: ", command);
	}
	if (optind < argc)
		return wrong_usage("one argument too many: ", argv[optind]);

	return run ? run() : show(device);
}
