# SPDX-License-Identifier: Apache-2.0
"""What the processors' final outputs must be, written without their code."""
