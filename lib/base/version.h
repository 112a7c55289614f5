// SPDX-License-Identifier: Apache-2.0
// The version that every program prints with --version.
#ifndef EE_BASE_VERSION_H
#define EE_BASE_VERSION_H

#define EE_VERSION "0.1.0"

#endif
