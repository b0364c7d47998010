# Copyright (c) northgate.edge contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""haproxy's files on disk, as generations.

A generation is a directory with the configuration, the maps and the lists.
"current" is a symbolic link to the live one, so all of them change in one rename, and the way
back is one rename too. PEM files are named by their content and shared by generations.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import typing as t

from .._io.atomic import rename, write
from .layout import CONFIG, FILES

_KEPT = 2


class Place(t.NamedTuple):
    """Where one module keeps its files: a ``directory`` below haproxy's, and an ``entry`` of conf.d that leads to ``config``, one of ``files``."""

    directory: str
    entry: str
    config: str
    files: tuple[str, ...]


INGRESS = Place("northgate", "50-northgate-ingress.cfg", CONFIG, FILES)


class Store:
    """The files below ``config_dir`` (/etc/haproxy) that are a module's."""

    def __init__(self, config_dir: str, place: Place = INGRESS) -> None:
        self.place = place
        self.root = os.path.join(config_dir, place.directory)
        self.certificates = os.path.join(self.root, "certs")
        self.current = os.path.join(self.root, "current")
        self._generations = os.path.join(self.root, "generations")
        self._entry = os.path.join(config_dir, "conf.d", place.entry)

    def read(self) -> dict[str, str]:
        """The live generation's texts by name; a file that does not exist is left out."""
        texts = {}
        for name in self.place.files:
            try:
                with open(os.path.join(self.current, name), encoding="utf-8", errors="replace", newline="") as file:
                    texts[name] = file.read()
            except FileNotFoundError:
                continue
        if not self._linked():
            texts.pop(self.place.config, None)
        return texts

    def _linked(self) -> bool:
        return os.path.islink(self._entry) and os.path.realpath(self._entry) == os.path.realpath(
            os.path.join(self.current, self.place.config)
        )

    def certificate_names(self) -> frozenset[str]:
        """The PEM files on disk."""
        try:
            return frozenset(os.listdir(self.certificates))
        except FileNotFoundError:
            return frozenset()

    def write_certificate(self, name: str, pem: str) -> None:
        write(os.path.join(self.certificates, name), pem.encode())

    def remove_certificates(self, names: t.Iterable[str]) -> None:
        for name in names:
            os.unlink(os.path.join(self.certificates, name))

    def write_generation(self, texts: dict[str, str]) -> str:
        """Writes a generation beside the live one and returns its directory."""
        digest = hashlib.sha256("\0".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:16]
        target = os.path.join(self._generations, digest)
        # One of this name may be live and edited by hand: it stays whole until the new one is live.
        while os.path.lexists(target):
            target += "-again"
        temporary = os.path.join(self._generations, ".new")
        self.write_texts(temporary, texts)
        rename(temporary, target)
        return target

    def write_texts(self, directory: str, texts: dict[str, str]) -> None:
        """Writes the texts of a generation into ``directory``, made anew."""
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory, mode=0o750)
        for name, text in texts.items():
            write(os.path.join(directory, name), text.encode())

    def live(self) -> str | None:
        """The directory of the live generation."""
        return os.path.realpath(self.current) if os.path.islink(self.current) else None

    def go_live(self, generation: str) -> None:
        """Makes ``generation`` the live one."""
        _link(os.path.relpath(generation, self.root), self.current)
        if not self._linked():
            os.makedirs(os.path.dirname(self._entry), exist_ok=True)
            _link(os.path.relpath(os.path.join(self.current, self.place.config), os.path.dirname(self._entry)), self._entry)

    def back_to(self, generation: str | None) -> None:
        """Undoes go_live: back to the generation before, or to none at all."""
        if generation:
            return self.go_live(generation)
        os.unlink(self._entry)
        os.unlink(self.current)

    def prune(self, kept: int = _KEPT) -> None:
        """Removes generations, but for the live one and the youngest others: ``kept`` remain."""
        live = self.live()
        others = [entry.path for entry in os.scandir(self._generations) if entry.path != live] if os.path.isdir(self._generations) else []
        others.sort(key=os.path.getmtime, reverse=True)
        for path in others[kept - 1 :]:
            shutil.rmtree(path)


def _link(target: str, path: str) -> None:
    temporary = f"{path}.tmp"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    rename(temporary, path)
