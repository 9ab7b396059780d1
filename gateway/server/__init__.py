"""The downstream side: listeners, connections, and the exchange of one request and its response."""
