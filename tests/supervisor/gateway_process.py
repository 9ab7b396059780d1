"""The supervisor with test children: `python gateway_process.py CONFIG_FILE PATIENCE_JSON`, as `gateway run` would."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gateway import supervisor
from gateway.config import load_config
from gateway.errors import GatewayError

CHILD = str(Path(__file__).with_name("child_part.py"))


def main(config_file: str, patience: str) -> int:
    path = Path(config_file)
    try:
        return supervisor.run(
            load_config(path),
            path,
            load=load_config,
            command=lambda kind: [sys.executable, CHILD, kind],
            patience=supervisor.Patience(**json.loads(patience)),
        )
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
