# SPDX-License-Identifier: GPL-2.0-only
"""usage: gdb -nx -batch -ex "python out = 'OUT'" -x profile.py

Count the instructions of a guest's access: follow the lab's machine, in which
host-profile runs, from one access to the next of the same kind, one instruction
at a time. Write OUT/profile: for each kind, the instructions of one access and of
the guest until the next access, by module and by function."""

import bisect
import collections
import os

import gdb

# In cost.c's order. Each kind of access calls a different function.
ACCESSES = (
    ("empty write", "write_nothing", "floor"),
    ("empty read", "read_nothing", "floor"),
    ("read", "mmio_read_table", "kvm_msix"),
    ("mask", "mmio_write_table", "kvm_msix"),
)

# Number of accesses to skip first, which fill the caches.
SKIP = 50
# A function with fewer instructions counts as "other".
LEAST = 45


class Symbols:
    """The text symbols of kallsyms, as (name, module)."""

    def __init__(self, path):
        self.at = {}
        with open(path, encoding="ascii") as file:
            for line in file:
                word = line.split()
                if word[1] in "tTwW":
                    module = word[3].strip("[]") if len(word) > 3 else "kernel"
                    self.at[int(word[0], 16)] = (word[2], module)
        self.addresses = sorted(self.at)

    def find(self, pc):
        # The guest's code is in the lower half of the canonical addresses.
        if pc < 1 << 47:
            return ("guest", "guest")
        return self.at[self.addresses[bisect.bisect_right(self.addresses, pc) - 1]]

    def address(self, name, module):
        return next(a for a, symbol in self.at.items() if symbol == (name, module))


def program_counter():
    return int(gdb.parse_and_eval("$pc")) & (1 << 64) - 1


def profile(symbols, address):
    """{symbol: instructions} from one arrival at address to the next."""
    counts = collections.Counter()
    stop = gdb.Breakpoint(f"*{address:#x}", type=gdb.BP_HARDWARE_BREAKPOINT)
    stop.ignore_count = SKIP
    gdb.execute("continue", to_string=True)
    stop.delete()
    pc = address
    while pc != address or not counts:
        counts[symbols.find(pc)] += 1
        gdb.execute("stepi", to_string=True)
        pc = program_counter()
    return counts


def table(title, rows, file):
    print(f"{title:44}" + "".join(f"{what:>14}" for what, _, _ in ACCESSES), file=file)
    for text, numbers in rows:
        print(f"{text:44}" + "".join(f"{n:>14}" for n in numbers), file=file)


def report(profiles, file):
    modules = [collections.Counter() for _ in profiles]
    functions = [collections.Counter() for _ in profiles]
    for counts, by_module, by_function in zip(profiles, modules, functions):
        for (name, module), n in counts.items():
            by_module[module] += n
            much = max(p[name, module] for p in profiles) >= LEAST
            by_function[f"{name} [{module}]" if much else "other"] += n

    def rows(columns):
        names = sorted({name for column in columns for name in column}, key=lambda name: -columns[-1][name])
        return [(name, [column[name] for column in columns]) for name in names]

    total = ("all", [sum(counts.values()) for counts in profiles])
    table("executed instructions, in", rows(modules) + [total], file)
    print(file=file)
    table("of these, in", rows(functions), file)


def main(directory):
    symbols = Symbols(os.path.join(directory, "kallsyms"))
    gdb.execute("set architecture i386:x86-64", to_string=True)
    gdb.execute(f"target remote {directory}/gdb", to_string=True)
    with open(os.path.join(directory, "go"), "x", encoding="ascii"):
        pass
    profiles = [profile(symbols, symbols.address(name, module)) for _, name, module in ACCESSES]
    with open(os.path.join(directory, "profile"), "w", encoding="ascii") as file:
        report(profiles, file)
    gdb.execute("detach", to_string=True)


main(out)  # pylint: disable=undefined-variable
