# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP, websocket, TLS, TCP, UDP and SCTP clients of tests, with the standard library alone: for the lab's guests and for loopback."""
