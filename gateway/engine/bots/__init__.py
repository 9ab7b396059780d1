"""Bots: who a user agent claims to be, and whether the claim is true. All pure.

`catalogue` names the automation (by `claim`, `pattern` and the package crawler-user-agents through `matcher`),
`operator` says how each operator lets itself be verified, `ranges` holds the published addresses, `standing` judges by
them. Look-ups are `gateway.engine.lookup`'s.
"""

from gateway.engine.bots.catalogue import BOT_CLASSES, Catalogue, Signature, load_catalogue
from gateway.engine.bots.operator import OPERATORS, Operator
from gateway.engine.bots.ranges import Ranges, load_ranges
from gateway.engine.bots.standing import standing_by_ranges

__all__ = [
    "BOT_CLASSES",
    "OPERATORS",
    "Catalogue",
    "Operator",
    "Ranges",
    "Signature",
    "load_catalogue",
    "load_ranges",
    "standing_by_ranges",
]
