/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest says, on the first serial port. */
#ifndef CONFORMANCE_SERIAL_H
#define CONFORMANCE_SERIAL_H

#include "cpu.h"

void print(const char *s);
void print_number(u64 n);
void print_hex(u64 n);

#endif /* CONFORMANCE_SERIAL_H */
