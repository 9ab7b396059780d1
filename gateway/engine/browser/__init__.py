"""The claim "I am a browser" held against the evidence that comes with it.

claim: what the user agent says (read once per user agent). brand: the Sec-CH-UA that goes with it. finding: the table
of everything that can contradict it, with weights, reasons and sources. inspection: the one function, `inspect`.
"""

from gateway.engine.browser.finding import FINDINGS, Finding
from gateway.engine.browser.inspection import CERTAIN, SUSPICIOUS, Inspection, inspect

__all__ = ["CERTAIN", "FINDINGS", "SUSPICIOUS", "Finding", "Inspection", "inspect"]
