# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The devices that the guest is given, each for its layout. Sourced, never run.
#
#   e1000e        table and PBA on pages of their own in a BAR of their own
#   ivshmem-N     table and PBA on one page (but 2048), in a BAR of their own; N vectors
#   nvme          table and PBA on pages of their own in the registers' BAR, which has 64 bits; function-level reset
#   xhci          table and PBA on one page of the registers' BAR, which has 64 bits
#   megasas       table and PBA in the registers' BAR, behind a register page's first bytes

# shellcheck disable=SC2034
{
	all_layouts=(e1000e ivshmem-1 ivshmem-65 ivshmem-2048 nvme xhci megasas)
	short_runs=(e1000e.qemu e1000e.kernel ivshmem-65.kernel ivshmem-65.memory)
}

# The columns of a layout. Memory takes a host interrupt for each vector.
columns_of() {
	echo hw qemu kernel
	[[ $1 == ivshmem-2048 ]] || echo memory
}

vectors_of() {
	case $1 in
	e1000e) echo 5 ;;
	ivshmem-*) echo "${1#*-}" ;;
	nvme) echo 65 ;;
	xhci) echo 16 ;;
	megasas) echo 15 ;;
	esac
}

# As tools/testing/lab/run's --device has it.
lab_device() {
	case $1 in
	ivshmem-*) echo "ivshmem=${1#*-}" ;;
	*) echo "$1" ;;
	esac
}
