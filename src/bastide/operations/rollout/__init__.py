"""Rollouts: whom a release would harm, who gets it when, and when it is stopped."""
