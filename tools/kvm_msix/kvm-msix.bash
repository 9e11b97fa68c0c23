# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# bash completion for kvm-msix(8).

_kvm_msix() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words='info list show top prometheus'

	case $before in
	# Only root can read the devices' names.
	show | --device) words=$(kvm-msix list 2>/dev/null | cut -d ' ' -f 1) ;;
	--vm) words=$(kvm-msix prometheus 2>/dev/null | sed -n 's/.*{vm="\([^"]*\)".*/\1/p' | sort -u) ;;
	--sort) words='events pending masks dropped device' ;;
	info | list | top | prometheus | -i | --interval | --vector) words='' ;;
	esac
	[[ $word != -* ]] || words='--json --once --interval --sort --vm --device --vector --help --version'
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _kvm_msix kvm-msix
