"""The parent process of `gateway run`: starts, watches, respawns, reloads and drains the children.

Theory of operation. Every child is a `Slot`: a name that outlives its processes (`worker-0`, `engine`), the channel to
the process that fills it now, and what is to be done when that dies. The `Supervisor` owns the slots, the sockets that
all workers share, the admin service, the totals and the configuration in force. It handles no traffic: workers go on
while it is busy, and while it is gone they finish what they have and exit.
"""

from gateway.supervisor.service import Supervisor, run
from gateway.supervisor.slot import Patience

__all__ = ["Patience", "Supervisor", "run"]
