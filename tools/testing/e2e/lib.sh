# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Library of the scripts here. Sourced, never run.
#
# "Host" is the lab's machine (L1), which hosts the guest (L2). Results are files of lines "KEY VALUE...", in a
# directory that the host shares with the machine that runs the lab (L0).

e2e_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../lab/lib.sh
. "$e2e_dir/../lab/lib.sh"
e2e_top=$(cd -- "$e2e_dir/../../.." && pwd -P)

# value FILE KEY: print the value of the last line of KEY, if there is one.
value() {
	[[ ! -e $1 ]] || awk -v key="$2" '$1 == key { sub(/^[^ ]+ ?/, ""); v = $0 } END { print v }' "$1"
}

# prepare SERIES: on L0, make all that a run with this kernel needs, or find it in the cache. Sets $module, $stock_qemu,
# $host_posts, $bare, $patched_qemu (which may be set to a series or, to keep it, to a file), and $vmm, the constant
# options.
# shellcheck disable=SC2034
prepare() {
	local cost initrd
	build_module "$1"
	make -s -C "$e2e_top" tool >&2
	cost=$(cached "e2e/msix_cost-$KVER-$(cat "$e2e_dir"/msix_cost/* | digest).ko" build_cost)
	initrd=$("$lab_dir/guest-initrd" --kernel "$1" --init "$e2e_dir/guest-init" --file "$cost=msix_cost.ko")
	vmm=(--kernel "${VMLINUX:?}" --initrd "$initrd")
	host_posts=$(cached "e2e/host_posts-$(cat "$e2e_dir/host_posts.c" "$e2e_top/include/uapi/linux/kvm_msix.h" | digest).so" \
		build_host_posts)
	bare=$(cached "e2e/bare-$(cat "$e2e_dir"/bare/* | digest)" build_bare)
	need qemu-system-x86_64
	stock_qemu=$(command -v qemu-system-x86_64)
	[[ $patched_qemu == */* ]] ||
		patched_qemu=$("$e2e_top/integrations/qemu/build" --series "${patched_qemu:-7.2}" | tail -n 1)
	[[ -x $patched_qemu ]] || die "there is no QEMU $patched_qemu"
}

build_cost() {
	mkdir "$1.dir"
	cp "$e2e_dir"/msix_cost/* "$1.dir"
	"${KMAKE[@]}" -s -C "$KDIR" M="$1.dir" W=1
	mv "$1.dir/msix_cost.ko" "$1"
	rm -r "$1.dir"
}

# The library that makes QEMU believe that the host posts interrupts.
build_host_posts() {
	gcc -shared -fPIC -O2 -Wall -Wextra -I "$e2e_top/include/uapi" -o "$1" "$e2e_dir/host_posts.c"
}

# The guests without an operating system.
build_bare() {
	local guest
	mkdir "$1"
	for guest in cost enable reenable controls migrate; do
		gcc -m32 -O2 -Wall -Wextra -ffreestanding -fno-pie -fno-stack-protector \
			-fno-asynchronous-unwind-tables -mno-sse -nostdlib -static -no-pie -Wl,-n -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments \
			-Wl,--build-id=none -Wl,-Ttext=0x100000 \
			-o "$1/$guest" "$e2e_dir/bare/$guest.c"
	done
}

# host_vm NAME MB OPTION...: on the host, run vmm, with results in $out/NAME. If MB is not 0, the VM also has an NVMe
# disk: the host first writes MB of data to the disk, and afterwards reads these data and the guest's data, which
# follow. The host's results are in $out/NAME/host. The VM's card is an e1000e, or the device that assign finds as
# $E2E_CARD.
host_vm() {
	local to=$out/$1 mb=$2 disk='' sum=none status devices attempt
	shift 2
	mkdir -p "$to"
	if ((mb)); then
		disk=$("$lab_dir/assign" nvme)
		sum=$("$e2e_dir/disk" "$disk" fill "$mb")
	fi
	devices=$("$lab_dir/assign" ${disk:+"$disk"} "${E2E_CARD:-e1000e}")
	for ((attempt = 1; attempt <= 6; attempt++)); do
		status=0
		# shellcheck disable=SC2086
		"$e2e_dir/vmm" --out "$to" --set "mb=$mb" --set "sum=$sum" "$@" -- $devices || status=$?
		((status == 125)) || break
		say "the emulator lost a vCPU in attempt $attempt"
	done
	{
		echo "status $status"
		echo "attempts $attempt"
		if ((mb)); then
			echo "host_data $sum"
			echo "host_data_afterwards $("$e2e_dir/disk" "$disk" sum 0 "$mb")"
			echo "guest_data_afterwards $("$e2e_dir/disk" "$disk" sum "$mb" \
				"$(value "$to/boot1" disk_written_mb | grep . || echo 0)")"
		fi
	} >"$to/host"
}

# results DIR: set $out to DIR, or, if DIR is empty, to a new directory that is removed at the end.
results() {
	if [[ $1 ]]; then
		mkdir -p "$1"
		out=$(realpath "$1")
	else
		out=$(mktemp -d)
		trap 'rm -rf -- "$out"' EXIT
	fi
}

# peer QEMU: print qemu-VERSION=QEMU, a PEER for measure_cost and measure_enable.
peer() {
	local version
	version=$("$1" --version | sed -n 's/^QEMU emulator version \([0-9]*\.[0-9]*\).*/\1/p')
	[[ $version ]] || die "$1 does not say its version"
	printf 'qemu-%s=%s\n' "$version" "$1"
}

# measure_cost SERIES OUT PEER...: measure accesses in a lab that counts instructions; results of the two guests are in
# OUT/bare and OUT/linux. Use no timeouts in the lab: its clock leaps ahead while the machine waits for files.
# shellcheck disable=SC2154
measure_cost() {
	local series=$1 to=$2 guest where
	shift 2
	"$lab_dir/run" --icount --kernel "$series" --module "$module" --device e1000e --share "$to" --timeout 1800 \
		--log "$to/host-log" -- "$e2e_dir/host-cost" "$to" "$bare/cost" "$patched_qemu" "$@" -- "${vmm[@]}" \
		--timeout 0 --smp 1 >&2
	for guest in bare linux; do
		for where in "${@%%=*}" kernel memory; do
			[[ $(cost_of "$to/$guest/$where/boot1" mask_unmask) ]] ||
				die "nothing was measured, $to/$guest/$where/boot1"
		done
	done
}

# measure_enable SERIES OUT COUNTS PEER...: for a device with each COUNT of vectors, measure how long a guest takes to
# use all vectors; results are in OUT/COUNT. The last of COUNTS is the largest. A CPU of the lab has some 200 interrupts
# for the vectors.
# shellcheck disable=SC2154
measure_enable() {
	local series=$1 to=$2 counts count devices=() file
	read -ra counts <<<"$3"
	shift 3
	for count in "${counts[@]}"; do devices+=(--device "ivshmem=$count"); done
	"$lab_dir/run" --icount --smp $((counts[-1] / 180 + 1)) --kernel "$series" --module "$module" "${devices[@]}" \
		--share "$to" --timeout 3600 --log "$to/host-log" -- "$e2e_dir/host-enable" "$to" "$bare/enable" \
		"${counts[*]}" "$patched_qemu" "$@" -- "${vmm[@]}" --timeout 0 --smp 1 >&2
	for count in "${counts[@]}"; do
		for file in "${@%%=*}" kernel memory; do
			file=$to/$count/$file
			[[ $(cost_of "$file/boot1" in_use) ]] || die "nothing was measured, $file"
			# The device cannot be reset, which does not matter. Newer QEMU warns of features that the
			# kernel lacks. A vector that could not be set up is an error.
			! grep -v -e 'Cannot reset device' -e ': warning: ' "$file/qemu" >&2 || die "QEMU complains, $file"
		done
	done
}

# cost_of FILE WHAT: print the median of WHAT. ratio A B: print A / B.
cost_of() { value "$1" "cost.$2" | cut -d' ' -f2; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f\n", a / b }'; }
