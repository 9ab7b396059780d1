"""What the commands of `gateway posture` show: documents as tables (`table`), findings as SARIF (`sarif`), waiting as
bars or lines (`progress`).

rich is loaded when a table or a bar is drawn on a terminal, and not by importing anything of this package but
`drawing`.
"""
