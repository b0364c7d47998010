# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents name what is there: tests, annotations, variables of the inventory."""

from __future__ import annotations

import pathlib
import re

from ansible_collections.northgate.edge.plugins.module_utils._core import address_pools, assign
from ansible_collections.northgate.edge.plugins.module_utils._kubernetes import annotations, load_balancers

ROOT = pathlib.Path(__file__).parents[3]
DOCUMENTS = {path: path.read_text("utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}


def test_tests_that_are_named_exist():
    defined = set()
    for directory in ("tests", "molecule"):
        for path in (ROOT / directory).rglob("test_*.py"):
            defined |= set(re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"`(test_\w+)`", text)}
    assert named and sorted(named - defined) == []


def test_all_annotations_are_described_and_those_that_protect_are_marked():
    text = (ROOT / "docs" / "ingress.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` (\*?) ?\|", text[text.index("## Annotations") :], re.MULTILINE))
    assert sorted(rows) == sorted(annotations._PARSERS)
    assert {name for name, mark in rows.items() if mark} == annotations.PROTECTING


def test_annotations_of_services_keys_of_pools_and_reasons_of_events_are_described():
    text = (ROOT / "docs" / "services.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    first = {name for row in rows for name in re.findall(r"`([A-Za-z_-]+)`", row)}
    reasons = {assign.EXHAUSTED, assign.NOT_AVAILABLE, assign.OVER_QUOTA, assign.NOT_OBSERVED, assign.NO_GROUP}
    assert {*load_balancers.PARSERS, *address_pools.KEYS, *reasons} - first == set()


def test_variables_of_the_inventory_are_used():
    files = (path for pattern in ("playbooks/*.yml", "plugins/**/*.py", "roles/*/*/*") for path in ROOT.glob(pattern))
    used = "".join(path.read_text("utf-8") for path in files if path.is_file())
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"\bnorthgate_[a-z_]+", text)}
    # A package of the lab has such a name, too.
    assert sorted(name for name in named - {"northgate_lab"} if name not in used) == []
