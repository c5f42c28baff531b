"""What a gateway keeps on its disk."""
