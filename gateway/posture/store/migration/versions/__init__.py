"""The revisions, oldest first: `REVISIONS` in gateway.posture.store.schema names them."""
