"""Hatchling's hook: builds the contract's stubs before the package is laid out.

An editable install finds them under ``build/gen`` (`dev-mode-dirs`); a wheel carries them beside ``banter_grpc``.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ContractHook(BuildHookInterface[Any]):
    """Runs ``tools/contract.py``, the same script that a developer runs by hand."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        sys.path.insert(0, str(root / "tools"))
        try:
            import contract  # noqa: PLC0415 - found only now
        finally:
            sys.path.pop(0)
        generated = contract.build(root)
        if version == "editable":
            return
        build_data["force_include"].update(
            {
                str(generated / "banter"): "banter",
                str(generated / "buf"): "buf",
                str(generated / contract.IMAGE): f"banter_grpc/_data/{contract.IMAGE}",
            }
        )
