"""The embedded Protection API: the vendor's wire contract, kept from the server's side.

`wire` reads a call, `rules` judge the request that it describes (by `signature` where the user agent tells),
`answer` writes the reply, and `api` puts the three together: all pure. `service` is the HTTP server round them.
"""
