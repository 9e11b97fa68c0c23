// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-msix: look at the kvm_msix of this machine.
 *
 * What the module can do comes from /dev/kvm_msix, what its devices do from
 * debugfs. Nothing here changes anything.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm_msix.h>

#define NODE	"/dev/kvm_msix"
#define DEBUGFS	"/sys/kernel/debug/kvm_msix"

static bool json;

static const char usage[] =
"usage: kvm-msix [--json] info           what the module in the kernel can do\n"
"       kvm-msix [--json] list           the devices, with their counters\n"
"       kvm-msix show PID-DEV            a device's table, decoded\n"
"       kvm-msix --help | --version\n"
"See kvm-msix(8) and Documentation/virt/kvm_msix.rst.\n";

static int fail(const char *what, const char *advice)
{
	fprintf(stderr, "kvm-msix: %s: %s%s\n", what, strerror(errno), advice);
	return EXIT_FAILURE;
}

static int open_failed(const char *what)
{
	switch (errno) {
	case ENOENT:
		return fail(what, "; load the module: modprobe kvm_msix");
	case EACCES:
	case EPERM:
		return fail(what, "; try again as root");
	default:
		return fail(what, "");
	}
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
		{ }
	};
	struct kvm_msix_info info = { .size = sizeof(info) };
	const char *separator = "";
	size_t i;
	int fd;

	fd = open(NODE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_failed(NODE);
	if (ioctl(fd, KVM_MSIX_INFO, &info))
		return fail("KVM_MSIX_INFO", "");
	close(fd);

	printf(json ? "{\"capabilities\": [" : "capabilities ");
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
	return EXIT_SUCCESS;
}

static FILE *open_file(const char *device, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", device, name);
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

static int list(void)
{
	bool first = true;
	struct dirent *e;
	DIR *dir;

	dir = opendir(DEBUGFS);
	if (!dir)
		return open_failed(DEBUGFS);
	if (json)
		printf("[");
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (list_one(e->d_name, first))
			first = false;
	}
	if (json)
		printf("]\n");
	closedir(dir);
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
	if (!f)
		return fail(device, "; kvm-msix list shows the devices");
	while (fgets(line, sizeof(line), f))
		fputs(line, stdout);
	fclose(f);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ }
	};
	const char *command;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
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
		default:
			fputs(usage, stderr);
			return 2;
		}
	}

	command = optind < argc ? argv[optind++] : "";
	if (!strcmp(command, "info") && optind == argc)
		return info();
	if (!strcmp(command, "list") && optind == argc)
		return list();
	if (!strcmp(command, "show") && optind == argc - 1 && !json)
		return show(argv[optind]);
	fputs(usage, stderr);
	return 2;
}
