"""Configs: loading with overrides and references, the audit of what they say, and the components they name."""
