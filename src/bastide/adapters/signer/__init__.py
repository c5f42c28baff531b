"""The signer process, as others reach it: over its unix socket."""
