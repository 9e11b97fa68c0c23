# SPDX-License-Identifier: GPL-2.0-only
#
# A QEMU process, which is one end of a migration; and a guest's console, which the guest takes along from one process
# to the next. The guest is one of e2e's: a line of its console that begins with "e2e: " is for us.

import collections
import json
import os
import re
import select
import socket
import subprocess
import time

# Of a device that does not log what it writes.
NO_LOG_OF_WRITES = "support device and IOMMU dirty tracking"
# Of a device whose configuration space is being loaded: QEMU has the BAR's address before the device decodes it.
BAR_NOT_DECODED = r".*vfio_container_dma_map.* = -14 \(Bad address\)\n.*: PCI peer-to-peer transactions.*\n"


class Failure(Exception):
    """What a test cannot go on from; the text says what was seen."""


class Vm:
    """QEMU, with a monitor (QMP) and a serial port that are sockets of ours."""

    started = []

    def __init__(self, command, log):
        monitor, theirs = socket.socketpair()
        self.serial, serial = socket.socketpair()
        self.log = log
        self.expected = 0
        command = command + [
            "-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "monitor,mode=control",
            "-chardev", f"socket,id=serial,fd={serial.fileno()}", "-serial", "chardev:serial"]
        with open(log, "w") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                            pass_fds=(theirs.fileno(), serial.fileno()))
        self.started.append(self)
        theirs.close()
        serial.close()
        monitor.settimeout(120)
        self.monitor = monitor.makefile("rw")
        self.receive("QMP")
        self.command("qmp_capabilities")

    @property
    def pid(self):
        return self.process.pid

    def receive(self, *keys):
        """The next message that has one of these keys; others are events."""
        while True:
            try:
                line = self.monitor.readline()
            except TimeoutError:
                line = ""
            if not line:
                raise Failure(f"QEMU does not answer; {self.messages()}")
            message = json.loads(line)
            for key in keys:
                if key in message:
                    return message

    def command(self, name, **arguments):
        self.monitor.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.monitor.flush()
        answer = self.receive("return", "error")
        if "error" in answer:
            raise Failure(f"{name}: {answer['error']['desc']}")
        return answer["return"]

    def monitor_command(self, line):
        """The answer of QEMU's other monitor, which is for people."""
        return self.command("human-monitor-command", **{"command-line": line})

    def wait_for(self, what, wanted, seconds=120):
        """Poll what() until it is one of wanted; return it."""
        end = time.monotonic() + seconds
        while True:
            seen = what()
            if seen in wanted:
                return seen
            if time.monotonic() > end:
                raise Failure(f"still {seen} after {seconds} s; {self.messages()}")
            time.sleep(0.1)

    def status(self):
        return self.command("query-status")["status"]

    def migration(self):
        return self.command("query-migrate").get("status", "none")

    def set_capabilities(self, **capabilities):
        self.command("migrate-set-capabilities", capabilities=[
            {"capability": name.replace("_", "-"), "state": state} for name, state in capabilities.items()])

    def messages(self):
        """What QEMU said, but for what any QEMU says here."""
        with open(self.log) as log:
            log.seek(self.expected)
            said = "".join(line for line in log if not re.search(NO_LOG_OF_WRITES, line))
            return re.sub(BAR_NOT_DECODED, "", said).strip()

    def expect_messages(self):
        """What QEMU has said up to now is as it should be."""
        self.expected = os.path.getsize(self.log)

    def quit(self):
        if self.process.poll() is None:
            try:
                self.command("quit")
            except (Failure, OSError):
                pass
        return self.wait()

    def wait(self, seconds=60):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure(f"QEMU did not end; {self.messages()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    @classmethod
    def kill_all(cls):
        for vm in cls.started:
            vm.kill()


class Console:
    """The guest's, a line at a time."""

    def __init__(self, log):
        self.log = open(log, "ab", buffering=0)
        self.rest = b""
        self.lines = collections.deque()
        self.serial = None

    def attach(self, vm):
        """From now on the guest is there. What it said elsewhere comes first."""
        while self.serial and self.read(0):
            pass
        self.serial = vm.serial

    def read(self, seconds):
        """Return whether there was something."""
        if not select.select([self.serial], [], [], seconds)[0]:
            return False
        data = self.serial.recv(65536)
        self.log.write(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            line = line.decode(errors="replace").rstrip("\r")
            if "e2e: " in line:
                self.lines.append(line.partition("e2e: ")[2])
        return bool(data)

    def line(self, seconds=90):
        """The next line for us."""
        end = time.monotonic() + seconds
        while not self.lines:
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                raise Failure(f"the guest is silent; its last words: {self.last_words()}")
        return self.lines.popleft()

    def expect(self, *wanted):
        """Skip to the line that is, or begins with, one of these words; return what follows."""
        while True:
            word, _, rest = self.line().partition(" ")
            if word in wanted:
                return rest

    def expect_number(self, wanted):
        """The number after that word. The guest's kernel may have put a message behind it."""
        return int(re.match(r"[0-9]+", self.expect(wanted)).group())

    def send(self, text):
        self.serial.sendall(text.encode())

    def last_words(self):
        with open(self.log.name, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 300))
            return log.read().decode(errors="replace").strip()
