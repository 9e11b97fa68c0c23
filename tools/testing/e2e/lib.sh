# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts here have in common. Sourced, never run.
#
# "Host" is the lab's machine (L1), which hosts the guest (L2). Results are files of lines "KEY VALUE...", in a directory
# that the host shares with the machine which runs the lab (L0).

e2e_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=../lab/lib.sh
. "$e2e_dir/../lab/lib.sh"
e2e_top=$(cd -- "$e2e_dir/../../.." && pwd -P)

# value FILE KEY: what the last line of that key says; nothing if there is none.
value() {
	[[ ! -e $1 ]] || awk -v key="$2" '$1 == key { sub(/^[^ ]+ ?/, ""); v = $0 } END { print v }' "$1"
}

# On L0: all that a run with kernel $1 needs, made or found in the cache: sets $module, $stock_qemu, $patched_qemu (unless
# it is set already), $host_posts, and $vmm, the options for what never changes.
# shellcheck disable=SC2034
prepare() {
	local cost initrd
	eval "$("$lab_dir/kernel" "$1")"
	say "building kvm_msix.ko for ${KVER:?} ..."
	make -s -C "$e2e_top" KDIR="${KDIR:?}" >&2
	module=$e2e_top/build/$KVER/drivers/virt/kvm_msix/kvm_msix.ko
	cost=$(cached "e2e/msix_cost-$KVER-$(cat "$e2e_dir"/msix_cost/* | digest).ko" build_cost)
	initrd=$("$lab_dir/guest-initrd" --kernel "$1" --init "$e2e_dir/guest-init" --file "$cost=msix_cost.ko")
	vmm=(--kernel "${VMLINUX:?}" --initrd "$initrd")
	host_posts=$(cached "e2e/host_posts-$(cat "$e2e_dir/host_posts.c" "$e2e_top/include/uapi/linux/kvm_msix.h" | digest).so" \
		build_host_posts)
	bare=$(cached "e2e/bare-$(cat "$e2e_dir"/bare/* | digest)" build_bare)
	need qemu-system-x86_64
	stock_qemu=$(command -v qemu-system-x86_64)
	patched_qemu=${patched_qemu:-$("$e2e_top/integrations/qemu/build" | tail -n 1)}
	[[ -x $patched_qemu ]] || die "there is no QEMU $patched_qemu"
}

build_cost() {
	mkdir "$1.dir"
	cp "$e2e_dir"/msix_cost/* "$1.dir"
	make -s -C "$KDIR" M="$1.dir" W=1
	mv "$1.dir/msix_cost.ko" "$1"
	rm -r "$1.dir"
}

# What has QEMU believe that the host posts interrupts.
build_host_posts() {
	gcc -shared -fPIC -O2 -Wall -Wextra -I "$e2e_top/include/uapi" -o "$1" "$e2e_dir/host_posts.c"
}

# The guests that are nothing else.
build_bare() {
	local guest
	mkdir "$1"
	for guest in cost enable reenable controls; do
		gcc -m32 -O2 -Wall -Wextra -ffreestanding -fno-pie -fno-stack-protector \
			-fno-asynchronous-unwind-tables -mno-sse -nostdlib -static -no-pie -Wl,-n -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments \
			-Wl,--build-id=none -Wl,-Ttext=0x100000 \
			-o "$1/$guest" "$e2e_dir/bare/$guest.c"
	done
}

# On the host: host_vm NAME MB OPTION...: run vmm, with results in $out/NAME. With MB other than 0, the VM has an NVMe disk
# too, on which the host writes MB of data before, and reads them and what the guest wrote behind them afterwards. The
# host's results are in $out/NAME/host. The VM's card is an e1000e, or what $E2E_CARD is for assign.
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

# results DIR: set $out to DIR, which then is kept, or to a new directory that is not.
results() {
	if [[ $1 ]]; then
		mkdir -p "$1"
		out=$(realpath "$1")
	else
		out=$(mktemp -d)
		trap 'rm -rf -- "$out"' EXIT
	fi
}

# measure_cost SERIES OUT: what accesses cost, in a lab that counts instructions: to OUT/bare and OUT/linux for the two
# guests. No timeouts in there: while the machine waits for its files its clock leaps ahead.
# shellcheck disable=SC2154
measure_cost() {
	"$lab_dir/run" --icount --kernel "$1" --module "$module" --device e1000e --share "$2" --timeout 900 \
		--log "$2/host-log" -- "$e2e_dir/host-cost" "$2" "$bare/cost" "$stock_qemu" "$patched_qemu" "${vmm[@]}" \
		--timeout 0 --smp 1 >&2
	for file in "$2"/{bare,linux}/{qemu,kernel,memory}/boot1; do
		[[ $(cost_of "$file" mask_unmask) ]] || die "nothing was measured, $file"
	done
}

# measure_enable SERIES OUT COUNT...: what it takes until a guest uses all vectors of a device that has COUNT of them, to
# OUT/COUNT; the last one is the largest. A CPU of the lab has some 200 interrupts for them.
# shellcheck disable=SC2154
measure_enable() {
	local series=$1 to=$2 count devices=() file
	shift 2
	for count; do devices+=(--device "ivshmem=$count"); done
	"$lab_dir/run" --icount --smp $((${!#} / 180 + 1)) --kernel "$series" --module "$module" "${devices[@]}" \
		--share "$to" --timeout 1800 --log "$to/host-log" -- "$e2e_dir/host-enable" "$to" "$bare/enable" \
		"$stock_qemu" "$patched_qemu" "$*" "${vmm[@]}" --timeout 0 --smp 1 >&2
	for count; do
		for file in "$to/$count"/{qemu,kernel,memory}; do
			[[ $(cost_of "$file/boot1" in_use) ]] || die "nothing was measured, $file"
			# The device cannot be reset, which is no matter. A vector that could not be had would be.
			! grep -v 'Cannot reset device' "$file/qemu" >&2 || die "QEMU complains, $file"
		done
	done
}

# cost_of FILE WHAT: the median that was measured; and what A is to B.
cost_of() { value "$1" "cost.$2" | cut -d' ' -f2; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f\n", a / b }'; }
