"""Bots: who a user agent claims to be, and whether the claim is true. All pure.

`catalogue` names the automation (by `claim`, `pattern` and the package crawler-user-agents through `matcher`),
`operator` says how each operator lets itself be verified, `ranges` holds the published addresses, `standing` judges by
them. Look-ups are `gateway.engine.lookup`'s.
"""
