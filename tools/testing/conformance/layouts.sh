# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The devices that the conformance guest gets, each for its layout of table and PBA. Sourced, never run.
#
#   e1000e        table and PBA on pages of their own in a BAR of their own
#   ivshmem-N     N vectors; table and PBA in a BAR of their own, on one page unless N is 2048
#   nvme          table and PBA on pages of their own in the registers' BAR, which has 64 bits; function-level reset
#   xhci          table and PBA on one page of the registers' BAR, which has 64 bits
#   megasas       table and PBA in the registers' BAR, behind a register page's first bytes

# shellcheck disable=SC2034
{
	all_layouts=(e1000e ivshmem-1 ivshmem-65 ivshmem-2048 nvme xhci megasas)
	short_runs=(e1000e.qemu e1000e.kernel ivshmem-65.kernel ivshmem-65.memory)
}

# The columns of a layout. Column memory takes a host interrupt for each vector, of which the lab has fewer than 2048.
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

# The argument of tools/testing/lab/run's --device for a layout.
lab_device() {
	case $1 in
	ivshmem-*) echo "ivshmem=${1#*-}" ;;
	*) echo "$1" ;;
	esac
}
