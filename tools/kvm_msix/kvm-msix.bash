# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# bash completion for kvm-msix(8).

_kvm_msix() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words='info list show'

	case $before in
	# Only root can see the devices.
	show) words=$(kvm-msix list 2>/dev/null | cut -d ' ' -f 1) ;;
	info | list) words='' ;;
	esac
	[[ $word != -* ]] || words='--json --help --version'
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _kvm_msix kvm-msix
