"""The effective configuration as a YAML text: `gateway show`."""

from __future__ import annotations

import yaml

from gateway.config.models import Config
from gateway.config.scalar import resolve_plain


class _Dumper(yaml.SafeDumper):
    """Quotes every text that one of the two YAML versions would read as something else: `off`, `1e3`, `1:30`."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve_plain(text), str) else "'"
    # `${` would be a reference if the text were loaded again
    return dumper.represent_scalar("tag:yaml.org,2002:str", text.replace("${", "$${"), style=style)


_Dumper.add_representer(str, _represent_text)


def render_yaml(config: Config) -> str:
    """Defaults filled in, secrets as `***`, in the order of the schema; loadable once the secrets are put back."""
    return yaml.dump(config.dump(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
