"""Server certificates as files: the key is made here, the certificate comes from the signer."""
