"""Striate: small convolutional networks on the CPU, in seconds, seen from inside."""
