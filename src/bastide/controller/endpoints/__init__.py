"""What devices speak to over HTTPS, on a port of its own: EST, their update eligibility, the revocation list."""
