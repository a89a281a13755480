"""At installation: the tables of the grammars, made ahead (see wire.grammar)."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Tables(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        sys.path.insert(0, str(Path(self.root) / "src"))
        from ike.conf import syntax as racoon
        from xfrm.setkey import syntax as setkey

        for module in (racoon, setkey):
            with suppress(OSError):  # a tree that is read-only: they are made at each start
                module.GRAMMAR.write_table()
        build_data["artifacts"].append("*.table")
