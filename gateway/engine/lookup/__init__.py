"""Who an address or a signature belongs to: what the judgement asks and only the network knows.

`verifier` answers for addresses (published ranges, then forward-confirmed reverse DNS through `resolver`), `signature`
for signed requests (Web Bot Auth, with the keys of `directory`), `list_fetcher` and `refresher` keep published address
lists fresh through `fetcher`.
"""
