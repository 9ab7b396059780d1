"""Webhooks: the receiver of the platforms' events, what follows from them, and the gateway's own webhook."""
