"""The models of gateway.yaml (contract, section 6), and `load`, which tells everything wrong with it at once."""

from gateway.credentials import CredentialEntry, CredentialsConfig

__all__ = ["CredentialEntry", "CredentialsConfig"]
