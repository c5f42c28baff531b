"""What a device proves: identity, boot, release, attestation, credential. Rules only."""
