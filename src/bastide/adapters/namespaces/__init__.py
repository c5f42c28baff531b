"""Network namespaces of the running kernel: made, joined, and gone with the process whatever ends it."""
