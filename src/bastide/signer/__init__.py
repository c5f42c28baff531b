"""The signer process: the only one that holds authority keys."""
