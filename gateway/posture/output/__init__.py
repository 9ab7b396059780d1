"""What the commands of `gateway posture` show: documents as tables, findings as SARIF, waiting as bars or lines.

rich is loaded when a table or a bar is really drawn, and not by importing anything of this package but `drawing`.
"""

from gateway.posture.output.progress import Progress, progress
from gateway.posture.output.sarif import sarif
from gateway.posture.output.table import Kind, print_document

__all__ = ["Kind", "Progress", "print_document", "progress", "sarif"]
