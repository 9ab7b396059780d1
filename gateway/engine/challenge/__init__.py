"""The challenge: what a client must do before it passes, the page that asks it, and the judge of what comes back."""
