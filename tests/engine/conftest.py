"""Fixtures of the embedded Protection API's tests. `browser_requests` and `engines` beside this file help them."""
