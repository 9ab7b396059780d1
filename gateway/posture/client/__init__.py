"""One client for each scanning platform; no SDK of theirs exists. Each works on its own:

    async with DDactic("key") as ddactic:
        async for domain in ddactic.domains():
            ...
"""
