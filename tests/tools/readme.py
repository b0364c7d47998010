# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README.md tells its readers to write and to run, for the tests that do it."""

from __future__ import annotations

import pathlib
import re

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def inventory(replacements: dict[str, str] | None = None) -> str:
    """The inventory of the README with some of its values replaced; raises ValueError when one is not in it."""
    block = re.search(r"<!-- inventory\.yml.*?-->\n```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    if block is None:
        raise ValueError("README.md has no inventory")
    text = block[1]
    for old, new in (replacements or {}).items():
        if old not in text:
            raise ValueError(f"the README's inventory has no {old}")
        text = text.replace(old, new)
    return text


def playbooks() -> list[str]:
    """The collection's playbooks in the order in which the README runs them, with their options."""
    lines = re.findall(r"^    ansible-playbook -i inventory\.yml (northgate\.edge\..*)$", README.read_text("utf-8"), re.MULTILINE)
    if not lines:
        raise ValueError("README.md runs no playbook")
    return lines
