"""The error of loading, references, overrides and the audit."""


class ConfigError(ValueError):
    """A config that cannot be run as it stands; the message says where and what to do."""
