"""Client connections that the gateway opens: one class, one pool, for the Protection API and for the origins."""
