# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What run and bochs have in common: the directory of a job, a command for an emulated machine; its clean-up; the
# verdict on its run. Sourced after lib.sh, never run.
#
# $job is the directory. init and bochs-init list the files in $job that the machine sees; the others are:
#   console    the kernel's output              emulator   the emulator's output
# The sourcing script sets $series, $timeout, $log and $keep, and after the boot $late and $status.

helpers=()

# start_job: make $job. When the script ends, the processes in $helpers are killed, and $job is removed unless $keep is
# set.
start_job() {
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	job=$(mktemp -d "${TMPDIR:-/tmp}/kvm_msix-lab.XXXXXXXX")
	log=${log:-$job/log}
}

# shellcheck disable=SC2317
clean_up() {
	local pid
	for pid in "${helpers[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	[[ $keep ]] || rm -rf -- "$job"
}

# write_command PATH COMMAND...: write the script that the machine's bash runs, with PATH as its search path.
write_command() {
	local name
	{
		printf 'export PATH=%q HOME=/root LANG=C.UTF-8 TERM=dumb KVM_MSIX_LAB=%q\n' "$1" "$series"
		for name in "${!KVM_MSIX_@}"; do printf 'export %s=%q\n' "$name" "${!name}"; done
		printf 'cd -- %q || exit\nexec' "$PWD"
		printf ' %q' "${@:2}"
		echo
	} >"$job/command"
}

# judge: exit with the status of the run, and report a failure.
judge() {
	local verdict=0
	{
		tr -d '\r' <"$job/console"
		if [[ -e $job/dmesg ]]; then
			echo "lab: dmesg follows"
			cat "$job/dmesg"
		fi
		if [[ -e $job/tainted ]]; then echo "lab: tainted $(cat "$job/tainted")"; fi
	} >"$log"
	"$lab_dir/check-log" "$log" >"$job/dirt" || verdict=$LAB_E_DIRTY

	if ((late && status)); then
		say "timeout: the machine was killed after $timeout s"
		verdict=$LAB_E_TIMEOUT
	elif [[ -e $job/error ]]; then
		say "error: $(cat "$job/error")"
		verdict=$LAB_E_BOOT
	elif [[ ! -e $job/status ]]; then
		if [[ -e $job/ready ]]; then
			say "error: the machine died under the command"
		else
			say "error: the machine did not get as far as the command"
		fi
		((verdict)) || verdict=$LAB_E_BOOT
	elif ((verdict)); then
		say "the command ended with $(cat "$job/status"), but the kernel's log is dirty"
	else
		exit "$(cat "$job/status")"
	fi
	grep -vE "warning: TCG doesn't support requested feature|^virtio_loop: |^fv_remove_watch: TODO" "$job/emulator" >&2 ||
		true
	if [[ -s $job/dirt ]]; then
		head -n 40 "$job/dirt"
	else
		tail -n 5 "$log"
	fi >&2
	[[ $log != "$job/"* ]] || keep=1
	say "the whole log: $log"
	exit "$verdict"
}
