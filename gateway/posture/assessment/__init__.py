"""The gateway's own assessment, of one's own sites alone (`--provider embedded`).

    target = find_target("shop.example", posture.providers.embedded, sites, posture.gateway)
    result = await assess(target, "passive", posture.providers.embedded)

Imports the HTTP client and the cryptography: import it when there is something to assess.
"""

from gateway.posture.assessment.run import TYPES, assess, risk_score
from gateway.posture.assessment.target import Target, find_target

__all__ = ["TYPES", "Target", "assess", "find_target", "risk_score"]
