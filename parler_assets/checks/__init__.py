"""The library's audits as asset checks."""
