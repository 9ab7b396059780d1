"""The policy: what is checked, what is asked, what the answer means. All pure but `client` and `checker`."""
