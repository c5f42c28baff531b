"""What a device shows to get a credential, and the credentials that it got: claims, issuances, certificates, EST's forms."""
