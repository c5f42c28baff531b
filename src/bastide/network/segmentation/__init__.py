"""Who may talk to whom, as rules of a gateway: profiles are compiled to one nftables ruleset, and proved by packets."""
