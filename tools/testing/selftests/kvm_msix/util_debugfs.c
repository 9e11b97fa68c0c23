// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's and KVM's debugfs, see kvm_msix_util.h.
 */
#include <dirent.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "kvm_msix_util.h"

#define DEBUGFS		"/sys/kernel/debug"

static bool debugfs_is_there(void)
{
	struct stat st;

	if (stat(DEBUGFS "/kvm_msix", &st))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	return !stat(DEBUGFS "/kvm_msix", &st);
}

bool kvm_msix_has_counters(void)
{
	return debugfs_is_there();
}

typedef void (*entry_fn)(const char *path, void *arg);

/* Calls @fn for each "<pid>-..." in @dir; returns the number of calls. */
static int each_entry(const char *dir, pid_t pid, entry_fn fn, void *arg)
{
	char path[512], prefix[32];
	struct dirent *de;
	int n = 0;
	DIR *dirp;

	snprintf(prefix, sizeof(prefix), "%i-", pid);
	snprintf(path, sizeof(path), DEBUGFS "/%s", dir);
	dirp = opendir(path);
	if (!dirp)
		return 0;
	while ((de = readdir(dirp))) {
		if (strncmp(de->d_name, prefix, strlen(prefix)))
			continue;
		n++;
		snprintf(path, sizeof(path), DEBUGFS "/%s/%s", dir, de->d_name);
		if (fn)
			fn(path, arg);
	}
	closedir(dirp);
	return n;
}

int debugfs_entries(const char *dir, pid_t pid)
{
	return each_entry(dir, pid, NULL, NULL);
}

struct counter {
	const char *name;
	u64 sum;
	bool found;
};

static void add_counter(const char *path, void *arg)
{
	struct counter *c = arg;
	unsigned long long val;
	char file[600], name[64];
	FILE *f;

	snprintf(file, sizeof(file), "%s/stats", path);
	f = fopen(file, "r");
	TEST_ASSERT(f, "%s: %s", file, strerror(errno));
	while (fscanf(f, "%63s %llu%*[^\n]", name, &val) == 2) {
		if (!strcmp(name, c->name)) {
			c->sum += val;
			c->found = true;
		}
	}
	fclose(f);
}

u64 kvm_msix_counter(const char *name)
{
	struct counter c = { .name = name };

	each_entry("kvm_msix", getpid(), add_counter, &c);
	TEST_ASSERT(c.found, "no counter \"%s\" in " DEBUGFS "/kvm_msix/%i-*/stats", name,
		    getpid());
	return c.sum;
}

s64 kvm_msix_lost_events(void)
{
	if (!kvm_msix_has_counters())
		return 0;
	return kvm_msix_counter("events") - kvm_msix_counter("latched") -
	       kvm_msix_counter("coalesced") + kvm_msix_counter("released") -
	       kvm_msix_counter("delivered") - kvm_msix_counter("dropped");
}
