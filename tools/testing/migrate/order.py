# SPDX-License-Identifier: GPL-2.0-only
#
# In which order a VMM saves a guest, by the kernel's trace: the device has stopped, then GET_STATE, then the local
# APICs. What GET_STATE sends, and what came before the device had stopped, then is in the APICs that are saved.

import os
import re

TRACEFS = "/sys/kernel/tracing"
PROBES = """\
r:kvm_msix_migrate/stopped migratable:e1000e_stop
r:kvm_msix_migrate/saved kvm_msix:kvm_msix_save
p:kvm_msix_migrate/get_apic kvm:kvm_apic_get_state
"""
EVENTS = "kvm_msix_migrate", "kvm_msix/kvm_msix_deliver"
LINE = re.compile(r"\( *(\d+|-+)\) \[\d+\] +\S+ +[\d.]+: (\w+): (.*)")


def write(file, text):
    with open(os.path.join(TRACEFS, file), "w") as f:
        f.write(text)


class Order:
    def __init__(self):
        write("tracing_on", "0")
        write("kprobe_events", PROBES)
        write("buffer_size_kb", "4096")
        write("options/record-tgid", "1")
        for event in EVENTS:
            write(f"events/{event}/enable", "1")

    def remove(self):
        for event in EVENTS:
            write(f"events/{event}/enable", "0")
        write("kprobe_events", "")

    def begin(self):
        write("trace", "")
        write("tracing_on", "1")

    def end(self, pid, device):
        """Return what is wrong with how that process saved its guest, whose function has this number; "" if nothing."""
        write("tracing_on", "0")
        with open(os.path.join(TRACEFS, "trace")) as trace:
            events = [match.groups() for match in map(LINE.search, trace) if match]
        names = [name if tgid == str(pid) else "" for tgid, name, _ in events]
        if "stopped" not in names:
            return "the device was not stopped"
        stopped = len(names) - names[::-1].index("stopped")
        if "get_apic" not in names[stopped:]:
            return "the local APICs were not read after the device had stopped"
        apic = names.index("get_apic", stopped)
        if "saved" not in names[stopped:apic]:
            return "the local APICs were read without a GET_STATE since the device had stopped"
        for _, name, text in events[apic:]:
            if name == "kvm_msix_deliver" and text.startswith(f"dev {device} "):
                return f"a message was sent after the local APICs had been read: {text}"
        return ""
