"""What the gateway would do with one request, and why: `gateway explain`.

`explain` decides everything that is decided before anybody is asked; `ask` also sends the check and says what follows.
Both run the code that serves the traffic (gateway.building). What that code does not say is why: `reason` finds out by
asking it again with less of the configuration, so that a reason cannot contradict the decision.
"""

from gateway.explain.explanation import ask, explain
from gateway.explain.model import Answer, Described, Explanation, Field, Headers

__all__ = ["Answer", "Described", "Explanation", "Field", "Headers", "ask", "explain"]
