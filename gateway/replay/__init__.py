"""`gateway engine check` and `explain`: policies held against requests that have been, offline.

`source` reads a policy by file or preset name; `entry` and `combined` read one line each of payloads and logs;
`reading` streams a file's entries in the order of their times; `judging` judges them as an engine would have; `tally`
counts, with bounded memory; `run` puts it together.
"""

from gateway.replay.run import Change, Explanation, Options, Replay, explain
from gateway.replay.source import NamedPolicy, RuleRow, read_policy, rule_rows

__all__ = [
    "Change",
    "Explanation",
    "NamedPolicy",
    "Options",
    "Replay",
    "RuleRow",
    "explain",
    "read_policy",
    "rule_rows",
]
