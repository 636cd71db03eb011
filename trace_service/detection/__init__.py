"""Diversion: what adds up to evidence."""
