# SPDX-License-Identifier: Apache-2.0
"""The three processors on a real cluster where everything fails in turn, against the oracle."""
