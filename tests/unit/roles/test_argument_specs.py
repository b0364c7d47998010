# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role's argument specification agrees with its defaults."""
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[3] / "roles").iterdir() if path.is_dir())


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


@pytest.fixture(params=ROLES, ids=lambda path: path.name)
def role(request):
    return request.param


@pytest.fixture
def options(role):
    return load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def described(options, prefix=""):
    """All options with those of their elements, by dotted name."""
    for name, option in options.items():
        yield prefix + name, option
        yield from described(option.get("options", {}), f"{prefix}{name}.")


def test_every_option_is_typed_and_described(options):
    for name, option in described(options):
        assert option.get("description"), name
        assert option.get("type"), name
        assert option["type"] != "list" or option.get("elements"), name


def test_every_variable_has_the_role_as_prefix(role, options):
    assert [name for name in options if not name.startswith(f"{role.name}_")] == []


def test_defaults_are_those_that_are_described(role, options):
    defaults = load(role / "defaults/main.yml")
    assert set(defaults) == {name for name, option in options.items() if not option.get("required")}
    computed = {name for name, value in defaults.items() if isinstance(value, str) and "{{" in value}
    assert {name: option["default"] for name, option in options.items() if "default" in option} == {
        name: value for name, value in defaults.items() if name not in computed}


def test_the_readme_names_every_variable(role, options):
    text = (role / "README.md").read_text(encoding="utf-8")
    assert [name for name in options if f"`{name}`" not in text] == []
