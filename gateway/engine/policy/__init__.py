"""The policy: ordered rules that judge a request.

`model` is the file, `loading` reads it, `condition` makes functions of a rule's match, `judge` goes through the rules.
The presets are policy files like an operator's, in `preset/`.
"""
