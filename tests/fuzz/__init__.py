"""Every intake under bytes that nobody foresaw: README.md says which, and what each promises."""
