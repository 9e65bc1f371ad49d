"""Configs: read, described and checked before anything is built."""
