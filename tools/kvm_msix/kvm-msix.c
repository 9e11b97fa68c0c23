// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-msix: look at the kvm_msix of this machine.
 *
 * What the module can do comes from /dev/kvm_msix, what its devices do from
 * debugfs. Nothing here changes anything.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/kvm_msix.h>
#include <linux/magic.h>

#define NODE	"/dev/kvm_msix"
#define MODULE	"/sys/module/kvm_msix"
#define DEBUGFS	"/sys/kernel/debug"
#define DEVICES	DEBUGFS "/kvm_msix"

static bool json;

static const char usage[] =
"usage: kvm-msix [--json] info           what the module in the kernel can do\n"
"       kvm-msix [--json] list           the devices, with their counters\n"
"       kvm-msix show PID-DEV            a device's table, decoded\n"
"       kvm-msix -h | --help | --version\n"
"See kvm-msix(8) and Documentation/virt/kvm_msix.rst.\n";

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

/* The loaded module's version; "" if it has none, as one of a kernel's own tree. */
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

	if (json)
		printf("{\"version\": \"%s\", \"capabilities\": [", version);
	else
		printf("version %s\ncapabilities ",
		       version[0] ? version : "unknown");
	for (i = 0; capabilities[i].name; i++) {
		if (!(info.capabilities & capabilities[i].bit))
			continue;
		printf(json ? "%s\"%s\"" : "%s%s", separator,
		       capabilities[i].name);
		separator = json ? ", " : " ";
	}
	printf(json ? "], \"max_vectors\": %u, \"max_gsi\": %u}\n" :
	       "\nmax_vectors %u\nmax_gsi %u\n", info.max_vectors,
	       info.max_gsi);

	if (version[0] && strcmp(version, VERSION))
		fprintf(stderr,
			"kvm-msix: the loaded module is version %s, this program %s; while no VM uses the module, load the installed one: rmmod kvm_msix && modprobe kvm_msix\n",
			version, VERSION);
	return EXIT_SUCCESS;
}

static FILE *open_file(const char *device, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, name);
	return fopen(path, "re");
}

/* One device: its name and its counters. Return: whether it is still there. */
static bool list_one(const char *device, bool first)
{
	unsigned long long value;
	char name[32];
	FILE *f;

	f = open_file(device, "stats");
	if (!f)
		return false;
	printf(json ? "%s{\"device\": \"%s\"" : "%s%s", json && !first ? ",\n " : "",
	       device);
	while (fscanf(f, "%31s %llu", name, &value) == 2)
		printf(json ? ", \"%s\": %llu" : " %s %llu", name, value);
	printf(json ? "}" : "\n");
	fclose(f);
	return true;
}

static int is_device(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int list(void)
{
	struct dirent **devices;
	bool first = true;
	int i, n;

	/* versionsort() has the process 181 before the process 1200. */
	n = scandir(DEVICES, &devices, is_device, versionsort);
	if (n < 0)
		return devices_failed();
	if (json)
		printf("[");
	for (i = 0; i < n; i++) {
		if (list_one(devices[i]->d_name, first))
			first = false;
		free(devices[i]);
	}
	if (json)
		printf("]\n");
	free(devices);
	return EXIT_SUCCESS;
}

static int show(const char *device)
{
	char line[256];
	FILE *f;

	if (strchr(device, '/') || device[0] == '.') {
		errno = EINVAL;
		return fail(device, "; a device is named PID-DEV, as list shows");
	}
	f = open_file(device, "table");
	if (!f && (errno != ENOENT || access(DEVICES, F_OK)))
		return devices_failed();
	if (!f)
		return fail(device, "; kvm-msix list shows the devices");
	while (fgets(line, sizeof(line), f))
		fputs(line, stdout);
	fclose(f);
	return EXIT_SUCCESS;
}

static int wrong_usage(const char *what, const char *which)
{
	fprintf(stderr, "kvm-msix: %s%s\n%s", what, which, usage);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ }
	};
	const char *command, *device = NULL;
	int (*run)(void) = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
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
	} else if (!strcmp(command, "show")) {
		if (json)
			return wrong_usage("show has no --json", "");
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
