"""Who may, and what is shown: risk, policy, access, privacy, audit, compliance. Rules over core values only."""
